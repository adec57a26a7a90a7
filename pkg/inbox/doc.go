// Package inbox makes the effect of an event exactly-once: its id is inserted in
// the transaction of its effect, so both are there or neither.
//
// # Guarantees
//
//   - Of any number of deliveries of an event to a consumer, at any distance and
//     at the same time, the transaction of exactly one commits with [Seen]
//     answering false. A concurrent delivery waits for the first to end.
//   - Ids are kept for [Retention], longer than any topic keeps its events.
//   - A [Line] keeps the messages of a key in the order in which they joined, and
//     transactions that touch it wait for each other. Its messages stay until
//     they leave.
package inbox
