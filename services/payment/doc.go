// Package payment owns the money: a double-entry ledger, and the way to the
// payment provider.
//
// It serves the commands payment.authorize, .void, .capture and .refund, and
// publishes payment.authorized, .voided, .captured, .declined and .refunded to
// the topic payments. It consumes no facts.
//
// # Guarantees
//
//   - Charged once: the intent is committed before the provider is called, under
//     one idempotency key for (order, command); a repeat asks under the same key.
//   - An answer that never came is not guessed: an undo that meets such an intent
//     asks the provider what became of it, and a sweeper settles what nobody
//     comes back for.
//   - State, ledger and fact of an operation are one transaction. Every journal
//     entry of the ledger sums to zero: a constraint of the database.
//   - An undo that finds nothing leaves a tombstone; a do that comes later is
//     refused. Refunding without a capture, and voiding after one, do nothing.
package payment
