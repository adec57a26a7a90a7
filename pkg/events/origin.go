package events

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
)

// Origin is what facts belong to that something tells later than what set them
// off: a sweeper, a courier, a mail server. It is kept with the row that they are
// about.
type Origin struct {
	Cause
	Traceparent string // W3C; empty for no trace
}

// OriginFrom returns the origin that ctx carries.
func OriginFrom(ctx context.Context) Origin {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return Origin{Cause: CauseFrom(ctx), Traceparent: carrier["traceparent"]}
}

// Context returns a context under which events have this origin.
func (o Origin) Context(ctx context.Context) context.Context {
	ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": o.Traceparent})
	return context.WithValue(ctx, causeKey{}, o.Cause)
}
