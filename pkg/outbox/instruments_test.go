package outbox_test

import (
	"testing"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox/outboxtest"
)

// metrics are the sums of all points of each instrument.
func metrics(t *testing.T, reader *sdkmetric.ManualReader) map[string]float64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Gauge[int64]:
				for _, p := range data.DataPoints {
					out[m.Name] += float64(p.Value)
				}
			case metricdata.Gauge[float64]:
				for _, p := range data.DataPoints {
					out[m.Name] += p.Value
				}
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					out[m.Name] += float64(p.Value)
				}
			}
		}
	}
	return out
}

func TestMetricsOfARelay(t *testing.T) {
	db := open(t)
	reader := sdkmetric.NewManualReader()
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	publish(t, db, confirmed("ord_1", "a"), confirmed("ord_2", "b"), confirmed("ord_1", "poison"))
	b, err := db.Backlog(t.Context())
	if err != nil || b.Rows != 3 || b.Oldest <= 0 || b.Parked != 0 {
		t.Errorf("before a relay: %+v, %v", b, err)
	}
	log := &picky{Log: outboxtest.NewLog(), word: "poison"}
	stop := outboxtest.RunPublisher(t, db, log, outbox.WithMetrics(provider))
	waitFor(t, func() bool { return len(parkedFacts(t, db)) == 1 && pending(t, db) == 0 })
	got := metrics(t, reader)
	if got["outbox.sent"] != 2 || got["outbox.shards"] != outbox.Shards {
		t.Errorf("got %v, want 2 sent and all shards", got)
	}
	for _, name := range []string{"outbox.lag", "outbox.oldest", "outbox.parked"} {
		if _, there := got[name]; !there {
			t.Errorf("there is no %s", name)
		}
	}
	if b, err := db.Backlog(t.Context()); err != nil || b.Rows != 0 || b.Oldest != 0 || b.Parked != 1 {
		t.Errorf("afterwards: %+v, %v", b, err)
	}
	stop()
	if got := metrics(t, reader); got["outbox.shards"] != 0 {
		t.Errorf("a relay that has stopped still has %v shards", got["outbox.shards"])
	}
}
