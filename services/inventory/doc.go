// Package inventory owns the catalogue, the stock, reservations and shipments.
//
// It serves the commands inventory.reserve, .release, .prepare, .cancel and
// .dispatch, publishes inventory.reserved, .released, .rejected and .stock_low to
// the topic inventory and shipment.prepared, .dispatched, .cancelled and
// .delivered to the topic shipments. It consumes no facts; deliveries come from
// the courier's feed. It answers the question stock.get and asks
// customer.contact when a parcel needs an address.
//
// # Guarantees
//
//   - For each SKU on_hand + reserved + shipped = received, and none is negative:
//     a constraint of the table, so no code path can break it.
//   - A command is a transition of the reservation or the shipment, under the lock
//     of the reservation's row, and may be asked for any number of times. An undo
//     that finds nothing leaves a tombstone; a do that comes later is refused.
//   - A reservation that was not turned into a shipment gives its stock back when
//     it expires. A shipment does not expire.
package inventory
