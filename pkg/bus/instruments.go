package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
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

func (r *router) count(ctx context.Context, n int64, eventType, outcome string) {
	r.figures.messages.Add(ctx, n, metric.WithAttributes(attribute.String("group", r.group), attribute.String("event_type", eventType), attribute.String("outcome", outcome)))
}

func (r *router) took(ctx context.Context, since time.Time) {
	r.figures.seconds.Record(ctx, time.Since(since).Seconds(), metric.WithAttributes(attribute.String("group", r.group)))
}

func (r *router) waits(ctx context.Context, change int64) {
	r.figures.waiting.Add(ctx, change, metric.WithAttributes(attribute.String("group", r.group)))
}

// kafkaTrouble counts what Kafka refuses or does not answer, and says so, but
// rarely: the same would be said many times a second.
type kafkaTrouble struct {
	log   *slog.Logger
	rare  *rareLog
	count metric.Int64Counter
}

func newKafkaTrouble(cfg Config, log *slog.Logger) (*kafkaTrouble, error) {
	count, err := cfg.Metrics.Meter(scope).Int64Counter("bus.kafka.trouble", metric.WithDescription("what Kafka refused or did not answer, by operation, topic and cause; it is tried again"))
	if err != nil {
		return nil, fmt.Errorf("bus metrics: %w", err)
	}
	return &kafkaTrouble{log, &rareLog{every: 10 * time.Second}, count}, nil
}

// happened notes an error of an operation that is tried again.
func (k *kafkaTrouble) happened(ctx context.Context, operation, topic string, err error) {
	cause := "unreachable"
	var refused *kerr.Error
	if errors.As(err, &refused) {
		cause = refused.Message
	}
	k.count.Add(ctx, 1, metric.WithAttributes(attribute.String("operation", operation), attribute.String("topic", topic), attribute.String("cause", cause)))
	if k.rare.allow(time.Now()) {
		k.log.WarnContext(ctx, "Kafka refuses to "+operation+" or does not answer; trying again", "topic", topic, "error", err)
	}
}

// waits notes that an operation has had no answer for long.
func (k *kafkaTrouble) waits(ctx context.Context, operation, topic string) {
	k.count.Add(ctx, 1, metric.WithAttributes(attribute.String("operation", operation), attribute.String("topic", topic), attribute.String("cause", "no answer")))
}
