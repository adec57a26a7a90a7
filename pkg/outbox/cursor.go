package outbox

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// position is how far a shard was sent: every row with seq <= hi that is visible
// in snapshot was sent, no row above hi was.
type position struct {
	hi       int64
	snapshot string
	system   int64 // identifier of the cluster in which the snapshot was taken
}

// cursor is the positions of all shards. In memory, all have the snapshot of the
// last poll. Stored, each has that of the last poll that sent a row of it, which
// claims less but nothing wrong.
type cursor struct {
	shards   [Shards]position
	caughtUp bool  // every row that the snapshot sees was sent
	system   int64 // identifier of the cluster that we are in
	base     int64 // rows up to here may come from another cluster

	moved  shardSet  // since they were stored
	stored time.Time // some shards, last
}

// ref names an outbox row.
type ref struct {
	shard int16
	seq   int64
	size  int // bytes of its payload
}

// unsent is what one snapshot shows to be unsent: late rows in the order of seq,
// then fresh ones in the order of seq.
type unsent struct {
	snapshot  string
	rows      []ref
	late      int          // how many of rows are late
	truncated [Shards]bool // there may be more fresh rows of the shard
}

type shardSet [Shards]bool

var all = func() (s shardSet) {
	for i := range s {
		s[i] = true
	}
	return s
}()

// advance moves the cursor past the first n rows, which include all late ones.
// They were all that the new snapshot sees up to their shards' hi and the old
// one did not, so the new one takes its place.
func (c *cursor) advance(u *unsent, n int) {
	for i := range c.shards {
		c.shards[i].snapshot, c.shards[i].system = u.snapshot, c.system
	}
	for _, ref := range u.rows[u.late:n] {
		c.shards[ref.shard].hi = ref.seq
	}
	c.caughtUp = false
}

// finish moves the cursor past all rows of u. A shard of which no row is left
// moves with the others even if it had none: what is drawn below its hi and
// commits later is late then, and partitions that it has no row in can go.
func (c *cursor) finish(u *unsent) {
	c.advance(u, len(u.rows))
	var top int64
	for _, ref := range u.rows {
		top = max(top, ref.seq)
	}
	c.caughtUp = true
	for i := range c.shards {
		if u.truncated[i] {
			c.caughtUp = false
		} else {
			c.shards[i].hi = max(c.shards[i].hi, top)
		}
	}
}

// beginSnapshot makes what follows see one snapshot. The planner's guesses about
// transaction ids that are newer than its statistics would sometimes make it read
// whole partitions, so it is told to use the indexes.
const (
	beginSnapshot = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`
	takeSnapshot  = `SELECT pg_current_snapshot()::text, set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true)`
)

// freshRefs finds rows above hi, the first few of each shard.
const freshRefs = `
SELECT o.shard, o.seq, o.size FROM unnest($1::smallint[], $2::bigint[]) AS c (shard, hi)
CROSS JOIN LATERAL (
    SELECT o.shard, o.seq, octet_length(o.payload) AS size FROM outbox o
    WHERE o.shard = c.shard AND o.seq > c.hi ORDER BY o.seq LIMIT $3
) o`

// unseenIn returns a subquery for all rows of a table that some of the snapshots
// could not see, and some that they could. Such a row is of a transaction that
// was running then, or of a later one, so it takes one look into the index on xid
// for each running one, and one for all that came later. The planner is left no
// other way: OFFSET 0 keeps conditions from outside out, which would tempt it to
// walk through all rows of a shard.
func unseenIn(table, snapshots string) string {
	later := `(SELECT pg_snapshot_xmax(s) FROM unnest(` + snapshots + `) s ORDER BY 1 LIMIT 1)`
	return `(
    SELECT o.* FROM (SELECT DISTINCT pg_snapshot_xip(s) AS xid FROM unnest(` + snapshots + `) s) running
    CROSS JOIN LATERAL (SELECT shard, seq, xid, octet_length(payload) AS size FROM ` + table + ` WHERE xid = running.xid OFFSET 0) o
    WHERE running.xid < ` + later + `
    UNION ALL
    (SELECT shard, seq, xid, octet_length(payload) AS size FROM ` + table + ` WHERE xid >= ` + later + ` ORDER BY xid OFFSET 0)
)`
}

// storedSnapshots are those of all stored positions.
const storedSnapshots = `ARRAY (SELECT snapshot FROM outbox_cursors)`

// lateRefs finds rows at or below hi that the positions' snapshots could not
// see.
//
// The snapshot of another cluster is compared by its own numbers, once. Rows
// that were brought from there are not looked at after that.
var lateRefs = `
SELECT o.shard, o.seq, o.size FROM ` + unseenIn("outbox", "$3::text[]::pg_snapshot[]") + ` o
JOIN unnest($1::smallint[], $2::bigint[], $3::text[]::pg_snapshot[], $4::boolean[]) AS c (shard, hi, snapshot, elsewhere) USING (shard)
WHERE o.seq <= c.hi AND (c.elsewhere OR o.seq > $5) AND NOT pg_visible_in_snapshot(o.xid, c.snapshot)`

// unseenRefs finds the first few rows that a snapshot of this cluster could not
// see. When all that it could see was sent, that is all there is to send, fresh
// and late, and it is much cheaper than a look at every shard.
const unseenRefs = `
SELECT o.* FROM (SELECT pg_snapshot_xip($1::text::pg_snapshot) AS xid) running
CROSS JOIN LATERAL (SELECT shard, seq, octet_length(payload) FROM outbox WHERE xid = running.xid AND seq > $2 OFFSET 0) o
UNION ALL
(SELECT shard, seq, octet_length(payload) FROM outbox
    WHERE xid >= pg_snapshot_xmax($1::text::pg_snapshot) AND xid < pg_snapshot_xmax(pg_current_snapshot()) AND seq > $2
    ORDER BY xid LIMIT $3)
LIMIT $3`

// find looks for unsent rows in a new snapshot. It does not keep it: the rows
// that it names are committed and stay.
func (r *Relay) find(ctx context.Context, conn *pgxpool.Conn, c *cursor) (*unsent, error) {
	if c.caughtUp {
		u, err := r.findUnseen(ctx, conn, c)
		if err != nil || u != nil {
			return u, err
		}
	}
	shards, his, snapshots, elsewhere := make([]int16, Shards), make([]int64, Shards), make([]string, Shards), make([]bool, Shards)
	for i, p := range c.shards {
		shards[i], his[i], snapshots[i], elsewhere[i] = int16(i), p.hi, p.snapshot, p.system != c.system
	}
	var late, fresh []ref
	u := &unsent{}
	err := u.read(ctx, conn,
		query{lateRefs, []any{shards, his, snapshots, elsewhere, c.base}, &late},
		query{freshRefs, []any{shards, his, r.perShard}, &fresh})
	if err != nil {
		return nil, err
	}
	var count [Shards]int
	for _, ref := range fresh {
		if count[ref.shard]++; count[ref.shard] == r.perShard {
			u.truncated[ref.shard] = true
		}
	}
	u.set(late, fresh)
	return u, nil
}

// findUnseen looks by transaction id alone. It returns nil when there are too
// many rows for that.
func (r *Relay) findUnseen(ctx context.Context, conn *pgxpool.Conn, c *cursor) (*unsent, error) {
	var found, late, fresh []ref
	u := &unsent{}
	if err := u.read(ctx, conn, query{unseenRefs, []any{c.shards[0].snapshot, c.base, r.perShard}, &found}); err != nil {
		return nil, err
	}
	if len(found) == r.perShard {
		return nil, nil
	}
	for _, ref := range found {
		if ref.seq <= c.shards[ref.shard].hi {
			late = append(late, ref)
		} else {
			fresh = append(fresh, ref)
		}
	}
	u.set(late, fresh)
	return u, nil
}

type query struct {
	sql  string
	args []any
	into *[]ref
}

// read makes queries in one snapshot and one round trip.
func (u *unsent) read(ctx context.Context, conn *pgxpool.Conn, queries ...query) error {
	batch := &pgx.Batch{}
	batch.Queue(beginSnapshot)
	batch.Queue(takeSnapshot).QueryRow(func(row pgx.Row) error {
		var setting string
		return row.Scan(&u.snapshot, &setting, &setting)
	})
	for _, q := range queries {
		batch.Queue(q.sql, q.args...).Query(func(rows pgx.Rows) (err error) {
			var o ref
			_, err = pgx.ForEachRow(rows, []any{&o.shard, &o.seq, &o.size}, func() error {
				*q.into = append(*q.into, o)
				return nil
			})
			return err
		})
	}
	batch.Queue(`COMMIT`)
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("look for outbox rows: %w", err)
	}
	return nil
}

func (u *unsent) set(late, fresh []ref) {
	bySeq := func(a, b ref) int { return cmp.Compare(a.seq, b.seq) }
	slices.SortFunc(late, bySeq)
	slices.SortFunc(fresh, bySeq)
	u.rows, u.late = append(late, fresh...), len(late)
}

// load reads the stored cursor.
func (r *Relay) load(ctx context.Context, conn *pgxpool.Conn) (*cursor, error) {
	if err := r.adopt(ctx, conn); err != nil {
		return nil, fmt.Errorf("adopt the outbox of another cluster: %w", err)
	}
	c := &cursor{}
	if err := conn.QueryRow(ctx, `SELECT system, base_seq FROM outbox_system`).Scan(&c.system, &c.base); err != nil {
		return nil, fmt.Errorf("load outbox cursor: %w", err)
	}
	rows, err := conn.Query(ctx, `SELECT shard, hi, snapshot::text, system FROM outbox_cursors`)
	if err != nil {
		return nil, fmt.Errorf("load outbox cursor: %w", err)
	}
	var shard int16
	var p position
	tag, err := pgx.ForEachRow(rows, []any{&shard, &p.hi, &p.snapshot, &p.system}, func() error {
		c.shards[shard] = p
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load outbox cursor: %w", err)
	}
	if tag.RowsAffected() != Shards {
		return nil, fmt.Errorf("load outbox cursor: table outbox_cursors has %d rows and not %d", tag.RowsAffected(), Shards)
	}
	return c, nil
}

// note stores the positions that have moved, if the last store was long enough
// ago.
func (r *Relay) note(ctx context.Context, conn *pgxpool.Conn, c *cursor, pause time.Duration) error {
	if c.moved == (shardSet{}) || time.Since(c.stored) < pause {
		return nil
	}
	return r.store(ctx, conn, c, c.moved)
}

// noteAtEnd stores what has moved when the relay stops, so that an orderly stop
// sends nothing twice. After trouble it is an attempt.
func (r *Relay) noteAtEnd(ctx context.Context, conn *pgxpool.Conn, c *cursor) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settle)
	defer cancel()
	if err := r.note(ctx, conn, c, 0); err != nil {
		r.log.DebugContext(ctx, "outbox cursor not stored at the end; some facts are sent again", "error", err)
	}
}

// store writes the positions of some shards. It does not wait for the disk: a
// position that is lost in a crash means that some rows are sent again.
func (r *Relay) store(ctx context.Context, conn *pgxpool.Conn, c *cursor, which shardSet) error {
	var shards []int16
	var his, systems []int64
	var snapshots []string
	for i, p := range c.shards {
		if which[i] {
			shards, his = append(shards, int16(i)), append(his, p.hi)
			snapshots, systems = append(snapshots, p.snapshot), append(systems, p.system)
		}
	}
	batch := &pgx.Batch{}
	batch.Queue(`BEGIN`)
	batch.Queue(`SET LOCAL synchronous_commit = off`)
	batch.Queue(`
		UPDATE outbox_cursors c SET hi = u.hi, snapshot = u.snapshot, system = u.system
		FROM unnest($1::smallint[], $2::bigint[], $3::text[]::pg_snapshot[], $4::bigint[]) AS u (shard, hi, snapshot, system)
		WHERE c.shard = u.shard`, shards, his, snapshots, systems)
	batch.Queue(`COMMIT`)
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("store outbox cursor: %w", err)
	}
	c.moved, c.stored = shardSet{}, time.Now()
	return nil
}
