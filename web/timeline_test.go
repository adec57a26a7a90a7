package web

import (
	"slices"
	"testing"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
	"github.com/cartwheel-shop/cartwheel/pkg/service"
)

// A fact is shown after the row that it came from, whichever clock was ahead.
func TestTimelineOrder(t *testing.T) {
	at := func(ms int) time.Time { return time.Date(2026, 11, 23, 9, 0, 0, ms*1e6, time.UTC) }
	id := func(id string) map[string]any { return map[string]any{"event_id": id} }
	items := []service.TrailItem{
		{At: at(1), Kind: service.TrailEvent, Name: "order.created.v2", Detail: id("e1")},
		{At: at(4), Kind: service.TrailEvent, Name: "inventory.reserved.v1", Detail: id("e2")},
		{At: at(3), Kind: service.TrailOutbox, Name: "inventory.reserved.v1", Detail: id("e2")},
		{At: at(3), Kind: service.TrailCommand, Name: "inventory.reserve"},
		{At: at(2), Kind: service.TrailOutbox, Name: "order.created.v2", Detail: id("e1")},
		{At: at(0), Kind: service.TrailHTTP, Name: "POST /api/orders"},
		{At: at(0), Kind: service.TrailEvent, Name: "of a service that did not answer", Detail: id("e3")},
	}
	order(items)
	got := ""
	for _, it := range items {
		got += it.Kind + " " + it.Name + "\n"
	}
	want := `http POST /api/orders
event of a service that did not answer
outbox order.created.v2
event order.created.v2
command inventory.reserve
outbox inventory.reserved.v1
event inventory.reserved.v1
`
	if got != want {
		t.Errorf("order:\n%swant:\n%s", got, want)
	}
}

// Each event says what became of it in each group that handles it; those whose
// time is not known come last.
func TestTimelineReadings(t *testing.T) {
	at := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	place := map[string]any{"event_id": "e1", "topic": "orders", "partition": 3.0, "offset": 42.0}
	items := []service.TrailItem{
		{At: at, Kind: service.TrailOutbox, Name: "order.created.v2", Detail: map[string]any{"event_id": "e1"}},
		{At: at, Kind: service.TrailEvent, Name: "order.created.v2", Detail: place},
		{At: at, Kind: service.TrailEvent, Name: "of nowhere", Detail: map[string]any{"event_id": "e2"}},
	}
	if got, want := factsOf(items), []bus.Fact{{EventID: "e1", Type: "order.created.v2", Topic: "orders", Partition: 3, Offset: 42, At: at}}; !slices.Equal(got, want) {
		t.Errorf("facts %+v, want %+v", got, want)
	}
	join(items, []bus.Reading{
		{Group: "order.start-saga", EventID: "e1", State: bus.Past},
		{Group: "b", EventID: "e1", State: bus.Done, At: at.Add(2)},
		{Group: "a", EventID: "e1", State: bus.Done, At: at.Add(1)},
		{Group: "c", EventID: "e9", State: bus.Done, At: at},
	})
	groups := ""
	for _, r := range items[1].Detail["consumers"].([]bus.Reading) {
		groups += r.Group + " "
	}
	if groups != "a b order.start-saga " || items[0].Detail["consumers"] != nil || items[2].Detail["consumers"] != nil {
		t.Errorf("consumers %q; %v", groups, items)
	}
}
