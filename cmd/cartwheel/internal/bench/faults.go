package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
	"github.com/cartwheel-shop/cartwheel/stack"
)

// What is counted.
const (
	lostEvents = "events lost"
	inversions = "events of a key out of order"
	duplicates = "events sent again"
	stallOpen  = "longest stall, a transaction open elsewhere"
	stallKafka = "longest stall, after the broker was back"
)

// aggregates that the writers of faults change. They are few, so that writers
// meet.
const aggregates = 20

// faults runs one schedule of faults against our outbox and against Watermill's:
// writers that change the same aggregates and commit in another order than they
// began, a write transaction left open in another database, a relay that is
// stopped and another one started, and, with a broker of our own, its kill and a
// pause.
func (r *runner) faults(ctx context.Context) error {
	ours, err := r.oursUnderFaults(ctx)
	if err != nil {
		return err
	}
	theirs, err := r.forwardingUnderFaults(ctx)
	if err != nil {
		return errors.Join(err, ours.close())
	}
	var results []outcome
	for _, d := range []*delivery{ours, theirs} {
		out, err := r.underFaults(ctx, d)
		if err := errors.Join(err, d.close()); err != nil {
			return err
		}
		results = append(results, out)
	}
	add := func(what, unit string, of func(outcome) float64) {
		r.row("faults", what, unit, []float64{of(results[0])}, "watermill-sql, Forwarder, watermill-kafka", []float64{of(results[1])}, Goal{})
		r.rows[len(r.rows)-1].Ratios = nil
	}
	add("events committed", "events", func(o outcome) float64 { return float64(o.committed) })
	add(lostEvents, "events", func(o outcome) float64 { return float64(o.lost) })
	add(inversions, "events", func(o outcome) float64 { return float64(o.inversions) })
	add(duplicates, "events", func(o outcome) float64 { return float64(o.duplicates) })
	add(stallOpen, "s", func(o outcome) float64 { return o.stallOpen.Seconds() })
	if r.Real {
		add(stallKafka, "s", func(o outcome) float64 { return o.stallKafka.Seconds() })
	}
	return nil
}

// delivery is a way from a transaction to a topic.
type delivery struct {
	topic string
	pool  *pgxpool.Pool
	write func(ctx context.Context, change func(tx pgx.Tx) (events.OrderCancelled, error)) error
	run   func(context.Context) error // the relay
	close func() error
}

func (r *runner) oursUnderFaults(ctx context.Context) (*delivery, error) {
	topic, err := r.topic(ctx, "faults")
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
	db := outbox.Open(pool, "order")
	return &delivery{
		topic: topic, pool: pool,
		write: func(ctx context.Context, change func(pgx.Tx) (events.OrderCancelled, error)) error {
			return db.Tx(ctx, func(tx outbox.Tx) error {
				fact, err := change(tx)
				tx.Publish(fact)
				return err
			})
		},
		run:   func(ctx context.Context) error { return outbox.NewRelay(db, observed(pub, topic, nil), r.Log).Run(ctx) },
		close: func() error { pool.Close(); return pub.Close() },
	}, nil
}

func (r *runner) forwardingUnderFaults(ctx context.Context) (*delivery, error) {
	f, topic, err := r.forwarding(ctx)
	if err != nil {
		return nil, err
	}
	return &delivery{
		topic: topic, pool: f.pool,
		write: func(ctx context.Context, change func(pgx.Tx) (events.OrderCancelled, error)) error {
			return pgx.BeginFunc(ctx, f.pool, func(tx pgx.Tx) error {
				fact, err := change(tx)
				if err != nil {
					return err
				}
				m, err := plain(fact)
				if err != nil {
					return err
				}
				return f.write(tx, topic, m)
			})
		},
		run:   f.run,
		close: func() error { f.close(); return nil },
	}, nil
}

// outcome is what a schedule has led to.
type outcome struct {
	committed, lost, inversions, duplicates int
	stallOpen, stallKafka                   time.Duration
}

// underFaults runs the schedule. Its steps last as long as --for says, or twice
// that.
func (r *runner) underFaults(ctx context.Context, d *delivery) (outcome, error) {
	for _, sql := range []string{
		`CREATE TABLE aggregates (id int PRIMARY KEY, version bigint NOT NULL)`, `CREATE TABLE audit (at timestamptz)`,
		fmt.Sprintf(`INSERT INTO aggregates SELECT n, 0 FROM generate_series(0, %d) n`, aggregates-1),
	} {
		if _, err := d.pool.Exec(ctx, sql); err != nil {
			return outcome{}, err
		}
	}
	elsewhere, err := r.database(ctx)
	if err != nil {
		return outcome{}, err
	}
	defer elsewhere.Close()

	w := &witness{runner: r, topic: d.topic}
	relay := background(ctx, d.run, func() {})
	watching := background(ctx, w.watch, func() {})
	writing := background(ctx, func(ctx context.Context) error { return d.writers(ctx, w) }, func() {})
	pause := func(d time.Duration) {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	}
	var out outcome
	schedule := func() error {
		pause(r.For)
		w.reset()
		release, err := hold(ctx, elsewhere)
		if err != nil {
			return err
		}
		pause(2 * r.For)
		out.stallOpen = w.reset()
		release()
		pause(r.For)
		relay()
		relay = background(ctx, d.run, func() {})
		pause(r.For)
		if !r.Real {
			return nil
		}
		out.stallKafka, err = r.breakKafka(ctx, w, pause)
		return err
	}
	failed := schedule()
	writing()
	if failed == nil {
		failed = w.arrived(ctx)
	}
	watching()
	relay()
	if err := errors.Join(failed, ctx.Err()); err != nil {
		return out, err
	}
	return out, w.judge(ctx, d.pool, &out)
}

// breakKafka kills the broker, which is started again, and pauses it later. It
// returns how long after the broker answers again the first event arrives, at
// most.
func (r *runner) breakKafka(ctx context.Context, w *witness, pause func(time.Duration)) (stall time.Duration, err error) {
	for _, signals := range [][]syscall.Signal{{syscall.SIGKILL}, {syscall.SIGSTOP, syscall.SIGCONT}} {
		pid, err := r.stack.Pid(stack.Kafka)
		if err != nil {
			return 0, err
		}
		before := w.size()
		for _, sig := range signals {
			if err := syscall.Kill(pid, sig); err != nil {
				return 0, fmt.Errorf("send the broker %s: %w", sig, err)
			}
			if sig != syscall.SIGCONT {
				before = w.size()
				pause(2 * r.For)
			}
		}
		err = until(ctx, func() (bool, error) {
			try, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			_, err := r.admin.ListBrokers(try)
			return err == nil, ctx.Err()
		})
		if err != nil {
			return 0, err
		}
		back := time.Now()
		if err := until(ctx, func() (bool, error) { return w.size() > before, nil }); err != nil {
			return 0, err
		}
		stall = max(stall, time.Since(back))
		pause(r.For)
	}
	return stall, nil
}

// writers change aggregates until ctx ends. Each has its transaction id before it
// waits a moment and changes something, so that of two the later may commit first.
func (d *delivery) writers(ctx context.Context, w *witness) error {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for ctx.Err() == nil {
				// What has begun may finish, so that it is known whether it committed.
				work := context.WithoutCancel(ctx)
				err := d.write(work, func(tx pgx.Tx) (fact events.OrderCancelled, err error) {
					if _, err := tx.Exec(work, `INSERT INTO audit VALUES (now())`); err != nil {
						return fact, err
					}
					time.Sleep(rand.N(10 * time.Millisecond))
					id, version := rand.N(aggregates), int64(0)
					err = tx.QueryRow(work, `UPDATE aggregates SET version = version + 1 WHERE id = $1 RETURNING version`, id).Scan(&version)
					fact.OrderID, fact.Reason = fmt.Sprintf("ord_%d", id), fmt.Sprint(version)
					return fact, err
				})
				if err == nil {
					w.commits.Add(1)
				}
				time.Sleep(rand.N(50 * time.Millisecond)) // a load that either side can carry
			}
		})
	}
	wg.Wait()
	return nil
}

// plain is the message of a fact without an envelope.
func plain(fact events.OrderCancelled) (*message.Message, error) {
	raw, err := encode(fact)
	if err != nil {
		return nil, err
	}
	m := message.NewMessage(events.NewEventID(), raw)
	m.Metadata[outbox.KeyMetadata] = fact.OrderID
	return m, nil
}

// witness looks at a topic from outside.
type witness struct {
	*runner
	topic   string
	commits atomic.Int64

	mu       sync.Mutex
	end      int64
	moved    time.Time // when the topic last grew
	commitsX int64     // commits at that time
	stall    time.Duration
}

// watch measures how long nothing arrives although something was committed.
func (w *witness) watch(ctx context.Context) error {
	for ctx.Err() == nil {
		try, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		end, err := w.runner.end(try, w.topic)
		cancel()
		w.mu.Lock()
		switch {
		case err == nil && end > w.end || w.moved.IsZero():
			w.end, w.moved, w.commitsX = max(end, w.end), time.Now(), w.commits.Load()
		case w.commits.Load() > w.commitsX:
			w.stall = max(w.stall, time.Since(w.moved))
		}
		w.mu.Unlock()
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return nil
}

// size is how many records the topic had when it was last looked at.
func (w *witness) size() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.end
}

// reset returns the longest stall since the last reset.
func (w *witness) reset() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	stall := w.stall
	w.stall, w.moved, w.commitsX = 0, time.Now(), w.commits.Load()
	return stall
}

// arrived waits until as much is there as was committed, and no more comes.
func (w *witness) arrived(ctx context.Context) error {
	began := time.Now()
	return until(ctx, func() (bool, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		quiet := time.Since(w.moved)
		return quiet > 2*time.Second && w.end >= w.commits.Load() || quiet > 20*time.Second || time.Since(began) > 2*time.Minute, nil
	})
}
