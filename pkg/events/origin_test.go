package events_test

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
)

// What is kept of a context is all of it that a fact tells, whatever the context
// is that it is told in.
func TestAnOriginIsKept(t *testing.T) {
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	first := trace.ContextWithSpanContext(events.WithCausation(events.WithCorrelation(context.Background(), "ord_1"), "evt_1"), span)
	later := events.WithCorrelation(context.Background(), "ord_2")

	kept := events.OriginFrom(first)
	if want := (events.Cause{CorrelationID: "ord_1", CausationID: "evt_1"}); kept.Cause != want || kept.Traceparent != "00-01000000000000000000000000000000-0200000000000000-01" {
		t.Fatalf("kept %+v", kept)
	}
	if again := events.OriginFrom(kept.Context(later)); again != kept {
		t.Errorf("told later, it is %+v, want %+v", again, kept)
	}
	if none := events.OriginFrom(events.Origin{}.Context(later)); none != (events.Origin{}) {
		t.Errorf("of nothing kept comes %+v", none)
	}
}
