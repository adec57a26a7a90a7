package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// partitionRows is how many sequence numbers a partition holds.
	partitionRows = 1_000_000
	// partitionsAhead is how many empty partitions stand ready: rows that can be
	// written before the next look.
	partitionsAhead = 4

	// Postgres's codes.
	lockNotAvailable = "55P03"
	undefinedTable   = "42P01"
)

// keepPartitions makes partitions ahead and drops those that are sent and old,
// until ctx ends.
func (r *Relay) keepPartitions(ctx context.Context) {
	for ctx.Err() == nil {
		if err := errors.Join(r.makePartitions(ctx), r.dropSent(ctx)); err != nil && ctx.Err() == nil {
			r.log.WarnContext(ctx, "outbox partitions; trying again", "error", err, "in", partitionsEvery)
		}
		wait(ctx, partitionsEvery)
	}
}

func partitionName(n int64) string { return fmt.Sprintf("outbox_p%d", n) }

// makePartitions makes those that are missing ahead of the sequence.
func (r *Relay) makePartitions(ctx context.Context) error {
	missing, err := r.missing(ctx, r.db.pool)
	if err != nil || len(missing) == 0 {
		return err
	}
	err = pgx.BeginFunc(ctx, r.db.pool, func(tx pgx.Tx) error { return r.attach(ctx, tx) })
	if err != nil {
		return fmt.Errorf("make partitions: %w", err)
	}
	return nil
}

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func (r *Relay) missing(ctx context.Context, q querier) ([]int64, error) {
	rows, err := q.Query(ctx, `
		SELECT n FROM outbox_seq, generate_series(last_value / $1, last_value / $1 + $2) n WHERE to_regclass('outbox_p' || n) IS NULL`,
		r.partition, partitionsAhead)
	if err != nil {
		return nil, fmt.Errorf("look for partitions: %w", err)
	}
	missing, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("look for partitions: %w", err)
	}
	return missing, nil
}

// attach makes missing partitions; relays that do so together take turns.
// Attaching to a partitioned table without a default partition takes a lock that
// inserts do not mind.
func (r *Relay) attach(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, `SELECT FROM outbox_system FOR UPDATE`); err != nil {
		return err
	}
	missing, err := r.missing(ctx, tx)
	if err != nil {
		return err
	}
	for _, n := range missing {
		name := partitionName(n)
		if _, err := tx.Exec(ctx, `CREATE TABLE `+name+` (LIKE outbox INCLUDING ALL)`); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, fmt.Sprintf(`ALTER TABLE outbox ATTACH PARTITION %s FOR VALUES FROM (%d) TO (%d)`, name, n*r.partition, (n+1)*r.partition)); err != nil {
			return err
		}
	}
	return nil
}

// dropSent drops partitions of which every row was sent long enough ago.
func (r *Relay) dropSent(ctx context.Context) error {
	rows, err := r.db.pool.Query(ctx, `
		SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
		WHERE i.inhparent = 'outbox'::regclass
			AND substring(c.relname FROM '^outbox_p([0-9]+)$')::bigint < (SELECT min(hi) FROM outbox_cursors) / $1
		ORDER BY length(c.relname), c.relname`, r.partition)
	if err != nil {
		return fmt.Errorf("find sent partitions: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("find sent partitions: %w", err)
	}
	for _, name := range names {
		switch dropped, err := r.drop(ctx, name); {
		case failedWith(err, lockNotAvailable):
			return nil // somebody is using it
		case failedWith(err, undefinedTable): // another relay has dropped it
		case err != nil:
			return fmt.Errorf("drop partition %s: %w", name, err)
		case dropped:
			r.log.InfoContext(ctx, "dropped a partition of sent facts", "partition", name)
		}
	}
	return nil
}

func failedWith(err error, code string) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == code
}

// drop drops a partition below every hi unless it has a row that is young, or
// that commits late and is not sent yet.
//
// First it is emptied, for which nobody but its own rows' writers and readers can
// be in the way: rows are inserted by way of the parent, into other partitions. Then
// it is removed, which needs the parent for an instant. Neither lock is waited for,
// since the shop's inserts would queue behind: it is had at once or not at all. An
// open transaction that has put a row into the partition keeps it from being had,
// and one that committed since the last poll is looked for while it is held, by a
// few looks into indexes. A writer that has a number and has not inserted yet finds
// an empty partition, or keeps the parent.
func (r *Relay) drop(ctx context.Context, name string) (dropped bool, err error) {
	table := pgx.Identifier{name}.Sanitize()
	for _, step := range []struct{ lock, sql string }{
		{table, `TRUNCATE ` + table},
		{`ONLY outbox, ` + table, `DROP TABLE ` + table},
	} {
		for try := 1; ; try++ {
			dropped, err = r.whenSent(ctx, table, step.lock, step.sql)
			if !failedWith(err, lockNotAvailable) || try == lockTries || ctx.Err() != nil {
				break
			}
			wait(ctx, time.Millisecond)
		}
		if err != nil || !dropped {
			return false, err
		}
	}
	return true, nil
}

// lockTries is how often a lock is asked for until the next round: polls have it
// too, for moments.
const lockTries = 100

// whenSent locks tables and executes a statement if all rows of one are sent and
// old.
func (r *Relay) whenSent(ctx context.Context, table, lock, sql string) (done bool, err error) {
	err = pgx.BeginFunc(ctx, r.db.pool, func(tx pgx.Tx) error {
		var keep bool
		err := tx.QueryRow(ctx, `
			SELECT coalesce(max(newest.created_at) > $1, false) FROM generate_series(0, $2) AS s
			CROSS JOIN LATERAL (SELECT created_at FROM `+table+` WHERE shard = s ORDER BY seq DESC LIMIT 1) newest`,
			r.db.now().Add(-r.retain), Shards-1).Scan(&keep)
		if err != nil || keep {
			return err
		}
		// The commit does not wait for the disk, as the lock is held until then.
		if _, err := tx.Exec(ctx, `SELECT set_config('synchronous_commit', 'off', true), set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true)`); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `LOCK TABLE `+lock+` IN ACCESS EXCLUSIVE MODE NOWAIT`); err != nil {
			return err
		}
		err = tx.QueryRow(ctx, `
			SELECT EXISTS (
				SELECT FROM outbox_cursors c CROSS JOIN LATERAL (SELECT FROM `+table+` o WHERE o.shard = c.shard AND o.seq > c.hi LIMIT 1) fresh
			) OR EXISTS (
				SELECT FROM `+unseenIn(table, "outbox_cursors")+` o JOIN outbox_cursors c USING (shard) CROSS JOIN outbox_system s
				WHERE (o.seq > s.base_seq OR c.system <> s.system) AND NOT pg_visible_in_snapshot(o.xid, c.snapshot)
			)`).Scan(&keep)
		if err != nil || keep {
			return err
		}
		_, err = tx.Exec(ctx, sql)
		done = err == nil
		return err
	})
	return done, err
}

// adopt notices that the database was dumped and restored into another cluster,
// where the transaction ids of its rows mean nothing. From now on rows up to
// base_seq are taken as complete. They are: the lock waits for transactions that
// have written since the restore and keeps new ones out, and these go on in
// partitions of their own, so that later looks by transaction id need not pass
// the old rows. What was written between the restore and this is not late: the
// sequence came with the dump, so its numbers are above every hi, and it is found
// as fresh.
func (r *Relay) adopt(ctx context.Context, conn *pgxpool.Conn) error {
	var here bool
	err := conn.QueryRow(ctx, `SELECT s.system = c.system_identifier FROM outbox_system s, pg_control_system() c`).Scan(&here)
	if err != nil || here {
		return err
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '2s'`); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `LOCK TABLE ONLY outbox IN SHARE ROW EXCLUSIVE MODE`); err != nil {
			return err
		}
		var base int64
		err := tx.QueryRow(ctx, `
			UPDATE outbox_system s SET system = c.system_identifier, base_seq = (b.last / $1 + 1) * $1 - 1
			FROM pg_control_system() c, (SELECT greatest(
				(SELECT last_value FROM outbox_seq),
				(SELECT max(top.seq) FROM generate_series(0, $2) AS shard
					CROSS JOIN LATERAL (SELECT seq FROM outbox o WHERE o.shard = shard.shard ORDER BY seq DESC LIMIT 1) top)) AS last) b
			WHERE s.system <> c.system_identifier RETURNING base_seq`, r.partition, Shards-1).Scan(&base)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil // by another relay, meanwhile
		}
		if err != nil {
			return err
		}
		r.log.WarnContext(ctx, "the outbox was restored from another database cluster", "restored_up_to", base)
		if _, err := tx.Exec(ctx, `SELECT setval('outbox_seq', $1)`, base); err != nil {
			return err
		}
		return r.attach(ctx, tx)
	})
}
