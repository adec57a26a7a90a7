package outbox

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// lease is a relay's right to shards. It is kept in the database and measured by
// its clock; here only a monotonic one is looked at. A relay that has lost it
// without knowing can send what another sends too, and store nothing.
type lease struct {
	relay  string
	length time.Duration
	others *atomic.Bool // is told whether there are other relays; may be nil

	pid     uint32 // of the connection that it lives with
	started time.Time
}

// liveRelays are the relays whose connection is there and whose lease runs. What
// begins in the future is from before a jump of the clock.
const liveRelays = `(
    SELECT relay FROM outbox_relays r WHERE clock_timestamp() BETWEEN since - (until - since) AND until
        AND EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = r.pid AND a.backend_start = r.started)
)`

// join makes the relay known with the connection that it works with.
func (l *lease) join(ctx context.Context, conn *pgxpool.Conn) error {
	l.pid = conn.Conn().PgConn().PID()
	err := conn.QueryRow(ctx, `SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()`).Scan(&l.started)
	if err != nil {
		return fmt.Errorf("join the relays: %w", err)
	}
	_, err = conn.Exec(ctx, `
		INSERT INTO outbox_relays (relay, pid, started, since, until) VALUES ($1, $2, $3, clock_timestamp(), clock_timestamp() + $4)
		ON CONFLICT (relay) DO UPDATE SET pid = excluded.pid, started = excluded.started, since = excluded.since, until = excluded.until`,
		l.relay, int32(l.pid), l.started, l.length) //nolint:gosec // a process id
	if err != nil {
		return fmt.Errorf("join the relays: %w", err)
	}
	return nil
}

// share is a relay's state beside the others.
type share struct {
	relays   int  // that live
	mine     int  // shards that are ours
	free     int  // shards that are nobody's
	released bool // somebody released parked rows of ours
}

// fair is how many shards a relay may have.
func (s share) fair() int { return (Shards + s.relays - 1) / s.relays }

// uneven says that a rebalance would change something.
func (s share) uneven() bool { return s.mine > s.fair() || s.mine < s.fair() && s.free > 0 }

// beat prolongs the lease.
func (l *lease) beat(ctx context.Context, q interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}) (share, error) {
	var s share
	var known bool
	err := q.QueryRow(ctx, `
		WITH live AS `+liveRelays+`, beat AS (
			UPDATE outbox_relays SET since = clock_timestamp(), until = clock_timestamp() + $2 WHERE relay = $1 RETURNING relay
		)
		SELECT 1 + (SELECT count(*) FROM live WHERE relay <> $1), count(*) FILTER (WHERE owner = $1),
			count(*) FILTER (WHERE owner IS NULL OR owner <> $1 AND owner NOT IN (SELECT relay FROM live)),
			EXISTS (SELECT FROM outbox_parked p JOIN outbox_cursors c USING (shard) WHERE p.released AND c.owner = $1),
			(SELECT count(*) = 1 FROM beat)
		FROM outbox_cursors`, l.relay, l.length).Scan(&s.relays, &s.mine, &s.free, &s.released, &known)
	if err != nil {
		return s, fmt.Errorf("prolong the lease of shards: %w", err)
	}
	if !known {
		return s, errFenced
	}
	if l.others != nil {
		l.others.Store(s.relays > 1)
	}
	return s, nil
}

// rebalance gives up what is too much or takes what is free, up to the fair
// share. What was sent of shards that are given up must be stored before.
func (l *lease) rebalance(ctx context.Context, conn *pgxpool.Conn) error {
	s, err := l.beat(ctx, conn)
	if err != nil {
		return err
	}
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if s.mine > s.fair() {
			_, err := tx.Exec(ctx, `
				UPDATE outbox_cursors SET owner = NULL, epoch = epoch + 1
				WHERE shard IN (SELECT shard FROM outbox_cursors WHERE owner = $1 ORDER BY shard DESC LIMIT $2)`, l.relay, s.mine-s.fair())
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM outbox_relays WHERE until < clock_timestamp() - interval '1 hour' AND relay <> $1`, l.relay); err != nil {
			return err
		}
		// Rows that another relay is just taking are left to it.
		_, err := tx.Exec(ctx, `
			UPDATE outbox_cursors SET owner = $1, epoch = epoch + 1 WHERE shard IN (
				SELECT shard FROM outbox_cursors WHERE owner IS NULL OR owner <> $1 AND owner NOT IN (SELECT relay FROM `+liveRelays+` live)
				ORDER BY shard LIMIT $2 FOR UPDATE SKIP LOCKED)`, l.relay, max(0, s.fair()-s.mine))
		return err
	})
	if err != nil {
		return fmt.Errorf("rebalance shards: %w", err)
	}
	return nil
}

// leave hands all shards over.
func (l *lease) leave(ctx context.Context, pool *pgxpool.Pool) error {
	batch := &pgx.Batch{}
	batch.Queue(`UPDATE outbox_cursors SET owner = NULL, epoch = epoch + 1 WHERE owner = $1`, l.relay)
	batch.Queue(`DELETE FROM outbox_relays WHERE relay = $1`, l.relay)
	if err := pool.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("hand over shards: %w", err)
	}
	return nil
}
