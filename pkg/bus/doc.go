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
//     messages, in their order. Trouble is retried for ever and logged, rarely
//     but loudly; other topics go on. Only what Kafka can never take is an error,
//     a [RefusedError] that names the message.
//   - Consuming: at least once, in the order of each key. Of a partition up to
//     Config.InFlight messages are handled at a time, of a key one; messages
//     without a key are in order among themselves. Partitions do not wait for
//     each other. A new group reads from the start. An offset is committed after
//     its message, and all before it, were handled or are in the dead letters;
//     what was handled past one that was not comes again after a crash.
//   - [Once], [Batch] and [BatchAll]: the inbox row, the effect and new facts are
//     one transaction, so the effect is exactly once, also when members come and
//     go or an event is published or redriven twice.
//   - A handler's context carries the trace and the cause of its event. It ends
//     when the partition goes to another member, which begins only after the
//     handler has returned, or has ignored that for Config.Drain.
//   - Events of an unknown type are skipped and counted. A known type in an
//     unknown newer version is a dead letter of those who handle it, for a newer
//     build to redrive.
//
// # Two kinds of trouble, never mixed
//
// Unavailable: a database or broker is away, a deadline has passed
// ([IsUnavailable]), or the handler says so itself ([Unavailable]). The message
// waits, and is tried again for ever with growing pauses; meanwhile no other of
// its partition is begun, since what is away for one is mostly away for all. It is
// logged once when a consumer begins to wait and once when it waits for nothing
// any more. No attempt is counted.
//
// Failed: the handler refuses or panics. It is tried Config.Attempts times, which
// holds up its key only, then the message is a dead letter. What does not decode is
// one at once. A batch that fails is halved until the poison stands alone; the
// rest takes effect. A dead letter is acknowledged by Kafka before the offset of
// its message is committed; while it cannot be written, the message waits.
//
// # Dead letters
//
// The topic "dead.<group>" holds the raw bytes and the key of each message that
// was given up, its own headers, where it was first read, how often it was tried
// and redriven, and why it is there. [Admin] lists and redrives them: to
// "redrive.<group>", which that group reads like its other topics and no other
// group does. A dead-lettered event has no inbox row, so that the redrive has its
// effect, once.
//
// What was redriven is read from the redrive topic itself, so a redrive that ended
// in the middle is made anew and goes on where it was. It is paced, and letters
// that came back three times go by force only.
//
// # Parked keys
//
// A consumer made by [Once] is [Consumer.InOrder] when its aggregates must not
// skip an event. Then a dead letter parks its key:
//
//   - Later messages of the key wait behind it, in order, in a line in the
//     consumer's own database; the line and the dead letters of those that wait
//     (reason "waits") are written before an offset is committed. Other keys go on.
//   - A redrive of the letter that the line waits for lets it go on by itself, each
//     message in a transaction of its own, until it ends or another one is refused,
//     which is the new head. What comes meanwhile joins at its end. Letters that
//     only wait are not redriven; by force they wait again, unless it is their turn.
//   - The line is locked by whoever handles a message of its key, so that members
//     that come, go, or both believe they own a partition, crashes and restarts
//     change neither the order nor the one effect of each.
//   - Messages without a key park nothing.
//
// # Readers without a group
//
// [Tail] follows topics from given positions, [ReadToEnd] reads to what is the
// end now. Both hand out raw records and wait for outages.
//
// # The end
//
// When the context of [Run] ends, nothing new is begun, waits end, handlers in
// flight may finish for Config.Drain and are cancelled after that, offsets are
// committed and the groups are left: in milliseconds when nothing is in flight,
// in less than 8 s when a handler hangs and no broker answers.
//
// # Drivers
//
// Config.Driver chooses what stands behind Watermill's interfaces: ours on
// franz-go, or stock watermill-kafka. Both pass one suite, Watermill's own
// included, and put a key on the same partition. Stock watermill-kafka publishes
// message by message, handles one message of a partition at a time, does not end
// the contexts of a partition that it loses, and may hand such a message to two
// members at once; [Once] absorbs that. Batches and dead letters always go by
// franz-go.
//
// # Testing
//
// Package bustest starts a broker in the test's process. The tests here run on it
// and, when KAFKA_BROKERS is set, on a real Kafka.
package bus
