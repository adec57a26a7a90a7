package bus

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
)

type (
	callKey    struct{} // the call of a decoded event
	outcomeKey struct{} // *string: what became of the message, for metrics
)

// trace continues the trace that published the event.
func (r *router) trace(next message.HandlerFunc) message.HandlerFunc {
	tracer := otel.Tracer(scope)
	return func(m *message.Message) ([]*message.Message, error) {
		ctx := otel.GetTextMapPropagator().Extract(m.Context(), propagation.MapCarrier(m.Metadata))
		ctx, span := tracer.Start(ctx, "consume "+m.Metadata[topicMetadata], trace.WithSpanKind(trace.SpanKindConsumer),
			trace.WithAttributes(
				attribute.String("messaging.system", "kafka"),
				attribute.String("messaging.consumer.group.name", r.group),
				attribute.String("messaging.message.id", m.UUID)))
		defer span.End()
		m.SetContext(ctx)
		out, err := next(m)
		if err != nil {
			span.RecordError(err)
			span.SetStatus(codes.Error, err.Error())
		}
		return out, err
	}
}

// metrics counts messages by their outcome.
func (r *router) metrics(next message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) ([]*message.Message, error) {
		start, outcome, ctx := time.Now(), outcomeHandled, m.Context()
		m.SetContext(context.WithValue(ctx, outcomeKey{}, &outcome))
		out, err := next(m)
		if err != nil {
			outcome = outcomeAgain
		}
		r.count(ctx, 1, m.Metadata[typeHeader], outcome)
		r.took(ctx, start)
		return out, err
	}
}

func setOutcome(ctx context.Context, outcome string) {
	if p, ok := ctx.Value(outcomeKey{}).(*string); ok {
		*p = outcome
	}
}

// deadLetter writes what failed to the dead letters and lets the partition go
// on. While it cannot be written, the message waits.
func (r *router) deadLetter(next message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) ([]*message.Message, error) {
		ctx := m.Context()
		out, err := next(m)
		var f *failure
		if !errors.As(err, &f) {
			return out, err
		}
		setOutcome(ctx, outcomeDead)
		return nil, r.bury(ctx, m, f)
	}
}

// decode reads the envelope and its body, in the newest version. What does not
// decode is given up at once; what the consumer does not handle is done with.
func (r *router) decode(next message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) ([]*message.Message, error) {
		ctx := m.Context()
		if isDiscarded(m) && r.consumer.once != nil && r.consumer.once.parks(m) {
			discard := call(func(ctx context.Context) error { return r.release(ctx, m, events.Envelope{}, nil) })
			m.SetContext(context.WithValue(ctx, callKey{}, discard))
			return next(m)
		}
		env, verdict, err := r.envelope(ctx, m)
		if err != nil || verdict != wanted {
			return nil, err
		}
		handle, err := r.open(m, env)
		if err != nil {
			return nil, &failure{Undecodable, 1, err}
		}
		m.SetContext(events.WithCause(context.WithValue(ctx, callKey{}, handle), env))
		return next(m)
	}
}

// open decodes the body of an event for the consumer's handler.
func (r *router) open(m *message.Message, env events.Envelope) (call, error) {
	o := r.consumer.once
	if o == nil {
		return r.consumer.each(env)
	}
	handle, err := o.open(env)
	switch {
	case err != nil:
		return nil, err
	case !o.parks(m):
		return func(ctx context.Context) error { return r.once(ctx, env, handle) }, nil
	case isRedriven(m):
		return func(ctx context.Context) error { return r.release(ctx, m, env, handle) }, nil
	}
	return func(ctx context.Context) error { return r.inLine(ctx, m, env, handle) }, nil
}

// verdict says what is to be done with an event.
type verdict int

const (
	wanted  verdict = iota
	skipped         // of a type that the consumer does not handle
	unknown         // of a type that this build has never heard of
)

// envelope decodes a message. The error is a *failure.
func (r *router) envelope(ctx context.Context, m *message.Message) (events.Envelope, verdict, error) {
	if isSettled(m) || isDiscarded(m) {
		setOutcome(ctx, outcomeSkipped)
		return events.Envelope{}, skipped, nil
	}
	env, err := events.Decode(m.Payload)
	env.Source = sourceOf(m)
	var unknownType *events.UnknownType
	var newer *events.UnknownVersion
	switch {
	case errors.As(err, &unknownType):
		r.log.DebugContext(ctx, "event of an unknown type", "type", unknownType.Type)
		setOutcome(ctx, outcomeUnknown)
		return env, unknown, nil
	case errors.As(err, &newer) && r.consumer.wants(newer.Type):
		return env, wanted, &failure{UnknownVersion, 1, err}
	case errors.As(err, &newer):
	case err != nil:
		return env, wanted, &failure{Undecodable, 1, err}
	case r.consumer.wants(env.Type):
		return env, wanted, nil
	}
	setOutcome(ctx, outcomeSkipped)
	return env, skipped, nil
}

// retry keeps the two kinds of trouble apart: what is away is waited for, what
// fails is tried a few times.
func (r *router) retry(next message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) ([]*message.Message, error) {
		return nil, r.attempt(m.Context(), r.cfg.Attempts, func() error { _, err := next(m); return err })
	}
}

// recover turns a panic into an error.
func (r *router) recover(next message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) (out []*message.Message, err error) {
		err = r.guard(m.Context(), func() (err error) { out, err = next(m); return err })
		return out, err
	}
}

// guard calls fn and turns its panic into an error.
func (r *router) guard(ctx context.Context, fn func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			r.log.ErrorContext(ctx, "handler panicked", "panic", v, "stack", string(debug.Stack()))
			err = &panicked{v}
		}
	}()
	return fn()
}
