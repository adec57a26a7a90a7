package events

import "context"

type causeKey struct{}

// Cause is what an event that is published now belongs to.
type Cause struct {
	CorrelationID string
	CausationID   string
}

// CauseFrom returns the cause that ctx carries.
func CauseFrom(ctx context.Context) Cause {
	c, _ := ctx.Value(causeKey{}).(Cause)
	return c
}

// WithCorrelation returns a context under which events belong to id, by habit
// the order on whose way they happen.
func WithCorrelation(ctx context.Context, id string) context.Context {
	c := CauseFrom(ctx)
	c.CorrelationID = id
	return context.WithValue(ctx, causeKey{}, c)
}

// WithCausation returns a context under which events are caused by the event with
// this id.
func WithCausation(ctx context.Context, eventID string) context.Context {
	c := CauseFrom(ctx)
	c.CausationID = eventID
	return context.WithValue(ctx, causeKey{}, c)
}

// WithCause returns a context under which events are caused by env, and belong
// to what env belongs to.
func WithCause(ctx context.Context, env Envelope) context.Context {
	return context.WithValue(ctx, causeKey{}, Cause{CorrelationID: env.Metadata.CorrelationID, CausationID: env.ID})
}
