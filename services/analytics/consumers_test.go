package analytics

import (
	"testing"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/bus/bustest"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/service"
)

// shipped is the fact of an order of two for 2.98 euros, placed at noon.
func shipped(t *testing.T, orderID string) events.Envelope {
	o := sale("2026-11-23T12:00:00Z", 2, 298, "EUR")
	o.OrderID = orderID
	return bustest.Event(t, o, 2)
}

// What is sold is what was shipped: every such fact once, however often Kafka has
// it, and no order that ended otherwise.
func TestSalesAreWhatWasShipped(t *testing.T) {
	w := openTower(t)
	w.consume(t)
	one := shipped(t, "ord_1")
	w.write(t,
		bustest.Event(t, events.OrderConfirmed{OrderID: "ord_1", CustomerID: "cus_1", Channel: "web", Total: events.Money{Amount: 298, Currency: "EUR"}}, 1),
		one, one,
		bustest.Event(t, events.OrderCompleted{OrderID: "ord_1", CustomerID: "cus_1", Channel: "web", Total: events.Money{Amount: 298, Currency: "EUR"}, DeliveredAt: noon}, 3),
		bustest.Event(t, events.OrderCancelled{OrderID: "ord_2", CustomerID: "cus_1", Channel: "web", Reason: "changed my mind", Refunded: events.Money{Amount: 298, Currency: "EUR"}}, 2),
		bustest.Event(t, events.OrderRejected{OrderID: "ord_3", CustomerID: "cus_1", Channel: "web", Code: "declined", Reason: "no", Refunded: events.Money{Currency: "EUR"}}, 1),
		shipped(t, "ord_4"), one,
	)
	w.settled(t)
	if got, want := w.store.sales(t, "2026-11-01", "2026-11-30"), "2026-11-23 EUR 2 of 4 for 596"; got != want {
		t.Errorf("sold %s, want %s", got, want)
	}
}

// Every fact is in the log once, with its place in Kafka; the trail of an order
// is its facts, oldest first.
func TestTheLogKnowsEveryFact(t *testing.T) {
	w := openTower(t)
	w.consume(t)
	first, second := shipped(t, "ord_1"), shipped(t, "ord_1")
	first.Timestamp, second.Timestamp = noon, noon.Add(time.Second)
	second.Type, second.Metadata.AggregateVersion = "order.remembered.v1", 3 // of a service that is newer than this one
	second.Metadata.CausationID, second.Metadata.TraceID = first.ID, "4bf92f3577b34da6a3ce929d0e0e4736"
	w.write(t, first, second, first, shipped(t, "ord_2"))
	w.settled(t)

	var trail service.Trail
	w.get(t, "/internal/trail/ord_1", &trail)
	if len(trail.Items) != 2 {
		t.Fatalf("trail %+v, want two facts", trail.Items)
	}
	a, b := trail.Items[0], trail.Items[1]
	if a.Name != "order.shipped.v1" || a.Kind != service.TrailEvent || !a.At.Equal(noon) || a.Detail["event_id"] != first.ID || a.Detail["topic"] != "orders" || a.Detail["offset"] != 0.0 || a.Detail["aggregate_version"] != 2.0 || a.Detail["producer"] != "test" {
		t.Errorf("the first is %+v", a)
	}
	if b.Name != "order.remembered.v1" || b.Detail["offset"] != 1.0 || b.Detail["causation_id"] != first.ID || b.Detail["trace_id"] != second.Metadata.TraceID || b.Detail["partition"] != a.Detail["partition"] {
		t.Errorf("the second is %+v", b)
	}
	var none service.Trail
	if w.get(t, "/internal/trail/ord_9", &none); none.Items == nil || len(none.Items) != 0 {
		t.Errorf("trail of an unknown order: %v", none.Items)
	}
}
