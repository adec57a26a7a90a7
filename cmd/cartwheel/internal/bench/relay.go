package bench

import (
	"context"
	"errors"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
)

// relay drains a backlog: ours, ours while a write transaction is held open,
// Watermill's outbox, and the ideal pipe. Then it looks at ours's memory.
func (r *runner) relay(ctx context.Context) error {
	ours, err := r.oursDrain(ctx, r.number(200_000))
	if err != nil {
		return err
	}
	defer ours.close()
	theirs, err := r.forwarderDrain(ctx, r.number(10_000))
	if err != nil {
		return err
	}
	defer theirs.close()
	ideal, err := r.pipeDrain(ctx, r.number(200_000))
	if err != nil {
		return err
	}
	defer ideal.close()
	f, err := r.rounds(ctx, ours.run, ours.held, theirs.run, ideal.run)
	if err != nil {
		return err
	}
	const name, unit = "relay", "events/s"
	r.row(name, "drain a backlog", unit, f[0], "watermill-sql, Forwarder, watermill-kafka", f[2], Goal{AtLeast: 50})
	r.row(name, "drain a backlog", unit, f[0], "ideal pipe", f[3], Goal{AtLeast: 0.8})
	r.row(name, "drain, a write transaction held open", unit, f[1], "without", f[0], Goal{AtLeast: 0.95})
	return r.relayMemory(ctx)
}

// drained is one side of the relay's bench.
type drained struct {
	run   side
	held  side // with a write transaction held open
	close func()
}

// noted is how long a relay has after a drain to store where it is.
const noted = 500 * time.Millisecond

// drain is how many records a second arrive in a topic, of n, from the start of
// run until the last is there.
func (r *runner) drain(ctx context.Context, topic string, n int, run func(context.Context) error) (float64, error) {
	before, err := r.end(ctx, topic)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan error, 1)
	began := time.Now()
	go func() {
		err := run(ctx)
		if err != nil {
			cancel(err)
		}
		ended <- err
	}()
	patient, stop := context.WithTimeout(ctx, 5*time.Minute)
	defer stop()
	if err = r.awaitEnd(patient, topic, before+int64(n)); errors.Is(err, context.DeadlineExceeded) {
		err = errors.Join(errLost, err)
	}
	took := time.Since(began)
	// Until it has noted that, so that it does not send the last ones again in the
	// next round.
	select {
	case <-time.After(noted):
	case <-ctx.Done():
	}
	cancel(nil)
	if e := <-ended; e != nil && !errors.Is(e, context.Canceled) {
		return 0, e
	}
	if err != nil {
		return 0, err
	}
	return perSecond(n, took), nil
}

func (r *runner) oursDrain(ctx context.Context, n int) (drained, error) {
	topic, err := r.topic(ctx, "relay")
	if err != nil {
		return drained{}, err
	}
	pool, err := r.database(ctx, outbox.Migrations)
	if err != nil {
		return drained{}, err
	}
	pub, err := bus.NewPublisher(r.bus)
	if err != nil {
		return drained{}, err
	}
	run := func(ctx context.Context) error {
		return outbox.NewRelay(outbox.Open(pool, "bench"), pub, r.Log).Run(ctx)
	}
	drain := func(ctx context.Context) (float64, error) {
		if err := errors.Join(fillOutbox(ctx, pool, topic, n), settle(ctx, pool)); err != nil {
			return 0, err
		}
		return r.drain(ctx, topic, n, run)
	}
	return drained{
		run: drain,
		held: func(ctx context.Context) (float64, error) {
			release, err := hold(ctx, pool)
			if err != nil {
				return 0, err
			}
			defer release()
			return drain(ctx)
		},
		close: func() { _ = pub.Close(); pool.Close() },
	}, nil
}

// hold opens a transaction that has written something, and leaves it open.
func hold(ctx context.Context, pool *pgxpool.Pool) (release func(), err error) {
	if _, err := pool.Exec(ctx, `CREATE TABLE IF NOT EXISTS held (at timestamptz)`); err != nil {
		return nil, err
	}
	tx, err := pool.Begin(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := tx.Exec(ctx, `INSERT INTO held VALUES (now())`); err != nil {
		return nil, errors.Join(err, tx.Rollback(ctx))
	}
	return func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }, nil
}

func (r *runner) forwarderDrain(ctx context.Context, n int) (drained, error) {
	f, topic, err := r.forwarding(ctx)
	if err != nil {
		return drained{}, err
	}
	return drained{
		run: func(ctx context.Context) (float64, error) {
			if err := errors.Join(f.fill(ctx, topic, n), settle(ctx, f.pool)); err != nil {
				return 0, err
			}
			return r.drain(ctx, topic, n, f.run)
		},
		close: f.close,
	}, nil
}

// forwarding makes a database with Watermill's outbox, and a topic for it.
func (r *runner) forwarding(ctx context.Context) (f forwarding, topic string, err error) {
	if topic, err = r.topic(ctx, "forwarder"); err != nil {
		return f, "", err
	}
	f.log = watermill.NopLogger{} // it tells of its own end as of errors; without events that arrive there is no figure
	if f.pool, err = r.database(ctx); err != nil {
		return f, "", err
	}
	if f.pub, err = bus.NewPublisher(stock(r.bus)); err != nil {
		return f, "", err
	}
	return f, topic, f.prepare()
}

func (r *runner) pipeDrain(ctx context.Context, n int) (drained, error) {
	topic, err := r.topic(ctx, "pipe")
	if err != nil {
		return drained{}, err
	}
	pool, err := r.database(ctx)
	if err != nil {
		return drained{}, err
	}
	p, err := newPipe(pool, r.bus.Brokers)
	if err != nil {
		return drained{}, err
	}
	last := int64(0)
	return drained{
		run: func(ctx context.Context) (float64, error) {
			if err := errors.Join(p.fill(ctx, topic, n), settle(ctx, pool)); err != nil {
				return 0, err
			}
			return r.drain(ctx, topic, n, func(ctx context.Context) (err error) {
				last, err = p.run(ctx, last)
				return err
			})
		},
		close: func() { p.client.Close(); pool.Close() },
	}, p.prepare(ctx)
}
