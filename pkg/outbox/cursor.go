package outbox

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// position is how far a shard was sent: every row with seq <= hi that is visible
// in snapshot was sent, no row above hi was.
type position struct {
	hi       int64
	snapshot string
	next     uint64 // whoever has drawn a number up to hi has a transaction id below
	system   int64  // identifier of the cluster in which the snapshot was taken
	epoch    int64  // of the lease under which it may be stored
}

// cursor is the positions of the shards that we have. In memory, all have the
// snapshot of the last poll. Stored, each has that of the last poll that sent a
// row of it, which claims less but nothing wrong.
type cursor struct {
	shards   [Shards]position
	ours     shardSet
	caughtUp bool  // every row that the snapshot sees was handed over
	busy     int   // shards of which the last poll did not see the end
	system   int64 // identifier of the cluster that we are in
	base     int64 // rows up to here may come from another cluster
}

type shardSet [Shards]bool

func (s shardSet) count() (n int) {
	for _, is := range s {
		if is {
			n++
		}
	}
	return n
}

// look is what one poll sees.
type look struct {
	snapshot string
	last     int64         // the newest seq that was drawn
	next     uint64        // the first transaction id that was not given when last was read
	fresh    [Shards]int   // rows above hi
	top      [Shards]int64 // the newest of them
	full     [Shards]bool  // there may be more of them
}

// finish moves the cursor past all rows of a poll. A shard of which no row is left
// moves past all that was drawn: what commits later below that is late then, and
// partitions that it has no row in can go.
func (c *cursor) finish(l *look) {
	c.caughtUp, c.busy = true, 0
	for i := range c.shards {
		p := &c.shards[i]
		if !c.ours[i] {
			continue
		}
		p.snapshot, p.next, p.system = l.snapshot, l.next, c.system
		p.hi = max(p.hi, l.top[i])
		if l.full[i] {
			c.caughtUp = false
			c.busy++
		} else {
			p.hi = max(p.hi, l.last)
		}
	}
}

// beginSnapshot makes what follows see one snapshot. The planner's guesses about
// transaction ids that are newer than its statistics would sometimes make it read
// whole partitions, so it is told to use the indexes.
const (
	beginSnapshot = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`
	takeSnapshot  = `SELECT pg_current_snapshot()::text, (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM outbox_seq), set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true)`
	// A snapshot ends at the newest transaction that was complete. Behind that are
	// those that run, and the ids that nobody has: age counts from there. It must be
	// asked after takeSnapshot.
	takeNext = `SELECT pg_snapshot_xmax(s)::text::bigint + greatest(age(pg_snapshot_xmax(s)::xid), 0) FROM pg_current_snapshot() s`
)

// columns of a row, as readRow takes them.
const columns = `o.shard, o.seq, o.topic, o.key, o.headers, o.payload`

// freshRows finds rows above hi, the first few of each shard; freshOfTopic those
// of one topic.
const (
	freshRows    = freshFrom + `WHERE o.shard = c.shard AND o.seq > c.hi` + freshFirst
	freshOfTopic = freshFrom + `WHERE o.shard = c.shard AND o.seq > c.hi AND o.topic = $4` + freshFirst
	freshFrom    = `
SELECT o.* FROM unnest($1::smallint[], $2::bigint[]) AS c (shard, hi)
CROSS JOIN LATERAL (
    SELECT ` + columns + ` FROM outbox o
    `
	freshFirst = ` ORDER BY o.seq LIMIT $3
) o`
)

// unseenIn returns a subquery for all rows of a table up to their highest hi that
// some of the positions could not see, and some that they could; some twice. Such
// a row is of a transaction that was running then, and had its id: so it takes one
// look into the index on xid for each that the snapshot names, and one for those
// behind its end. What was written since, a backlog of millions perhaps, is not
// looked at. The planner is left no other way: OFFSET 0 keeps conditions from
// outside out, which would tempt it to walk through all rows of a shard.
func unseenIn(table, positions string) string {
	sought := `AND seq <= (SELECT max(hi) FROM ` + positions + `)`
	return `(
    SELECT o.* FROM (SELECT DISTINCT pg_snapshot_xip(snapshot) AS xid FROM ` + positions + `) running
    CROSS JOIN LATERAL (SELECT shard, seq, xid FROM ` + table + ` WHERE xid = running.xid ` + sought + ` OFFSET 0) o
    UNION ALL
    SELECT o.* FROM (SELECT DISTINCT pg_snapshot_xmax(snapshot) AS first, next_xid AS next FROM ` + positions + `) behind
    CROSS JOIN LATERAL (SELECT shard, seq, xid FROM ` + table + ` WHERE xid >= behind.first AND xid < behind.next ` + sought + ` ORDER BY xid OFFSET 0) o
)`
}

// inOrder returns the rows that a query of refs names, in the order of seq. Only
// refs are sorted: however many there are, the server sends rows as it reads them.
func inOrder(refs string) string {
	return `
SELECT o.* FROM (SELECT r.shard, r.seq FROM (` + refs + `) r ORDER BY r.seq OFFSET 0) r
CROSS JOIN LATERAL (SELECT ` + columns + ` FROM outbox o WHERE o.shard = r.shard AND o.seq = r.seq LIMIT 1) o
ORDER BY r.seq`
}

// lateRows finds rows at or below hi that the positions' snapshots could not
// see.
//
// The snapshot of another cluster is compared by its own numbers, once. Rows
// that were brought from there are not looked at after that.
var lateRows = inOrder(`
WITH c AS MATERIALIZED (
    SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::text[]::pg_snapshot[], $4::text[]::xid8[], $5::boolean[]) AS c (shard, hi, snapshot, next_xid, elsewhere)
)
SELECT DISTINCT o.shard, o.seq FROM ` + unseenIn("outbox", "c") + ` o JOIN c USING (shard)
WHERE o.seq <= c.hi AND (c.elsewhere OR o.seq > $6) AND NOT pg_visible_in_snapshot(o.xid, c.snapshot)`)

// unseenRefs finds up to $3 rows that a snapshot of this cluster could not see.
const unseenRefs = `
SELECT o.* FROM (SELECT pg_snapshot_xip($1::text::pg_snapshot) AS xid) running
CROSS JOIN LATERAL (SELECT shard, seq FROM outbox WHERE xid = running.xid AND seq > $2 OFFSET 0) o
UNION ALL
(SELECT shard, seq FROM outbox
    WHERE xid >= pg_snapshot_xmax($1::text::pg_snapshot) AND xid < pg_snapshot_xmax(pg_current_snapshot()) AND seq > $2
    ORDER BY xid LIMIT $3)
LIMIT $3`

// When all that a snapshot could see was sent, what it could not see is all there
// is to send, fresh and late, and it is much cheaper to find than by a look at
// every shard. unseenRows returns none if there are $3 of them or more, which
// unseenCount tells.
var (
	unseenCount = `SELECT count(*) FROM (` + unseenRefs + `) o`
	unseenRows  = `WITH unseen AS MATERIALIZED (` + unseenRefs + `)` +
		inOrder(`SELECT shard, seq FROM unseen WHERE shard = ANY ($4::smallint[]) AND (SELECT count(*) FROM unseen) < $3`)
)

// view is a cursor from which a poll looks.
type view struct {
	cur   *cursor
	topic string // the only one that is looked for; "": all
	each  func(row, string) error
	look  look
	limit int // of fresh rows of a shard
}

// look hands every row to each that a new snapshot shows and the cursor has not
// passed: late rows and then fresh ones, those of a key in the order of seq. The
// snapshot is kept as long as that takes, and other views see it too.
func (r *Relay) look(ctx context.Context, conn *pgxpool.Conn, c *cursor, each func(row, string) error, others ...*view) (*look, error) {
	if c.caughtUp && len(others) == 0 {
		if l, err := r.lookUnseen(ctx, conn, c, each); err != nil || l != nil {
			return l, err
		}
	}
	main := &view{cur: c, each: each}
	views := append([]*view{main}, others...)
	var queries []query
	for _, v := range views {
		queries = append(queries, v.queries(r.perShard)...)
	}
	if err := read(ctx, conn, views, queries...); err != nil {
		return nil, err
	}
	for _, v := range views {
		for i, n := range v.look.fresh {
			v.look.full[i] = n >= v.limit
		}
	}
	return &main.look, nil
}

// queries finds late rows and fresh ones.
func (v *view) queries(perShard int) []query {
	var shards []int16
	var his []int64
	var snapshots, nexts []string
	var elsewhere []bool
	for i, p := range v.cur.shards {
		if v.cur.ours[i] {
			shards, his = append(shards, int16(i)), append(his, p.hi)
			snapshots, nexts = append(snapshots, p.snapshot), append(nexts, strconv.FormatUint(p.next, 10))
			elsewhere = append(elsewhere, p.system != v.cur.system)
		}
	}
	// The fewer shards have a backlog, the more of each are read at a time.
	v.limit = perShard * len(shards) / max(1, min(v.cur.busy, len(shards)))
	late := query{v, lateRows, []any{shards, his, snapshots, nexts, elsewhere, v.cur.base}, nil}
	if v.topic != "" {
		return []query{late, {v, freshOfTopic, []any{shards, his, v.limit, v.topic}, nil}}
	}
	return []query{late, {v, freshRows, []any{shards, his, v.limit}, nil}}
}

// lookUnseen looks by transaction id alone. It returns nil when there are too
// many rows for that.
func (r *Relay) lookUnseen(ctx context.Context, conn *pgxpool.Conn, c *cursor, each func(row, string) error) (*look, error) {
	var shards []int16
	snapshot := ""
	for i, p := range c.shards {
		if c.ours[i] {
			shards, snapshot = append(shards, int16(i)), p.snapshot
		}
	}
	most, n := Shards*r.perShard/4, 0
	v := &view{cur: c, each: each}
	err := read(ctx, conn, []*view{v},
		query{nil, unseenCount, []any{snapshot, c.base, most}, &n},
		query{v, unseenRows, []any{snapshot, c.base, most, shards}, nil})
	if n >= most {
		return nil, err
	}
	return &v.look, err
}

// query is a statement that returns rows for a view, or a number.
type query struct {
	view  *view
	sql   string
	args  []any
	count *int
}

// read makes queries in one snapshot and one round trip.
func read(ctx context.Context, conn *pgxpool.Conn, views []*view, queries ...query) error {
	batch := &pgx.Batch{}
	batch.Queue(beginSnapshot)
	var seen look
	batch.Queue(takeSnapshot).QueryRow(func(row pgx.Row) error {
		var setting string
		return row.Scan(&seen.snapshot, &seen.last, &setting, &setting)
	})
	batch.Queue(takeNext).QueryRow(func(row pgx.Row) error {
		if err := row.Scan(&seen.next); err != nil {
			return err
		}
		for _, v := range views {
			v.look = seen
		}
		return nil
	})
	reader := rowReader{}
	for _, q := range queries {
		queued := batch.Queue(q.sql, q.args...)
		if q.count != nil {
			queued.QueryRow(func(row pgx.Row) error { return row.Scan(q.count) })
			continue
		}
		queued.Query(func(rows pgx.Rows) error {
			for rows.Next() {
				o, topic, err := reader.read(rows.RawValues())
				if err != nil {
					return err
				}
				if err := q.view.take(o, topic); err != nil {
					return err
				}
			}
			return rows.Err()
		})
	}
	batch.Queue(`COMMIT`)
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("look for outbox rows: %w", err)
	}
	return nil
}

// take notes where a row stands, and hands it on.
func (v *view) take(o row, topic string) error {
	l := &v.look
	if o.seq > v.cur.shards[o.shard].hi {
		if o.seq <= l.top[o.shard] {
			return fmt.Errorf("row %d of shard %d came after %d", o.seq, o.shard, l.top[o.shard])
		}
		l.fresh[o.shard]++
		l.top[o.shard] = o.seq
	}
	return v.each(o, topic)
}

// rowReader reads rows out of the connection's buffer.
type rowReader struct {
	headers headerReader
	topics  map[string]string
	block   []Header // of which rows have their headers
}

const (
	usualHeaders  = 16   // a row seldom has more
	headersAtOnce = 1024 // are allocated together
)

// read copies a row, with one allocation for its bytes.
func (r *rowReader) read(raw [][]byte) (o row, topic string, err error) {
	shard, seq, key, headers, payload := raw[0], raw[1], raw[3], raw[4], raw[5]
	if len(shard) != 2 || len(seq) != 8 {
		return o, "", errors.New("shard and seq are not smallint and bigint")
	}
	o.shard, o.seq = int16(binary.BigEndian.Uint16(shard)), int64(binary.BigEndian.Uint64(seq)) //nolint:gosec // they are signed
	if o.shard < 0 || o.shard >= Shards {
		return o, "", fmt.Errorf("row %d has shard %d", o.seq, o.shard)
	}
	topic, known := r.topics[string(raw[2])]
	if !known {
		if r.topics == nil {
			r.topics = map[string]string{}
		}
		topic = string(raw[2])
		r.topics[topic] = topic
	}
	all := make([]byte, 0, len(key)+len(headers)+len(payload))
	all = append(append(append(all, key...), headers...), payload...)
	k, h := len(key), len(key)+len(headers)
	o.Key, o.Payload = all[:k:k], all[h:]
	if cap(r.block)-len(r.block) < usualHeaders {
		r.block = make([]Header, 0, headersAtOnce)
	}
	list, err := r.headers.read(r.block[len(r.block):len(r.block):cap(r.block)], all[k:h:h])
	if err != nil {
		return o, "", fmt.Errorf("row %d: %w", o.seq, err)
	}
	if len(list) > cap(r.block)-len(r.block) {
		r.block = nil // they have a place of their own
	} else {
		r.block = r.block[:len(r.block)+len(list)]
	}
	o.Headers = list[:len(list):len(list)]
	return o, topic, nil
}

// load reads the stored positions of the shards that are ours.
func (r *Relay) load(ctx context.Context, conn *pgxpool.Conn, l *lease) (*cursor, error) {
	c := &cursor{busy: Shards}
	if err := conn.QueryRow(ctx, `SELECT system, base_seq FROM outbox_system`).Scan(&c.system, &c.base); err != nil {
		return nil, fmt.Errorf("load outbox cursor: %w", err)
	}
	rows, err := conn.Query(ctx, `SELECT shard, hi, snapshot::text, next_xid::text::bigint, system, epoch FROM outbox_cursors WHERE owner = $1`, l.relay)
	if err != nil {
		return nil, fmt.Errorf("load outbox cursor: %w", err)
	}
	var shard int16
	var p position
	_, err = pgx.ForEachRow(rows, []any{&shard, &p.hi, &p.snapshot, &p.next, &p.system, &p.epoch}, func() error {
		c.shards[shard], c.ours[shard] = p, true
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load outbox cursor: %w", err)
	}
	return c, nil
}
