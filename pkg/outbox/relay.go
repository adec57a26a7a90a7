package outbox

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/cartwheel-shop/cartwheel/pkg/fault"
)

// Relay sends committed facts to Kafka through a publisher.
type Relay struct {
	db  *DB
	pub message.Publisher
	log *slog.Logger

	perShard  int           // fresh rows of a shard that one poll looks at, when all have some
	chunkRows int           // rows that are handed over at a time
	idleMin   time.Duration // between polls after something has happened
	idleMax   time.Duration // and when nothing does
	noteEvery time.Duration // between two stores of the cursor
	lease     time.Duration // how long a relay that was paused keeps its shards
	retain    time.Duration // what was sent stays visible this long
	partition int64         // rows of a partition
	patience  time.Duration // with a topic that fills the memory and is not answered

	figures *instruments
	meters  metric.MeterProvider
	faults  *fault.Points

	name    string
	running context.Context // that of Run
	ctx     context.Context // ends when the lanes may stop
	lanes   map[string]*lane
	budget  *budget
	batches int64

	others atomic.Bool   // there are other relays
	toTell chan struct{} // a commit that they may want to know of
	heard  chan struct{} // they told of one
}

// RelayOption changes a Relay.
type RelayOption func(*Relay)

// WithChunk bounds how many rows are sent at a time.
func WithChunk(rows int) RelayOption {
	return func(r *Relay) { r.perShard, r.chunkRows = rows, rows }
}

// WithRetention keeps sent rows for a time, for timelines to show. Default: 24 h.
func WithRetention(d time.Duration) RelayOption { return func(r *Relay) { r.retain = d } }

// WithLease sets how long the shards of a relay that does not answer stay its own.
// One whose connection has ended loses them at once. Default: 6 s.
func WithLease(d time.Duration) RelayOption { return func(r *Relay) { r.lease = d } }

// WithMetrics sets where metrics go. Default: the global provider.
func WithMetrics(provider metric.MeterProvider) RelayOption {
	return func(r *Relay) { r.meters = provider }
}

// NewRelay returns a relay of db's outbox. The publisher must return from Publish
// only when all messages are acknowledged, and must keep their order; one that is
// an [AsyncPublisher] is much faster.
func NewRelay(db *DB, pub message.Publisher, log *slog.Logger, opts ...RelayOption) *Relay {
	host, _ := os.Hostname() // for a person to read
	r := &Relay{
		db: db, pub: pub, log: log,
		perShard: 128, chunkRows: 2500, idleMin: 20 * time.Millisecond, idleMax: time.Second, noteEvery: 100 * time.Millisecond, lease: 6 * time.Second,
		retain: 24 * time.Hour, partition: partitionRows, patience: 5 * time.Second, meters: otel.GetMeterProvider(), faults: db.faults, figures: &instruments{},
		name: host + "/" + rand.Text()[:8], running: context.Background(), ctx: context.Background(), lanes: map[string]*lane{}, budget: newBudget(underWay, underWaySize),
		toTell: make(chan struct{}, 1), heard: make(chan struct{}, 1),
	}
	for _, o := range opts {
		o(r)
	}
	return r
}

const (
	// underWay rows of underWaySize bytes may be handed over and not answered.
	underWay     = 10_000
	underWaySize = 10 << 20
	// chunkSize is how many bytes are handed over at a time, or one row.
	chunkSize = 2 << 20
	// gather is how long the relay waits after a commit for others to send with it.
	gather     = time.Millisecond
	troubleMin = 100 * time.Millisecond
	troubleMax = 5 * time.Second
	// settle is how long what is being sent when a relay stops may still be
	// answered and stored; what is not is sent again by the next one.
	settle      = 2 * time.Second
	storeWithin = 5 * time.Second
	// noteQuietEvery is how often the places of quiet shards are stored.
	noteQuietEvery  = 30 * time.Second
	partitionsEvery = 10 * time.Second
	measureEvery    = 10 * time.Second
	// releaseAgain is how long released rows wait that could not be sent.
	releaseAgain = 30 * time.Second
)

// Run relays until ctx ends. It never ends on an error: it says what is wrong,
// waits and goes on from the stored cursor. A relay is run once.
//
// A commit through this DB wakes it at once, and through a DB that another relay
// runs with, too. Those of processes without a relay are found by polling, every
// 20 ms after something was found, up to once a second when nothing happens. The cursor is stored about ten times a second; what a
// crash forgets is sent again.
func (r *Relay) Run(ctx context.Context) error {
	ctx = untraced(ctx)
	var stop context.CancelFunc
	r.running = ctx
	r.ctx, stop = context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var err error
	if r.figures, err = newInstruments(r.meters, r.db.producer); err != nil {
		return err
	}
	var beside sync.WaitGroup
	// Apart from sending: the shop needs partitions most when Kafka is away.
	beside.Go(func() { r.keepPartitions(ctx) })
	beside.Go(func() { r.keepMeasured(ctx) })
	beside.Go(func() { r.keepTelling(ctx) })
	beside.Go(func() { r.keepListening(ctx) })
	defer func() {
		beside.Wait()
		_ = r.figures.stop() // nobody else unregisters it
	}()
	trouble := time.Duration(0)
	for ctx.Err() == nil {
		err := r.session(ctx, func() { trouble = 0 })
		if ctx.Err() != nil {
			return nil
		}
		trouble = min(max(2*trouble, troubleMin), troubleMax)
		r.log.ErrorContext(ctx, "outbox relay cannot go on; trying again", "error", err, "in", trouble)
		wait(ctx, trouble)
	}
	return nil
}

// untraced keeps polls out of the traces, where they would drown what somebody
// did: they belong to a trace that is not sampled.
func untraced(ctx context.Context) context.Context {
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}}))
}

// session relays with one connection, until trouble. A lease lives no longer than
// the connection, and neither does what is known of the cursor beyond what is
// stored: a server that took over from another may hand out the same transaction
// ids again.
func (r *Relay) session(ctx context.Context, good func()) error {
	conn, err := r.db.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Release()
	if err := r.adopt(ctx, conn); err != nil {
		return fmt.Errorf("adopt the outbox of another cluster: %w", err)
	}
	l := &lease{relay: r.name, length: r.lease, others: &r.others}
	if err := l.join(ctx, conn); err != nil {
		return err
	}
	defer func() {
		r.figures.shards.Store(0)
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), settle)
		defer cancel()
		if err := l.leave(last, r.db.pool); err != nil {
			r.log.DebugContext(ctx, "shards not handed over; others take them when the lease ends", "error", err)
		}
	}()
	var released time.Time
	for ctx.Err() == nil {
		if err := l.rebalance(ctx, conn); err != nil {
			return err
		}
		c, err := r.load(ctx, conn, l)
		if err != nil {
			return err
		}
		if time.Since(released) > releaseAgain {
			if err := r.sendReleased(ctx, conn, c); err != nil && ctx.Err() == nil {
				r.log.ErrorContext(ctx, "released facts are not sent; trying again", "error", err, "in", releaseAgain)
				released = time.Now()
			}
		}
		if err := r.block(ctx, conn, c); err != nil {
			return err
		}
		r.figures.shards.Store(int64(c.ours.count()))
		p := newPipe(r, conn, c)
		err = p.run(ctx, l, good, func() bool { return time.Since(released) > releaseAgain })
		if err != nil && !errors.Is(err, errUneven) && !errors.Is(err, errUnblocked) {
			return err
		}
	}
	return ctx.Err()
}

func (r *Relay) lane(topic string) *lane {
	l := r.lanes[topic]
	if l == nil {
		l = newLane(r.ctx, topic, r.pub, r.log)
		l.figures, l.faults, l.running = r.figures, r.faults, r.running
		r.lanes[topic] = l
	}
	return l
}

// errUneven ends a pipe so that shards are shared anew, or released rows are sent.
var errUneven = errors.New("shards are to be shared anew")

// pipe reads, sends and stores the facts of the shards that a relay has, until
// others shall have some of them.
type pipe struct {
	r      *Relay
	conn   *pgxpool.Conn
	cur    *cursor
	flight *flight
	asides map[string]*aside // by their topics
	over   atomic.Bool       // what is not handed over by now is not sent
}

func newPipe(r *Relay, conn *pgxpool.Conn, c *cursor) *pipe {
	r.budget.readmit()
	return &pipe{r: r, conn: conn, cur: c, flight: newFlight(c), asides: map[string]*aside{}}
}

// run reads on this goroutine; beside it the lease is prolonged and what is
// answered is stored. At the end, what is under way has a moment to be answered.
func (p *pipe) run(ctx context.Context, l *lease, good func(), mayRelease func() bool) error {
	work, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	wg.Go(func() { stop(p.keepLease(work, l, mayRelease)) })
	settled := make(chan struct{})
	wg.Go(func() {
		if err := p.keepStored(ctx, settled); err != nil {
			stop(err)
		}
	})
	stop(p.read(work, good))
	deadline := time.After(settle)
	for waiting := true; waiting && !p.flight.empty(); {
		select {
		case <-deadline:
			waiting = false
		case <-time.After(5 * time.Millisecond):
		}
	}
	p.over.Store(true)
	close(settled)
	wg.Wait()
	return cmp.Or(ctx.Err(), context.Cause(work))
}

// read polls and hands over.
func (p *pipe) read(ctx context.Context, good func()) error {
	idle, woken, noted, quiet := p.r.idleMin, false, time.Now(), false
	for ctx.Err() == nil {
		n, err := p.poll(ctx)
		if err != nil {
			return err
		}
		good()
		quiet = quiet || n > 0
		if quiet && p.cur.caughtUp && time.Since(noted) > noteQuietEvery {
			p.flight.touch(p.cur.ours)
			noted, quiet = time.Now(), false
		}
		switch {
		case !p.caughtUp():
			continue
		case n > 0 && !woken:
			idle = p.r.idleMin // others write too
		default:
			idle = min(2*idle, p.r.idleMax)
		}
		if woken = p.r.rest(ctx, idle); woken {
			wait(ctx, gather)
		}
	}
	return ctx.Err()
}

// rest waits for the next poll. It returns true when a commit has cut it short.
func (r *Relay) rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-r.heard:
		return true
	case <-r.db.wake:
		if r.others.Load() {
			signal(r.toTell)
		}
		return true
	}
	return false
}

// keepLease beats until the lease is lost or something is to be done about it.
func (p *pipe) keepLease(ctx context.Context, l *lease, mayRelease func() bool) error {
	tick := time.NewTicker(max(l.length/4, 10*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		beat, cancel := context.WithTimeout(ctx, l.length)
		s, err := l.beat(beat, p.r.db.pool)
		cancel()
		switch {
		case err != nil:
			return err
		case s.mine != p.cur.ours.count():
			return errFenced
		case s.uneven() || s.released && mayRelease():
			return errUneven
		}
	}
}

// keepStored stores what is answered, until the end is closed, and then once more.
func (p *pipe) keepStored(ctx context.Context, end <-chan struct{}) error {
	for ended := false; !ended; {
		select {
		case <-end:
			ended = true
		case <-p.flight.progress:
		}
		if err := p.store(ctx); err != nil {
			return err
		}
		timer := time.NewTimer(p.r.noteEvery)
		select {
		case <-timer.C:
		case <-end:
		}
		timer.Stop()
	}
	return nil
}

// store is finished also when ctx ends.
func (p *pipe) store(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeWithin)
	defer cancel()
	return p.r.store(ctx, p.flight.take())
}

// wait returns when d is over or ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
