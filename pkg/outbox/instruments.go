package outbox

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

const scope = "github.com/cartwheel-shop/cartwheel/pkg/outbox"

// instruments are a relay's metrics.
type instruments struct {
	service metric.MeasurementOption
	sent    metric.Int64Counter
	held    metric.Int64Counter

	shards  atomic.Int64
	backlog atomic.Pointer[Backlog] // as it was last measured
	stop    func() error
}

func newInstruments(provider metric.MeterProvider, service string) (*instruments, error) {
	meter := provider.Meter(scope)
	i := &instruments{service: metric.WithAttributes(attribute.String("service", service))}
	var err error
	fail := func(err error) (*instruments, error) { return nil, fmt.Errorf("outbox metrics: %w", err) }
	if i.sent, err = meter.Int64Counter("outbox.sent", metric.WithDescription("facts that Kafka has acknowledged, repeats included")); err != nil {
		return fail(err)
	}
	if i.held, err = meter.Int64Counter("outbox.held", metric.WithDescription("times that Kafka did not take facts of a topic, and they were sent again")); err != nil {
		return fail(err)
	}
	lag, err := meter.Int64ObservableGauge("outbox.lag", metric.WithDescription("committed facts that no stored cursor has passed"))
	if err != nil {
		return fail(err)
	}
	oldest, err := meter.Float64ObservableGauge("outbox.oldest", metric.WithUnit("s"), metric.WithDescription("age of the oldest of them"))
	if err != nil {
		return fail(err)
	}
	parked, err := meter.Int64ObservableGauge("outbox.parked", metric.WithDescription("facts that wait for a person"))
	if err != nil {
		return fail(err)
	}
	shards, err := meter.Int64ObservableGauge("outbox.shards", metric.WithDescription("shards that this relay has a lease of"))
	if err != nil {
		return fail(err)
	}
	registered, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(shards, i.shards.Load(), i.service)
		if b := i.backlog.Load(); b != nil {
			o.ObserveInt64(lag, b.Rows, i.service)
			o.ObserveFloat64(oldest, b.Oldest.Seconds(), i.service)
			o.ObserveInt64(parked, b.Parked, i.service)
		}
		return nil
	}, lag, oldest, parked, shards)
	if err != nil {
		return fail(err)
	}
	i.stop = registered.Unregister
	return i, nil
}

// count counts facts that were sent. Before Run there is nothing to count with.
func (i *instruments) count(facts int64) {
	if i.sent != nil {
		i.sent.Add(context.Background(), facts, i.service)
	}
}

// again counts facts of a topic that Kafka did not take.
func (i *instruments) again(ctx context.Context, topic string) {
	if i.held != nil {
		i.held.Add(ctx, 1, i.service, metric.WithAttributes(attribute.String("topic", topic)))
	}
}

// Backlog is what waits in an outbox.
type Backlog struct {
	Rows   int64         // committed, and not passed by a stored cursor; of a shard at most [MostCounted]
	Oldest time.Duration // since the oldest of them was written
	Parked int64         // that wait for a person
}

// MostCounted is as far as a [Backlog] counts the rows of a shard.
const MostCounted = 1000

// measureBacklog is run behind byIndex, or else the planner may read the whole of
// each shard by a bitmap and sort it: when most of the backlog is counted, and a
// transaction that is open keeps its pages from being all visible.
var measureBacklog = `
WITH late AS (
	SELECT DISTINCT o.shard, o.seq FROM ` + unseenIn("outbox", "outbox_cursors") + ` o JOIN outbox_cursors c USING (shard) CROSS JOIN outbox_system s
	WHERE o.seq <= c.hi AND (o.seq > s.base_seq OR c.system <> s.system) AND NOT pg_visible_in_snapshot(o.xid, c.snapshot) LIMIT $1
), fresh AS (
	SELECT f.created_at, n.n FROM outbox_cursors c
	CROSS JOIN LATERAL (SELECT created_at FROM outbox o WHERE o.shard = c.shard AND o.seq > c.hi ORDER BY o.seq LIMIT 1) f
	CROSS JOIN LATERAL (SELECT count(*) AS n FROM (SELECT FROM outbox o WHERE o.shard = c.shard AND o.seq > c.hi ORDER BY o.seq LIMIT $1) o) n
)
SELECT (SELECT count(*) FROM late) + coalesce((SELECT sum(n) FROM fresh), 0)::bigint,
	coalesce(extract(epoch FROM clock_timestamp() - least((SELECT min(created_at) FROM fresh),
		(SELECT min(o.created_at) FROM late l CROSS JOIN LATERAL (SELECT created_at FROM outbox o WHERE o.shard = l.shard AND o.seq = l.seq) o))), 0)::float8,
	(SELECT count(*) FROM outbox_parked)`

// byIndex makes a row of an index as cheap as one of a bitmap, in this transaction.
const byIndex = `SELECT set_config('random_page_cost', '0', true)`

// Backlog measures what waits. It looks at the first rows of each shard, so it
// stays quick however much waits.
func (db *DB) Backlog(ctx context.Context) (Backlog, error) {
	var b Backlog
	var seconds float64
	err := pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		batch.Queue(byIndex)
		batch.Queue(measureBacklog, MostCounted).QueryRow(func(row pgx.Row) error { return row.Scan(&b.Rows, &seconds, &b.Parked) })
		return tx.SendBatch(ctx, batch).Close()
	})
	if err != nil {
		return b, fmt.Errorf("outbox backlog: %w", err)
	}
	b.Oldest = max(0, time.Duration(seconds*float64(time.Second)))
	return b, nil
}

// keepMeasured measures the backlog now and then, until ctx ends.
func (r *Relay) keepMeasured(ctx context.Context) {
	for ctx.Err() == nil {
		if b, err := r.db.Backlog(ctx); err == nil {
			r.figures.backlog.Store(&b)
		} else if ctx.Err() == nil {
			r.log.DebugContext(ctx, "outbox not measured", "error", err)
		}
		wait(ctx, measureEvery)
	}
}
