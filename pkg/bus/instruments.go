package bus

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

const scope = "github.com/cartwheel-shop/cartwheel/pkg/bus"

// Outcomes of a message, as they are counted.
const (
	outcomeHandled = "handled"
	outcomeSkipped = "skipped"      // of a type that the consumer does not handle
	outcomeUnknown = "unknown_type" // of a type that this build has never heard of
	outcomeDead    = "dead_letter"
	outcomeAgain   = "again" // it is delivered again, because we stop or lost its partition
)

// instruments are the router's metrics.
type instruments struct {
	messages metric.Int64Counter
	seconds  metric.Float64Histogram
	waiting  metric.Int64UpDownCounter
}

func newInstruments(provider metric.MeterProvider) (*instruments, error) {
	meter := provider.Meter(scope)
	var i instruments
	var err error
	if i.messages, err = meter.Int64Counter("bus.messages", metric.WithDescription("messages by consumer group, event type and outcome")); err != nil {
		return nil, fmt.Errorf("bus metrics: %w", err)
	}
	if i.seconds, err = meter.Float64Histogram("bus.duration", metric.WithUnit("s"), metric.WithDescription("time that a message or batch took, retries and waits included")); err != nil {
		return nil, fmt.Errorf("bus metrics: %w", err)
	}
	if i.waiting, err = meter.Int64UpDownCounter("bus.waiting", metric.WithDescription("messages and batches that wait for something unavailable")); err != nil {
		return nil, fmt.Errorf("bus metrics: %w", err)
	}
	return &i, nil
}

func (r *router) count(ctx context.Context, eventType, outcome string) {
	r.figures.messages.Add(ctx, 1, metric.WithAttributes(attribute.String("group", r.group), attribute.String("event_type", eventType), attribute.String("outcome", outcome)))
}

func (r *router) took(ctx context.Context, since time.Time) {
	r.figures.seconds.Record(ctx, time.Since(since).Seconds(), metric.WithAttributes(attribute.String("group", r.group)))
}

func (r *router) waits(ctx context.Context, change int64) {
	r.figures.waiting.Add(ctx, change, metric.WithAttributes(attribute.String("group", r.group)))
}
