// Package order owns customers and their orders, the saga that fulfils an
// order, approvals, and the tasks that wait for a person.
//
// It publishes order.created, .approval_requested, .confirmed, .shipped,
// .completed, .cancelled and .rejected to the topic orders. It consumes its own order.created, which starts the saga (so placing
// an order is one transaction and needs no Temporal), and shipment.delivered,
// which lets the saga complete. It answers the question customer.contact, the
// only way to personal data.
//
// Where to begin: order.go is the state machine, workflow.go the saga's table.
//
// # Guarantees
//
//   - An order, its idempotency key and its first fact are one transaction.
//   - Only this service writes an order's state; the saga records each
//     transition by a local activity, so a transition and its fact are one
//     transaction too, and happen once however often they are asked for.
//   - Every accepted order gets a saga: by order.created, by its cancellation,
//     or by the reconciler, whichever comes first; the workflow id is the order
//     id, so there is one.
package order
