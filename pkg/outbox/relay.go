package outbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
)

// KeyMetadata is the message metadata that becomes the Kafka key.
const KeyMetadata = "partition_key"

// Relay sends committed facts to Kafka through a publisher.
type Relay struct {
	db  *DB
	pub message.Publisher
	log *slog.Logger

	chunk   int           // fresh rows of a shard in one poll
	idleMax time.Duration // between polls when nothing happens
	retain  time.Duration // what was sent stays visible this long
	size    int64         // rows of a partition

	cursor *cursor // what was acknowledged; nil until loaded
}

// RelayOption changes a Relay.
type RelayOption func(*Relay)

// WithChunk bounds how many fresh rows of a shard one poll takes.
func WithChunk(n int) RelayOption { return func(r *Relay) { r.chunk = n } }

// WithRetention keeps sent rows for a time, for timelines to show. Default: 24 h.
func WithRetention(d time.Duration) RelayOption { return func(r *Relay) { r.retain = d } }

// NewRelay returns a relay of db's outbox. The publisher must return from
// Publish only when all messages are acknowledged.
func NewRelay(db *DB, pub message.Publisher, log *slog.Logger, opts ...RelayOption) *Relay {
	r := &Relay{db: db, pub: pub, log: log, chunk: 500, idleMax: time.Second, retain: 24 * time.Hour, size: partitionSize}
	for _, o := range opts {
		o(r)
	}
	return r
}

const (
	// gather is how long the relay waits after a commit for others to send with it.
	gather         = 2 * time.Millisecond
	idleMin        = 20 * time.Millisecond
	troubleMin     = 100 * time.Millisecond
	troubleMax     = 5 * time.Second
	housekeepEvery = 30 * time.Second
)

// Run relays until ctx ends. It never ends on an error: it says what is wrong,
// waits and goes on from the last acknowledged cursor.
//
// A commit through this DB wakes it at once. Commits of other processes are
// found by polling, every 20 ms after something was found, up to once a second
// when nothing happens.
func (r *Relay) Run(ctx context.Context) error {
	idle, trouble := idleMin, time.Duration(0)
	var kept time.Time
	for ctx.Err() == nil {
		if time.Since(kept) > housekeepEvery {
			if err := r.housekeep(ctx); err != nil && ctx.Err() == nil {
				r.log.WarnContext(ctx, "outbox housekeeping; it will be tried again", "error", err)
			}
			kept = time.Now()
		}
		n, err := r.Poll(ctx)
		pause := time.Duration(0)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			trouble = min(max(2*trouble, troubleMin), troubleMax)
			r.log.ErrorContext(ctx, "relay cannot go on; trying again", "error", err, "in", trouble)
			r.cursor = nil // go on from what is stored
			pause = trouble
		case n > 0:
			idle, trouble = idleMin, 0
			if !r.cursor.drained {
				continue // there is more
			}
			pause = idle
		default:
			trouble = 0
			pause, idle = idle, min(2*idle, r.idleMax)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-r.db.wake:
			idle = idleMin
			wait := gather
			if err != nil {
				wait = trouble // an outage is not shortened by commits
			}
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil
}

// cursor is the relay's position: for all shards one snapshot, for each its hi.
// Stored, each shard has the snapshot of the last poll that moved it, which says
// less but nothing wrong.
type cursor struct {
	hi       [Shards]int64
	snapshot [Shards]string
	system   [Shards]int64
	here     int64 // identifier of the cluster that we are in
	base     int64 // largest seq that was brought from another cluster
	drained  bool  // the poll left nothing behind: all that snapshot sees is sent
}

// row is an outbox row to send.
type row struct {
	shard   int16
	seq     int64
	eventID string
	topic   string
	key     string
	headers map[string]string
	payload []byte
}

// Poll makes one poll: it reads fresh and late rows in one snapshot, sends them,
// and stores the cursor when all are acknowledged. It returns how many it sent.
func (r *Relay) Poll(ctx context.Context) (int, error) {
	if r.cursor == nil {
		c, err := r.load(ctx)
		if err != nil {
			return 0, err
		}
		r.cursor = c
	}
	rows, next, err := r.read(ctx)
	if err != nil {
		return 0, err
	}
	if len(rows) == 0 {
		// Nothing to send up to next: moving on in memory alone is safe, since
		// the stored cursor claims less.
		r.cursor = next
		return 0, nil
	}
	if err := r.send(rows); err != nil {
		return 0, err
	}
	if err := r.store(ctx, next, rows); err != nil {
		return 0, err
	}
	r.cursor = next
	return len(rows), nil
}

func (r *Relay) load(ctx context.Context) (*cursor, error) {
	if err := r.adopt(ctx); err != nil {
		return nil, err
	}
	c := &cursor{}
	err := r.db.pool.QueryRow(ctx, `SELECT system, base_seq FROM outbox_system`).Scan(&c.here, &c.base)
	if err != nil {
		return nil, fmt.Errorf("load outbox cursor: %w", err)
	}
	rows, err := r.db.pool.Query(ctx, `SELECT shard, hi, snapshot::text, system FROM outbox_cursors`)
	if err != nil {
		return nil, fmt.Errorf("load outbox cursor: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var shard int16
		var hi, system int64
		var snapshot string
		if err := rows.Scan(&shard, &hi, &snapshot, &system); err != nil {
			return nil, fmt.Errorf("load outbox cursor: %w", err)
		}
		c.hi[shard], c.snapshot[shard], c.system[shard] = hi, snapshot, system
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("load outbox cursor: %w", err)
	}
	return c, nil
}

// adopt notices that the database was restored into another cluster: rows up to
// the largest restored seq bear transaction ids that mean nothing here.
func (r *Relay) adopt(ctx context.Context) error {
	_, err := r.db.pool.Exec(ctx, `
		UPDATE outbox_system SET system = c.system_identifier, base_seq = coalesce((SELECT max(seq) FROM outbox), 0)
		FROM pg_control_system() c WHERE system <> c.system_identifier`)
	if err != nil {
		return fmt.Errorf("outbox: look at the cluster's identifier: %w", err)
	}
	return nil
}

const rowColumns = `o.shard, o.seq, o.event_id, o.topic, o.key, o.headers, o.payload`

// freshRows reads above hi. Chunks of shards end where the limit is, so hi then
// moves only so far.
const freshRows = `
SELECT ` + rowColumns + ` FROM unnest($1::smallint[], $2::bigint[]) AS c (shard, hi)
CROSS JOIN LATERAL (SELECT * FROM outbox o WHERE o.shard = c.shard AND o.seq > c.hi ORDER BY o.seq LIMIT $3) o`

// lateRows reads at or below hi what the stored snapshot could not see. The
// bound on xid is what the index needs: no such row has an older one. A snapshot
// of another cluster is compared by its own numbers, once; rows that were brought
// from there are not looked at again.
const lateRows = `
SELECT ` + rowColumns + ` FROM outbox o JOIN unnest($1::smallint[], $2::bigint[], $3::text[], $4::boolean[]) AS c (shard, hi, snapshot, foreign_snapshot) USING (shard)
WHERE o.xid >= $5::text::xid8 AND o.seq <= c.hi AND (c.foreign_snapshot OR o.seq > $6)
	AND NOT pg_visible_in_snapshot(o.xid, c.snapshot::pg_snapshot)`

// unseenRows reads all that a snapshot could not see. When the poll that took the
// snapshot left nothing behind, that is all there is to send, fresh and late, and
// one walk along the xid index finds it for all shards at once.
const unseenRows = `
SELECT ` + rowColumns + ` FROM outbox o
WHERE o.xid >= $1::text::xid8 AND o.seq > $2 AND NOT pg_visible_in_snapshot(o.xid, $3::text::pg_snapshot)`

// narrow is how many transactions a snapshot may span for unseenRows to be the
// cheaper way: with a transaction left open the walk would get longer and longer.
const narrow = 10_000

// read reads fresh and late rows in one snapshot, in the order of seq, and says
// where the cursor is once they are sent.
func (r *Relay) read(ctx context.Context) ([]row, *cursor, error) {
	if r.cursor.drained && span(r.cursor.snapshot[0]) < narrow {
		return r.readUnseen(ctx)
	}
	return r.readShards(ctx)
}

// readUnseen reads after a poll that left nothing behind.
func (r *Relay) readUnseen(ctx context.Context) ([]row, *cursor, error) {
	c := r.cursor
	var now string
	var rows []row
	batch := &pgx.Batch{}
	batch.Queue(`SELECT pg_current_snapshot()::text`).QueryRow(func(r pgx.Row) error { return r.Scan(&now) })
	batch.Queue(unseenRows, oldest(c.snapshot[:1]), c.base, c.snapshot[0]).Query(func(found pgx.Rows) error { return collect(found, &rows) })
	if err := r.inSnapshot(ctx, batch); err != nil {
		return nil, nil, err
	}
	next := *c
	var top int64
	for _, o := range rows {
		top = max(top, o.seq)
	}
	for i := range Shards {
		next.hi[i], next.snapshot[i] = max(next.hi[i], top), now
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.seq, b.seq) })
	return rows, &next, nil
}

// inSnapshot runs statements that see one snapshot, in one round trip.
func (r *Relay) inSnapshot(ctx context.Context, batch *pgx.Batch) error {
	err := pgx.BeginTxFunc(ctx, r.db.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		return tx.SendBatch(ctx, batch).Close()
	})
	if err != nil {
		return fmt.Errorf("read outbox: %w", err)
	}
	return nil
}

func collect(found pgx.Rows, rows *[]row) error {
	var o row
	_, err := pgx.ForEachRow(found, []any{&o.shard, &o.seq, &o.eventID, &o.topic, &o.key, &o.headers, &o.payload}, func() error {
		*rows = append(*rows, o)
		o.headers, o.payload = nil, nil // not shared with the next
		return nil
	})
	return err
}

// readShards reads each shard from its own place.
func (r *Relay) readShards(ctx context.Context) ([]row, *cursor, error) {
	c := r.cursor
	shards, his, snapshots, foreign := make([]int16, Shards), make([]int64, Shards), make([]string, Shards), make([]bool, Shards)
	for i := range Shards {
		shards[i], his[i], snapshots[i], foreign[i] = int16(i), c.hi[i], c.snapshot[i], c.system[i] != c.here
	}
	var now string
	var rows []row
	fresh := 0
	batch := &pgx.Batch{}
	batch.Queue(`SELECT pg_current_snapshot()::text`).QueryRow(func(r pgx.Row) error { return r.Scan(&now) })
	batch.Queue(freshRows, shards, his, r.chunk).Query(func(found pgx.Rows) error {
		err := collect(found, &rows)
		fresh = len(rows)
		return err
	})
	batch.Queue(lateRows, shards, his, snapshots, foreign, oldest(snapshots), c.base).Query(func(found pgx.Rows) error { return collect(found, &rows) })
	if err := r.inSnapshot(ctx, batch); err != nil {
		return nil, nil, err
	}

	next := *c
	var top int64
	counts := [Shards]int{}
	for _, o := range rows[:fresh] {
		next.hi[o.shard] = max(next.hi[o.shard], o.seq)
		counts[o.shard]++
		top = max(top, o.seq)
	}
	next.drained = true
	for i := range Shards {
		next.snapshot[i], next.system[i] = now, c.here
		if counts[i] == r.chunk {
			next.drained = false // there may be more of it
		} else {
			// All that is visible of this shard is sent, so its hi may stand
			// anywhere; what is drawn below and commits later is late then.
			next.hi[i] = max(next.hi[i], top)
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.seq, b.seq) })
	return rows, &next, nil
}

// oldest is the smallest xmin of some snapshots, "xmin:xmax:xip,…": no row that
// one of them cannot see has an older transaction id.
func oldest(snapshots []string) string {
	least := uint64(math.MaxUint64)
	for _, s := range snapshots {
		xmin, _, _ := strings.Cut(s, ":")
		if n, err := strconv.ParseUint(xmin, 10, 64); err == nil {
			least = min(least, n)
		}
	}
	return strconv.FormatUint(least, 10)
}

// span is how many transactions a snapshot spans, from the oldest that was still
// running to the newest.
func span(snapshot string) uint64 {
	xmin, rest, _ := strings.Cut(snapshot, ":")
	xmax, _, _ := strings.Cut(rest, ":")
	first, err1 := strconv.ParseUint(xmin, 10, 64)
	last, err2 := strconv.ParseUint(xmax, 10, 64)
	if err1 != nil || err2 != nil {
		return math.MaxUint64
	}
	return last - first
}

// send publishes the rows, each topic in the order of seq, topics side by side.
func (r *Relay) send(rows []row) error {
	byTopic := map[string][]*message.Message{}
	for _, o := range rows {
		m := message.NewMessage(o.eventID, o.payload)
		for k, v := range o.headers {
			m.Metadata[k] = v
		}
		m.Metadata[KeyMetadata] = o.key
		byTopic[o.topic] = append(byTopic[o.topic], m)
	}
	errs := make(chan error, len(byTopic))
	for topic, messages := range byTopic {
		go func() { errs <- r.pub.Publish(topic, messages...) }()
	}
	var all error
	for range byTopic {
		all = errors.Join(all, <-errs)
	}
	return all
}

// store writes the cursor of the shards that something was sent of. A shard that
// stays behind claims less, which is safe: nothing of it was sent since.
func (r *Relay) store(ctx context.Context, next *cursor, rows []row) error {
	var sent [Shards]bool
	for _, o := range rows {
		sent[o.shard] = true
	}
	return r.storeShards(ctx, next, func(shard int) bool { return sent[shard] })
}

func (r *Relay) storeShards(ctx context.Context, c *cursor, which func(shard int) bool) error {
	var shards []int16
	var his, systems []int64
	var snapshots []string
	for i := range Shards {
		if which(i) {
			shards, his = append(shards, int16(i)), append(his, c.hi[i])
			snapshots, systems = append(snapshots, c.snapshot[i]), append(systems, c.system[i])
		}
	}
	_, err := r.db.pool.Exec(ctx, `
		UPDATE outbox_cursors c SET hi = u.hi, snapshot = u.snapshot::pg_snapshot, system = u.system
		FROM unnest($1::smallint[], $2::bigint[], $3::text[], $4::bigint[]) AS u (shard, hi, snapshot, system) WHERE c.shard = u.shard`,
		shards, his, snapshots, systems)
	if err != nil {
		return fmt.Errorf("store outbox cursor: %w", err)
	}
	return nil
}
