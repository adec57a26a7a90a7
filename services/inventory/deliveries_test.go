package inventory

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
)

// shipmentID is the id of an order's shipment.
func (w *warehouse) shipmentID(t *testing.T, orderID string) string {
	t.Helper()
	sh, err := shipmentOf(t.Context(), w.db.Pool(), orderID)
	if err != nil || sh == nil {
		t.Fatalf("shipment of %s: %v, %v", orderID, sh, err)
	}
	return sh.ID
}

// dispatched returns the shipment of an order that the courier has.
func (w *warehouse) dispatched(t *testing.T, orderID string) string {
	t.Helper()
	o := w.order(orderID, "milk 1")
	for _, c := range []string{"reserve", "prepare", "hand-over", "dispatched"} {
		if _, err := w.do(t.Context(), c, o); err != nil {
			t.Fatalf("%s: %v", c, err)
		}
	}
	return w.shipmentID(t, orderID)
}

func (w *warehouse) position(t *testing.T) int64 {
	t.Helper()
	last, err := w.FeedPosition(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return last
}

func TestADeliveryIsToldOnce(t *testing.T) {
	w := open(t)
	at := w.at.Add(time.Minute)
	list := []Delivery{
		{Number: 1, Reference: w.dispatched(t, "ord_1"), DeliveredAt: at},
		{Number: 2, Reference: "somebody else's", DeliveredAt: at},
		{Number: 3, Reference: w.dispatched(t, "ord_2"), DeliveredAt: at},
		{Number: 4, Reference: w.shipmentID(t, "ord_1"), DeliveredAt: at.Add(time.Hour)}, // a courier that stutters
	}
	for range 2 { // the second time from a position that is not ours any more
		if err := w.RecordDeliveries(t.Context(), 0, list); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.position(t); got != 4 {
		t.Errorf("position %d, want 4", got)
	}
	for _, id := range []string{"ord_1", "ord_2"} {
		facts := w.facts(t, id)
		if want := "inventory.reserved shipment.prepared shipment.dispatched shipment.delivered"; w.told(t, id) != want {
			t.Errorf("facts of %s %q, want %q", id, w.told(t, id), want)
			continue
		}
		e, err := events.As[events.ShipmentDelivered](facts[3])
		if err != nil {
			t.Fatal(err)
		}
		if !e.Data.DeliveredAt.Equal(at) || e.Data.OrderID != id {
			t.Errorf("told %+v, want %s at %s", e.Data, id, at)
		}
	}
}

// Facts that no command tells belong to what the order's commands belong to.
func TestADeliveryAndAnExpiryNameTheirCause(t *testing.T) {
	w := open(t)
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	ctx := events.WithCausation(trace.ContextWithSpanContext(t.Context(), span), "created")
	for _, c := range []string{"reserve", "prepare", "hand-over", "dispatched"} {
		if _, err := w.do(ctx, c, w.order("ord_delivered", "milk 1")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.do(ctx, "reserve", w.order("ord_expired", "milk 1")); err != nil {
		t.Fatal(err)
	}
	if err := w.RecordDeliveries(t.Context(), 0, []Delivery{{Number: 1, Reference: w.shipmentID(t, "ord_delivered"), DeliveredAt: w.at}}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.do(t.Context(), "expire", w.order("ord_expired")); err != nil {
		t.Fatal(err)
	}
	for id, last := range map[string]string{"ord_delivered": "shipment.delivered.v1", "ord_expired": "inventory.released.v1"} {
		facts := w.facts(t, id)
		env := facts[len(facts)-1]
		if env.Type != last || env.Metadata.CausationID != "created" || env.Metadata.TraceID != span.TraceID().String() {
			t.Errorf("%s: %s, %+v; want %s with the cause and the trace of its commands", id, env.Type, env.Metadata, last)
		}
	}
}

// A quick courier delivers before we have written down that it has the parcel.
func TestADeliveryMayComeBeforeItsDispatch(t *testing.T) {
	w := open(t)
	o := w.order("ord_1", "milk 1")
	for _, c := range []string{"reserve", "prepare", "hand-over"} {
		if _, err := w.do(t.Context(), c, o); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.RecordDeliveries(t.Context(), 0, []Delivery{{Number: 1, Reference: w.shipmentID(t, "ord_1"), DeliveredAt: w.at}}); err != nil {
		t.Fatal(err)
	}
	if got := w.told(t, "ord_1"); got != "inventory.reserved shipment.prepared" {
		t.Errorf("told %q before the dispatch", got)
	}
	for range 2 {
		if _, err := w.do(t.Context(), "dispatched", o); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := w.told(t, "ord_1"), "inventory.reserved shipment.prepared shipment.dispatched shipment.delivered"; got != want {
		t.Errorf("facts %q, want %q", got, want)
	}
	if got := w.states(t, "ord_1"); got != "shipped, delivered" {
		t.Errorf("states %s, want shipped, delivered", got)
	}
}

// Several replicas read the feed: each delivery counts once.
func TestReadersOfTheFeedRace(t *testing.T) {
	w := open(t)
	var list []Delivery
	for i := range 20 {
		list = append(list, Delivery{Number: int64(i) + 1, Reference: w.dispatched(t, fmt.Sprintf("ord_%d", i)), DeliveredAt: w.at})
	}
	s := w.service(&feed{list: list})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for w.position(t) < 20 {
				if err := s.readFeed(t.Context()); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for i := range 20 {
		id := fmt.Sprintf("ord_%d", i)
		if got, want := w.told(t, id), "inventory.reserved shipment.prepared shipment.dispatched shipment.delivered"; got != want {
			t.Errorf("facts of %s %q, want %q", id, got, want)
		}
	}
}

// The follower goes on after the courier was away.
func TestFollowingGoesOnAfterTrouble(t *testing.T) {
	w := open(t)
	c := &feed{list: []Delivery{{Number: 1, Reference: w.dispatched(t, "ord_1"), DeliveredAt: w.at}}, trouble: 1, seen: make(chan int64, 16)}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.service(c).followCourier(ctx) }()
	for after := range c.seen {
		if after == 1 { // it asks for what comes after the first: that one is recorded
			break
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("followCourier: %v", err)
	}
	if got := w.states(t, "ord_1"); got != "shipped, delivered" {
		t.Errorf("states %s, want shipped, delivered", got)
	}
}

// feed is a courier that has delivered some parcels.
type feed struct {
	list    []Delivery
	trouble int        // how many calls fail first
	seen    chan int64 // the positions that it was asked from, when not nil
	sent    []Parcel
	answer  func(Parcel) (Label, error)
}

func (f *feed) Send(_ context.Context, p Parcel) (Label, error) {
	f.sent = append(f.sent, p)
	return f.answer(p)
}

func (f *feed) Deliveries(ctx context.Context, after int64, _ time.Duration) ([]Delivery, error) {
	if f.seen != nil {
		f.seen <- after
	}
	if f.trouble > 0 {
		f.trouble--
		return nil, errors.New("the courier is away")
	}
	if n := int64(len(f.list)); after < n {
		return f.list[after:min(n, after+7)], nil
	}
	if f.seen != nil {
		<-ctx.Done() // a long poll with nothing to tell
	}
	return nil, ctx.Err()
}
