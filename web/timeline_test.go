package web

import (
	"testing"
	"time"

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
