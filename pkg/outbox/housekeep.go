package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// partitionSize is how many sequence numbers a partition holds.
const partitionSize = 1_000_000

// partitionsAhead is how many empty partitions stand ready.
const partitionsAhead = 2

// housekeep makes partitions ahead and drops those that are sent and old.
func (r *Relay) housekeep(ctx context.Context) error {
	if err := r.makeAhead(ctx); err != nil {
		return err
	}
	if r.cursor != nil { // shards that are quiet move on too, or nothing could be dropped
		if err := r.storeShards(ctx, r.cursor, func(int) bool { return true }); err != nil {
			return err
		}
	}
	return r.dropSent(ctx)
}

func partitionName(n int64) string { return fmt.Sprintf("outbox_p%d", n) }

func (r *Relay) makeAhead(ctx context.Context) error {
	var last int64
	if err := r.db.pool.QueryRow(ctx, `SELECT last_value FROM outbox_seq`).Scan(&last); err != nil {
		return fmt.Errorf("make partitions: %w", err)
	}
	for n := last / r.size; n <= last/r.size+partitionsAhead; n++ {
		var there bool
		if err := r.db.pool.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, partitionName(n)).Scan(&there); err != nil {
			return fmt.Errorf("make partitions: %w", err)
		}
		if there {
			continue
		}
		// Attaching to a partitioned table without a default partition takes a
		// lock that inserts do not mind.
		err := pgx.BeginFunc(ctx, r.db.pool, func(tx pgx.Tx) error {
			name := partitionName(n)
			if _, err := tx.Exec(ctx, `CREATE TABLE `+name+` (LIKE outbox INCLUDING ALL)`); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, fmt.Sprintf(`ALTER TABLE outbox ATTACH PARTITION %s FOR VALUES FROM (%d) TO (%d)`, name, n*r.size, (n+1)*r.size))
			return err
		})
		if err != nil {
			return fmt.Errorf("make partition %s: %w", partitionName(n), err)
		}
	}
	return nil
}

// dropSent drops partitions of which every row was sent long enough ago. The
// lock is waited for no longer than 50 ms, so that the shop's inserts never
// queue behind it; what cannot be had now is tried again later. A row that an
// open transaction has put into the partition keeps the lock from being had, and
// one that committed since the last poll is looked for while it is held.
func (r *Relay) dropSent(ctx context.Context) error {
	rows, err := r.db.pool.Query(ctx, `
		SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
		WHERE i.inhparent = 'outbox'::regclass
			AND substring(c.relname FROM '^outbox_p([0-9]+)$')::bigint < (SELECT min(hi) FROM outbox_cursors) / $1
		ORDER BY 1`, r.size)
	if err != nil {
		return fmt.Errorf("find sent partitions: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("find sent partitions: %w", err)
	}
	for _, name := range names {
		if err := r.drop(ctx, name); err != nil {
			return fmt.Errorf("drop partition %s: %w", name, err)
		}
	}
	return nil
}

func (r *Relay) drop(ctx context.Context, name string) error {
	table := pgx.Identifier{name}.Sanitize()
	return pgx.BeginFunc(ctx, r.db.pool, func(tx pgx.Tx) error {
		var keep bool
		err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM `+table+` WHERE created_at > $1)`, r.db.now().Add(-r.retain)).Scan(&keep)
		if err != nil || keep {
			return err
		}
		if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '50ms'`); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `LOCK TABLE outbox, `+table+` IN ACCESS EXCLUSIVE MODE`); err != nil {
			return err
		}
		err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM `+table+` o JOIN outbox_cursors c USING (shard) CROSS JOIN outbox_system s
			WHERE o.seq > c.hi OR (o.seq > s.base_seq OR c.system <> s.system) AND NOT pg_visible_in_snapshot(o.xid, c.snapshot))`).Scan(&keep)
		if err != nil || keep {
			return err
		}
		_, err = tx.Exec(ctx, `DROP TABLE `+table)
		return err
	})
}

// Row is an outbox row, as a timeline shows it.
type Row struct {
	Seq       int64
	EventID   string
	Type      string
	Topic     string
	Key       string
	CreatedAt time.Time
	Published bool
}
