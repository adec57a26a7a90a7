package inventory

import (
	"slices"
	"strings"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
)

// Product is an entry of the catalogue. An unlisted one is sold through
// channels only, at their price.
type Product struct {
	SKU       string
	Name      string
	Price     events.Money
	Storage   Storage
	Listed    bool
	Available int64
}

// Storage says how cold a product must be kept.
type Storage string

// The storages, the coldest last.
const (
	Ambient Storage = "ambient"
	Chilled Storage = "chilled"
	Frozen  Storage = "frozen"
)

// coldest is the storage that a parcel of several products needs.
func coldest(all []Storage) Storage {
	order := []Storage{Ambient, Chilled, Frozen}
	worst := Ambient
	for _, s := range all {
		if slices.Index(order, s) > slices.Index(order, worst) {
			worst = s
		}
	}
	return worst
}

// Stock is where the pieces of a SKU are.
type Stock struct {
	SKU      string `json:"sku"`
	Received int64  `json:"received" doc:"ever taken in; the sum of the other three"`
	OnHand   int64  `json:"on_hand" doc:"free to sell, without what is reserved"`
	Reserved int64  `json:"reserved" doc:"held for orders"`
	Shipped  int64  `json:"shipped" doc:"handed to the courier"`
}

// State of a reservation.
type State string

// The states of a reservation. Fresh is a row that a command has made to lock it
// and that holds nothing yet. Refused, Released and Shipped are final; Released
// is also the tombstone of a release that came first.
const (
	Fresh     State = "fresh"
	Reserved  State = "reserved"  // holds stock until it expires
	Expired   State = "expired"   // gave its stock back; prepare may take it again
	Allocated State = "allocated" // belongs to a shipment, and does not expire
	Shipped   State = "shipped"
	Released  State = "released"
	Refused   State = "refused"
)

// Holds says whether stock is counted as reserved for it.
func (s State) Holds() bool { return s == Reserved || s == Allocated }

// Reservation is what an order holds of the stock.
type Reservation struct {
	OrderID   string
	State     State
	Lines     []events.Item
	ExpiresAt time.Time

	// Why it was refused, so that a repeat is answered as the first was.
	Code   string
	Reason string
}

// ShipmentState is where a shipment is.
type ShipmentState string

// The states of a shipment. From HandingOver on the courier may have the parcel,
// so only the courier's answer leads out of it. Unpacked is a shipment that was
// cancelled, or the tombstone of a cancellation that came first.
const (
	Prepared    ShipmentState = "prepared"
	HandingOver ShipmentState = "handing_over"
	TurnedDown  ShipmentState = "turned_down" // the courier refuses it
	Dispatched  ShipmentState = "dispatched"
	Delivered   ShipmentState = "delivered"
	Unpacked    ShipmentState = "cancelled"
)

// Shipment is the parcel of an order.
type Shipment struct {
	ID          string
	OrderID     string
	State       ShipmentState
	Carrier     string
	Tracking    string
	Reason      string     // why the courier refuses it
	DeliveredAt *time.Time // may be known before the dispatch is recorded
}

// bySKU sums the items up by SKU, in the order in which stock rows are locked, so
// that two orders never wait for each other in a circle.
func bySKU(items []events.Item) []events.Item {
	sorted := slices.Clone(items)
	slices.SortFunc(sorted, func(a, b events.Item) int { return strings.Compare(a.SKU, b.SKU) })
	sums := sorted[:0]
	for _, it := range sorted {
		if n := len(sums); n > 0 && sums[n-1].SKU == it.SKU {
			sums[n-1].Quantity += it.Quantity
			continue
		}
		sums = append(sums, it)
	}
	return sums
}
