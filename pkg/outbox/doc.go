// Package outbox writes facts in the transaction that makes them true, and
// relays them to Kafka: none is lost, none that was rolled back is sent, and the
// facts of a key arrive in the order in which they were committed.
//
//	err := db.Tx(ctx, func(tx outbox.Tx) error {
//		if err := insertOrder(ctx, tx, o); err != nil {
//			return err
//		}
//		tx.Publish(o.Created())
//		return nil
//	})
//
// # Guarantees
//
//   - Atomic: facts and business rows commit together.
//   - Ordered per key: one statement just before commit takes the lock of each
//     key's counter and only then draws sequence numbers, so for a key the order
//     of seq is the order of commits, and aggregate_version counts 1, 2, 3
//     without gaps. This holds even when a caller forgot to lock its aggregate.
//   - At least once: a relay stores its cursor only after Kafka's
//     acknowledgement. A crash in between sends again; consumers have an inbox.
//   - Not held up: neither a transaction left open, in this database or another
//     of the cluster, nor a gap in the sequence delays other facts.
//
// # The cursor
//
// Sequence numbers are drawn before commit, so they become visible out of
// order; a relay that goes by "seq > last" loses what commits late, and one that
// waits for the oldest running transaction stalls. Here the cursor of a shard is
// a pair (hi, snapshot): every row with seq <= hi that is visible in snapshot was
// sent, and no row above hi was. A poll sends fresh rows (seq > hi) and late rows
// (seq <= hi, not visible in the stored snapshot, visible now), merged by seq. Late
// ones are sought among transactions that had an id when hi was read, so a backlog
// is not looked through before its first rows are sent.
// No row is updated or deleted; what was sent is dropped by whole partitions.
//
// The transaction id kept with a row is the top-level one (pg_current_xact_id),
// so savepoints do not matter, and prepared transactions count as running until
// they are decided.
//
// Polls run ahead of Kafka's answers on a cursor in memory; stored positions
// follow in the order of polls, each only when all of its rows and of those before
// are answered. What is handed over and not answered is bounded in rows and bytes.
//
// # Several relays
//
// Keys are spread over 64 shards, and the relays of a database share them evenly:
// one that joins is given its part, one that stops hands its shards over, and those
// of one that is gone are taken when its connection has ended or its lease is over.
// Leases are measured by the database's clock, and a jump of it leads to repeats at
// worst. Every change of owner is a new epoch, and a position is stored only in the
// epoch in which it was read: a relay that was paused and does not know that it has
// lost a shard sends some facts once more, in their order, and stores nothing.
//
// # Trouble
//
// What Kafka does not take now is sent again, for ever, before anything that came
// after it in its topic. Other topics go on: a topic that fills the memory and is
// not answered is set aside, and read again when it moves. A crash meanwhile sends
// what others had since then once more.
//
// What Kafka refuses for good is parked, together with every later fact of its key:
// the cursor passes them, and a person has them sent ([DB.Release]) or forgotten
// ([DB.Discard]).
package outbox
