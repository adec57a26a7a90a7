package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
)

// latency is the time from a commit to Kafka's acknowledgement of its event, at
// half of the load that a relay can carry: first writers go as fast as they can,
// then at half of what arrived.
func (r *runner) latency(ctx context.Context) error {
	ours, err := r.oursLatency(ctx)
	if err != nil {
		return err
	}
	defer ours.close()
	theirs, err := r.forwarderLatency(ctx)
	if err != nil {
		return err
	}
	defer theirs.close()
	for _, c := range []*carried{ours, theirs} {
		if err := c.capacity(ctx, r.For); err != nil {
			return err
		}
	}
	f, err := r.rounds(ctx, ours.run(r.For), theirs.run(r.For))
	if err != nil {
		return err
	}
	what := fmt.Sprintf("commit to ack at half load, %s/s and %s/s, ", number(ours.load), number(theirs.load))
	const reference = "watermill-sql, Forwarder, watermill-kafka"
	r.row("latency", what+"p50", "ms", f[0], reference, f[1], Goal{AtMost: 3, Own: true})
	r.row("latency", what+"p99", "ms", ours.p99[1:], reference, theirs.p99[1:], Goal{AtMost: 20, Own: true})
	return nil
}

// carried is one side: a relay that runs, and a way to write.
type carried struct {
	write func(ctx context.Context, n int64) error // commits event n
	stop  func()
	load  float64   // events a second, in run
	p99   []float64 // of each run, in ms

	mu        sync.Mutex
	committed map[int64]time.Time
	took      []time.Duration
	early     map[int64]time.Time // acked before the writer knew that it had committed
}

func newCarried() *carried {
	return &carried{committed: map[int64]time.Time{}, early: map[int64]time.Time{}}
}

func (c *carried) close() { c.stop() }

func (c *carried) commit(n int64, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if acked, ok := c.early[n]; ok {
		delete(c.early, n)
		c.took = append(c.took, max(0, acked.Sub(at)))
		return
	}
	c.committed[n] = at
}

func (c *carried) ack(n int64, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if committed, ok := c.committed[n]; ok {
		delete(c.committed, n)
		c.took = append(c.took, at.Sub(committed))
		return
	}
	c.early[n] = at
}

// under is how many events are neither committed and acked nor unknown.
func (c *carried) under() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.committed) + len(c.early)
}

// settled waits until every event has arrived, and returns the times of all,
// sorted.
func (c *carried) settled(ctx context.Context) ([]time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := until(ctx, func() (bool, error) { return c.under() == 0, nil }); err != nil {
		return nil, fmt.Errorf("%d events did not arrive: %w", c.under(), errors.Join(errLost, err))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	took := c.took
	c.took = nil
	slices.Sort(took)
	return took, nil
}

// capacity finds the load.
func (c *carried) capacity(ctx context.Context, d time.Duration) error {
	began := time.Now()
	err := c.writers(ctx, func(context.Context, int64) bool { return time.Since(began) < d })
	c.mu.Lock()
	c.load = max(1, perSecond(len(c.took), time.Since(began))/2)
	c.mu.Unlock()
	_, late := c.settled(ctx)
	return errors.Join(err, late)
}

// run writes at the load and returns the median in ms.
func (c *carried) run(d time.Duration) side {
	return func(ctx context.Context) (float64, error) {
		began, all := time.Now(), int64(c.load*d.Seconds())+1
		err := c.writers(ctx, func(ctx context.Context, i int64) bool {
			select {
			case <-time.After(time.Until(began.Add(time.Duration(float64(i) / c.load * float64(time.Second))))):
				return i < all
			case <-ctx.Done():
				return false
			}
		})
		took, late := c.settled(ctx)
		if err := errors.Join(err, late); err != nil {
			return 0, err
		}
		c.p99 = append(c.p99, milliseconds(percentile(took, 0.99)))
		return milliseconds(percentile(took, 0.5)), nil
	}
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }

// writers commit events, each when next says so, until it says no.
func (c *carried) writers(ctx context.Context, next func(ctx context.Context, i int64) bool) error {
	var count atomic.Int64
	errs := make(chan error, writers)
	for range writers {
		go func() {
			for next(ctx, count.Add(1)-1) && ctx.Err() == nil {
				n := numbers.Add(1)
				if err := c.write(ctx, n); err != nil {
					errs <- err
					return
				}
				c.commit(n, time.Now())
			}
			errs <- ctx.Err()
		}()
	}
	var failed error
	for range writers {
		failed = errors.Join(failed, <-errs)
	}
	return failed
}

// observer tells when messages are acked. They go to a topic of the bench,
// whatever topic their event has in the contract.
type observer struct {
	message.Publisher
	topic string
	ack   func(n int64, at time.Time) // may be nil
}

// observed puts an observer in front of a publisher, which stays asynchronous if
// it is.
func observed(pub message.Publisher, topic string, ack func(n int64, at time.Time)) message.Publisher {
	o := observer{pub, topic, ack}
	if async, ok := pub.(outbox.AsyncPublisher); ok {
		return asyncObserver{o, async}
	}
	return o
}

// Publish implements message.Publisher.
func (o observer) Publish(_ string, messages ...*message.Message) error {
	if err := o.Publisher.Publish(o.topic, messages...); err != nil {
		return err
	}
	at := time.Now()
	for _, m := range messages {
		o.acked(m.Metadata[outbox.KeyMetadata], at)
	}
	return nil
}

func (o observer) acked(key string, at time.Time) {
	if o.ack == nil {
		return
	}
	if n, err := strconv.ParseInt(strings.TrimPrefix(key, "ord_"), 10, 64); err == nil {
		o.ack(n, at)
	}
}

// asyncObserver observes an asynchronous publisher.
type asyncObserver struct {
	observer
	async outbox.AsyncPublisher
}

// PublishAsync implements outbox.AsyncPublisher.
func (o asyncObserver) PublishAsync(_ string, messages []outbox.Message, answered func(i int, err error)) {
	o.async.PublishAsync(o.topic, messages, func(i int, err error) {
		if err == nil {
			o.acked(string(messages[i].Key), time.Now())
		}
		answered(i, err)
	})
}

func (r *runner) oursLatency(ctx context.Context) (*carried, error) {
	topic, err := r.topic(ctx, "latency")
	if err != nil {
		return nil, err
	}
	pool, err := r.database(ctx, outbox.Migrations)
	if err != nil {
		return nil, err
	}
	pub, err := bus.NewPublisher(r.bus)
	if err != nil {
		return nil, err
	}
	c := newCarried()
	db := outbox.Open(pool, "order")
	c.write = func(ctx context.Context, n int64) error {
		return db.Tx(ctx, func(tx outbox.Tx) error { tx.Publish(newOrder(n).created()); return nil })
	}
	relay := outbox.NewRelay(db, observed(pub, topic, c.ack), r.Log)
	c.stop = background(ctx, relay.Run, func() { _ = pub.Close(); pool.Close() })
	return c, nil
}

func (r *runner) forwarderLatency(ctx context.Context) (*carried, error) {
	f, topic, err := r.forwarding(ctx)
	if err != nil {
		return nil, err
	}
	c := newCarried()
	kafka := f.pub
	f.pub = observed(kafka, topic, c.ack)
	c.write = func(ctx context.Context, n int64) error {
		raw, err := json.Marshal(newOrder(n).created())
		if err != nil {
			return err
		}
		m := message.NewMessage(events.NewEventID(), raw)
		m.Metadata[outbox.KeyMetadata] = newOrder(n).id
		return pgx.BeginFunc(ctx, f.pool, func(tx pgx.Tx) error { return f.write(tx, topic, m) })
	}
	c.stop = background(ctx, f.run, f.close)
	return c, nil
}

// background runs something until it is stopped, and cleans up then.
func background(ctx context.Context, run func(context.Context) error, clean func()) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = run(ctx) // a side that does not run has no figures
	}()
	return func() { cancel(); <-ended; clean() }
}
