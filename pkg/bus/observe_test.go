package bus

import (
	"context"
	"errors"
	"maps"
	"sync/atomic"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/trace"

	"github.com/cartwheel-shop/cartwheel/pkg/bus/bustest"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
)

// Every message is counted once, by what became of it.
func TestMessagesAreCountedByOutcome(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"each", "batch"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			reader := sdkmetric.NewManualReader()
			s, db := newShop(t, 1), database(t)
			s.cfg.Metrics = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
			alien, other := order(t, "ord_0", 1), order(t, "ord_0", 2)
			alien.Type, alien.Version = "order.teleported.v1", "1.0"
			other.Type = "order.completed.v1"
			s.write(alien, other, order(t, "ord_good", 1), order(t, "ord_bad", 1))
			s.writeRaw("k", "{")
			handle := func(key string) error {
				if key == "ord_bad" {
					return errors.New("no")
				}
				return nil
			}
			s.run(kinds(db, func(_ context.Context, m events.Metadata) error { return handle(m.AggregateID) })[kind])
			bustest.Await(t, func() bool { return s.committed("c") == 5 }, "5 offsets committed")
			want := map[string]int64{outcomeUnknown: 1, outcomeSkipped: 1, outcomeHandled: 1, outcomeDead: 2}
			if got := outcomes(t, reader, s.group("c")); !maps.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func outcomes(t *testing.T, reader sdkmetric.Reader, group string) map[string]int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	out := map[string]int64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			sum, ok := m.Data.(metricdata.Sum[int64])
			if m.Name != "bus.messages" || !ok {
				continue
			}
			for _, p := range sum.DataPoints {
				if g, _ := p.Attributes.Value("group"); g != attribute.StringValue(group) {
					t.Errorf("group %v, want %s", g, group)
				}
				outcome, _ := p.Attributes.Value("outcome")
				out[outcome.AsString()] += p.Value
			}
		}
	}
	return out
}

// A dead letter that cannot be written is trouble of the unavailable kind: the
// message is not done with before its letter is.
func TestADeadLetterThatCannotBeWrittenIsWaitedFor(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"each", "batch"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			cluster := bustest.Fake(t)
			s, db := newShopAt(t, cluster.ListenAddrs(), 1), database(t)
			var closed atomic.Bool
			var refusals atomic.Int32
			closed.Store(true)
			s.writeRaw("k", "{")
			cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
				cluster.KeepControl()
				if !closed.Load() {
					return nil, nil, false
				}
				refusals.Add(1)
				return refuseProduce(req.(*kmsg.ProduceRequest), kerr.NotEnoughReplicas), nil, true
			})
			start := func() (stop func()) {
				return s.run(kinds(db, func(context.Context, events.Metadata) error { return nil })[kind])
			}
			stop := start()
			bustest.Await(t, func() bool { return refusals.Load() > 3 }, "some tries")
			stop()
			if n := s.committed("c"); n != 0 {
				t.Errorf("%d offsets committed without a letter", n)
			}
			start()
			closed.Store(false)
			s.letters("c", 1)
			bustest.Await(t, func() bool { return s.committed("c") == 1 }, "the offset behind it")
		})
	}
}

// The trace that published an event goes on in its handler.
func TestTheTraceGoesOn(t *testing.T) {
	t.Parallel()
	s := newShop(t, 1)
	got := make(chan trace.SpanContext, 1)
	r := &router{cfg: mustDefaults(t, s.cfg), group: "g"}
	handler := r.trace(func(m *message.Message) ([]*message.Message, error) {
		got <- trace.SpanContextFromContext(m.Context())
		return nil, nil
	})
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	m := newMessage(&kgo.Record{Topic: s.topic, Headers: []kgo.RecordHeader{{Key: "traceparent", Value: []byte(parent)}}})
	if _, err := handler(m); err != nil {
		t.Fatal(err)
	}
	if sc := <-got; sc.TraceID().String() != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("trace %s, want the publisher's", sc.TraceID())
	}
}
