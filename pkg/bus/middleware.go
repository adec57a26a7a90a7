package bus

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
)

type envelopeKey struct{}

func envelopeFrom(ctx context.Context) (events.Envelope, bool) {
	env, ok := ctx.Value(envelopeKey{}).(events.Envelope)
	return env, ok
}

// failure is a message that is given up: it goes to the dead letters.
type failure struct {
	reason   Reason
	attempts int
	err      error
}

func (f *failure) Error() string {
	return fmt.Sprintf("%s after %d attempts: %v", f.reason, f.attempts, f.err)
}
func (f *failure) Unwrap() error { return f.err }

type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// trace continues the trace that published the event.
func (r *router) trace(next message.HandlerFunc) message.HandlerFunc {
	tracer := otel.Tracer("github.com/cartwheel-shop/cartwheel/pkg/bus")
	return func(m *message.Message) ([]*message.Message, error) {
		ctx := otel.GetTextMapPropagator().Extract(m.Context(), propagation.MapCarrier(m.Metadata))
		ctx, span := tracer.Start(ctx, "consume "+m.Metadata[topicMetadata], trace.WithSpanKind(trace.SpanKindConsumer),
			trace.WithAttributes(attribute.String("messaging.consumer.group.name", r.group), attribute.String("messaging.message.id", m.UUID)))
		defer span.End()
		m.SetContext(ctx)
		out, err := next(m)
		if err != nil {
			span.RecordError(err)
		}
		return out, err
	}
}

// metrics counts messages by their outcome.
func (r *router) metrics(next message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) ([]*message.Message, error) {
		out, err := next(m)
		outcome := "handled"
		if err != nil {
			outcome = "returned" // to be delivered again
		}
		r.count(m.Context(), m.Metadata["ce_type"], outcome)
		return out, err
	}
}

func (r *router) count(ctx context.Context, eventType, outcome string) {
	r.handled.Add(ctx, 1, metric.WithAttributes(attribute.String("group", r.group), attribute.String("event_type", eventType), attribute.String("outcome", outcome)))
}

// deadLetter writes what failed to the dead letters and lets the partition go
// on. While it cannot be written, that is trouble of the unavailable kind.
func (r *router) deadLetter(next message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) ([]*message.Message, error) {
		out, err := next(m)
		var f *failure
		if !errors.As(err, &f) {
			return out, err
		}
		return nil, r.bury(m, f)
	}
}

func (r *router) bury(m *message.Message, f *failure) error {
	letter := newDeadLetter(r.group, m, f, time.Now())
	if err := r.publisher.Publish(DeadTopic(r.group), letter); err != nil {
		r.log.Error("dead letter not written; the message comes again", "error", err)
		return err
	}
	r.log.Error("message is a dead letter", "topic", m.Metadata[topicMetadata], "partition", m.Metadata[partitionMetadata],
		"offset", m.Metadata[offsetMetadata], "reason", f.reason, "attempts", f.attempts, "error", f.err)
	r.count(m.Context(), m.Metadata["ce_type"], "dead_letter")
	return nil
}

// decode reads the envelope. What does not decode is given up at once.
func (r *router) decode(next message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) ([]*message.Message, error) {
		env, err := r.envelope(m)
		if err != nil {
			return nil, err
		}
		if env == nil {
			return next(m)
		}
		ctx := context.WithValue(m.Context(), envelopeKey{}, *env)
		m.SetContext(events.WithCause(ctx, *env))
		return next(m)
	}
}

// envelope decodes a message; nil for an event of an unknown type.
func (r *router) envelope(m *message.Message) (*events.Envelope, error) {
	env, err := events.Decode(m.Payload)
	var unknown *events.UnknownType
	var newer *events.UnknownVersion
	switch {
	case errors.As(err, &unknown):
		r.log.Debug("event of an unknown type skipped", "type", unknown.Type)
		r.count(m.Context(), unknown.Type, "unknown_type")
		return nil, nil
	case errors.As(err, &newer):
		return nil, &failure{UnknownVersion, 1, err}
	case err != nil:
		return nil, &failure{Undecodable, 1, err}
	}
	env.Source = sourceOf(m)
	return &env, nil
}

func sourceOf(m *message.Message) events.Source {
	p, _ := strconv.ParseInt(m.Metadata[partitionMetadata], 10, 32)
	o, _ := strconv.ParseInt(m.Metadata[offsetMetadata], 10, 64)
	return events.Source{Topic: m.Metadata[topicMetadata], Partition: int32(p), Offset: o}
}

const (
	backoffMax     = 2 * time.Second // between attempts of a failing handler
	unavailableMax = 5 * time.Second // between looks at something that is away
)

// retry keeps the two kinds of trouble apart: what is away is waited for, what
// fails is tried a few times.
func (r *router) retry(next message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) ([]*message.Message, error) {
		return nil, r.attempt(m.Context(), func() error { _, err := next(m); return err })
	}
}

// attempt calls fn until it succeeds, is given up (*failure), or ctx ends.
func (r *router) attempt(ctx context.Context, fn func() error) error {
	failed, away := 0, 0
	for {
		err := fn()
		switch {
		case err == nil:
			if away > 0 {
				r.log.Info("consumer goes on")
			}
			return nil
		case ctx.Err() != nil:
			return err
		case errors.Is(err, events.ErrUndecodable):
			return &failure{Undecodable, failed + 1, err}
		case IsUnavailable(err):
			if away == 0 {
				r.log.Warn("consumer waits for something that is away", "error", err)
			}
			away++
			if !wait(ctx, min(r.cfg.Backoff<<min(away, 10), unavailableMax)) {
				return err
			}
			continue
		}
		failed++
		if failed >= r.cfg.Attempts {
			reason := Failed
			var p *panicked
			if errors.As(err, &p) {
				reason = Panicked
			}
			return &failure{reason, failed, err}
		}
		r.log.Warn("handler failed; trying again", "attempt", failed, "error", err)
		if !wait(ctx, min(r.cfg.Backoff<<(failed-1), backoffMax)) {
			return err
		}
	}
}

// recover turns a panic into an error.
func (r *router) recover(next message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) (out []*message.Message, err error) {
		defer func() {
			if v := recover(); v != nil {
				p := &panicked{v, debug.Stack()}
				r.log.Error("handler panicked", "panic", v, "stack", string(p.stack))
				err = p
			}
		}()
		return next(m)
	}
}
