// Package bus carries facts: Watermill's Publisher, Subscriber and Router over
// Kafka, with the settings under which nothing is lost and the order of a key
// is kept.
//
// A service lists what it consumes; that list is the router's whole
// configuration:
//
//	[]bus.Consumer{
//		bus.Once("mails", db, bus.OnTx(s.confirmed), bus.OnTx(s.shipped)),
//		bus.Each("start-saga", bus.On(s.created)),
//		bus.Batch("sales", db, 500, s.sold),
//	}
//
// Each consumer is a group of its own, "<service>.<name>", so that one that is
// slow or paused holds up no other.
//
// # Guarantees
//
//   - Publishing: [NewPublisher]'s Publish returns after all replicas have all
//     messages, in their order; trouble is retried for ever and logged. Only what
//     the broker can never take is an error.
//   - Consuming: at least once, in the order of the partition, one message of a
//     partition at a time; partitions do not wait for each other. An offset is
//     committed after its message was handled or is in the dead letters.
//   - [Once] and [Batch]: the inbox row, the effect and new facts are one
//     transaction, so the effect is exactly once.
//   - Two kinds of trouble, never mixed. Unavailable (a database or broker away)
//     pauses the partition and is retried for ever. Failed (the handler refuses,
//     panics, or the bytes do not decode) goes to the dead letters after a
//     bounded number of attempts, with the raw bytes and the reason, and the
//     partition goes on.
//   - Events of an unknown type are skipped and counted; a known type in an
//     unknown newer version is a dead letter, for a newer build to redrive.
package bus
