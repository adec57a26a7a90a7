package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/trace"
)

// KeyMetadata is the message metadata that becomes the Kafka key.
const KeyMetadata = "partition_key"

// Relay sends committed facts to Kafka through a publisher.
type Relay struct {
	db  *DB
	pub message.Publisher
	log *slog.Logger

	perShard  int           // fresh rows of a shard that one poll looks at
	chunkRows int           // rows that are sent, and held in memory, at a time
	chunkSize int           // bytes of payload at a time, though at least one row
	idleMax   time.Duration // between polls when nothing happens
	noteEvery time.Duration // between two stores of the cursor while little is sent
	retain    time.Duration // what was sent stays visible this long
	partition int64         // rows of a partition
}

// RelayOption changes a Relay.
type RelayOption func(*Relay)

// WithChunk bounds how many rows are sent at a time.
func WithChunk(rows int) RelayOption {
	return func(r *Relay) { r.perShard, r.chunkRows = rows, rows }
}

// WithRetention keeps sent rows for a time, for timelines to show. Default: 24 h.
func WithRetention(d time.Duration) RelayOption { return func(r *Relay) { r.retain = d } }

// NewRelay returns a relay of db's outbox. The publisher must return from
// Publish only when all messages are acknowledged, and must keep their order.
func NewRelay(db *DB, pub message.Publisher, log *slog.Logger, opts ...RelayOption) *Relay {
	r := &Relay{
		db: db, pub: pub, log: log,
		perShard: 1000, chunkRows: 1000, chunkSize: 4 << 20,
		idleMax: time.Second, noteEvery: 100 * time.Millisecond, retain: 24 * time.Hour, partition: partitionRows,
	}
	for _, o := range opts {
		o(r)
	}
	return r
}

const (
	// gather is how long the relay waits after a commit for others to send with it.
	gather     = 5 * time.Millisecond
	idleMin    = 20 * time.Millisecond
	troubleMin = 100 * time.Millisecond
	troubleMax = 5 * time.Second
	// settle is how long what is being sent when Run's context ends may still be
	// acknowledged and noted; what is not is sent again by the next relay.
	settle = 2 * time.Second
	// noteQuietEvery is how often the places of quiet shards are stored.
	noteQuietEvery  = 30 * time.Second
	partitionsEvery = 10 * time.Second
)

// Run relays until ctx ends. It never ends on an error: it says what is wrong,
// waits and goes on from the stored cursor.
//
// A commit through this DB wakes it at once. Commits of other processes are
// found by polling, every 20 ms after something was found, up to once a second
// when nothing happens. The cursor is stored after each chunk of many, and about
// ten times a second while there are few; what a crash forgets is sent again.
func (r *Relay) Run(ctx context.Context) error {
	ctx = untraced(ctx)
	var partitions sync.WaitGroup
	// Apart from sending: the shop needs partitions most when Kafka is away.
	partitions.Go(func() { r.keepPartitions(ctx) })
	defer partitions.Wait()
	trouble := time.Duration(0)
	for ctx.Err() == nil {
		err := r.session(ctx, func() { trouble = 0 })
		if ctx.Err() != nil {
			return nil
		}
		trouble = min(max(2*trouble, troubleMin), troubleMax)
		r.log.ErrorContext(ctx, "outbox relay cannot go on; trying again", "error", err, "in", trouble)
		wait(ctx, trouble, nil)
	}
	return nil
}

// untraced keeps polls out of the traces, where they would drown what somebody
// did: they belong to a trace that is not sampled.
func untraced(ctx context.Context) context.Context {
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}}))
}

// session relays with one connection, until trouble. What is known of the cursor
// beyond what is stored lives no longer than the connection: a server that took
// over from another may hand out the same transaction ids again.
func (r *Relay) session(ctx context.Context, good func()) error {
	conn, err := r.db.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Release()
	cur, err := r.load(ctx, conn)
	if err != nil {
		return err
	}
	defer r.noteAtEnd(ctx, conn, cur)
	idle, woken, noted, quiet := idleMin, false, time.Now(), false
	for ctx.Err() == nil {
		n, err := r.poll(ctx, conn, cur)
		if err == nil {
			err = r.note(ctx, conn, cur, r.noteEvery)
		}
		if err != nil {
			return err
		}
		good()
		quiet = quiet || n > 0
		if quiet && cur.caughtUp && time.Since(noted) > noteQuietEvery {
			if err := r.store(ctx, conn, cur, all); err != nil {
				return err
			}
			noted, quiet = time.Now(), false
		}
		switch {
		case !cur.caughtUp:
			continue
		case n > 0 && !woken:
			idle = idleMin // others write too
		default:
			idle = min(2*idle, r.idleMax)
		}
		if woken = wait(ctx, idle, r.db.wake); woken {
			wait(ctx, gather, nil)
		}
	}
	return ctx.Err()
}

// wait returns when d is over or ctx ends, or, true, when woken.
func wait(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-wake:
		return true
	}
	return false
}

// poll sends what is unsent in one snapshot and moves cur, which is stored after
// each chunk that it can be stored after, or soon. It returns how many rows it
// sent.
//
// Late rows go first. For each shard they are all below the fresh ones, so the
// rows of a key go in the order of seq, and after them every further row moves
// the cursor: a place between two late rows could not be expressed.
func (r *Relay) poll(ctx context.Context, conn *pgxpool.Conn, cur *cursor) (int, error) {
	found, err := r.find(ctx, conn, cur)
	if err != nil {
		return 0, err
	}
	finish, cancel := outlive(ctx, settle)
	defer cancel()
	sent := 0
	for todo := found.rows; len(todo) > 0; {
		if ctx.Err() != nil {
			return sent, ctx.Err()
		}
		chunk := r.cut(todo)
		rows, err := fetch(ctx, conn, todo[:chunk])
		if err != nil {
			return sent, err
		}
		if err := r.send(finish, rows); err != nil {
			return sent, err
		}
		for _, ref := range todo[:chunk] {
			cur.moved[ref.shard] = true
		}
		sent, todo = sent+chunk, todo[chunk:]
		if sent < found.late {
			continue
		}
		cur.advance(found, sent)
		pause := r.noteEvery
		if len(todo) > 0 {
			pause = 0 // a chunk is much to send again
		}
		if err := r.note(finish, conn, cur, pause); err != nil {
			return sent, err
		}
	}
	cur.finish(found)
	return sent, nil
}

// cut is how many of the rows make the next chunk.
func (r *Relay) cut(refs []ref) int {
	n, size := 0, 0
	for n < len(refs) && n < r.chunkRows && (n == 0 || size+refs[n].size <= r.chunkSize) {
		size += refs[n].size
		n++
	}
	return n
}

// outlive returns a context that ends some time after ctx.
func outlive(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(d, cancel)
		context.AfterFunc(out, func() { timer.Stop() })
	})
	return out, func() { stop(); cancel() }
}

// row is an outbox row to send.
type row struct {
	eventID string
	topic   string
	key     string
	headers map[string]string
	payload []byte
}

// fetch reads rows in the order of their refs. They are committed and sent rows
// are never changed, so no snapshot is held for them, however long Kafka takes.
func fetch(ctx context.Context, conn *pgxpool.Conn, refs []ref) ([]row, error) {
	shards, seqs := make([]int16, len(refs)), make([]int64, len(refs))
	for i, ref := range refs {
		shards[i], seqs[i] = ref.shard, ref.seq
	}
	found, err := conn.Query(ctx, `
		SELECT o.event_id, o.topic, o.key, o.headers, o.payload
		FROM unnest($1::smallint[], $2::bigint[]) WITH ORDINALITY AS r (shard, seq, ord)
		CROSS JOIN LATERAL (SELECT * FROM outbox o WHERE o.shard = r.shard AND o.seq = r.seq LIMIT 1) o
		ORDER BY r.ord`, shards, seqs)
	if err != nil {
		return nil, fmt.Errorf("fetch outbox rows: %w", err)
	}
	rows, err := pgx.CollectRows(found, func(c pgx.CollectableRow) (o row, err error) {
		return o, c.Scan(&o.eventID, &o.topic, &o.key, &o.headers, &o.payload)
	})
	if err != nil {
		return nil, fmt.Errorf("fetch outbox rows: %w", err)
	}
	if len(rows) != len(refs) {
		return nil, fmt.Errorf("fetch outbox rows: %d of %d are gone; did another relay drop their partition?", len(refs)-len(rows), len(refs))
	}
	return rows, nil
}

// send publishes the rows, each topic in their order, topics side by side. When
// ctx ends first it leaves the publisher to itself.
func (r *Relay) send(ctx context.Context, rows []row) error {
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
		go func() {
			if err := r.pub.Publish(topic, messages...); err != nil {
				errs <- fmt.Errorf("publish to %s: %w", topic, err)
				return
			}
			errs <- nil
		}()
	}
	var failed error
	for range byTopic {
		select {
		case err := <-errs:
			failed = errors.Join(failed, err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return failed
}
