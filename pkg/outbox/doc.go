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
//   - At least once: the relay stores its cursor only after Kafka's
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
// (seq <= hi, not visible in the stored snapshot, visible now), merged by seq.
// No row is updated or deleted; what was sent is dropped by whole partitions.
//
// The transaction id kept with a row is the top-level one (pg_current_xact_id),
// so savepoints do not matter, and prepared transactions count as running until
// they are decided.
//
// Run one relay per database. A second one loses nothing and keeps the order,
// but sends everything twice.
package outbox
