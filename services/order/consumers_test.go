package order

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
)

// order.created starts the saga of an order of ours that has not ended; while
// the saga engine is away the fact waits.
func TestCreatedStartsTheSaga(t *testing.T) {
	for _, tc := range []struct {
		name  string
		is    Status
		id    string
		saga  error
		asked string
		waits bool
		fails bool
	}{
		{"a new order", Pending, "ord_1", nil, "order.fulfil ord_1", false, false},
		{"a repeat, later", Confirmed, "ord_1", nil, "order.fulfil ord_1", false, false},
		{"a repeat while the saga runs", Confirmed, "ord_1", started, "order.fulfil ord_1", false, false},
		{"a repeat after the end", Rejected, "ord_1", nil, "", false, false},
		{"an order of another shop", Pending, "ord_2", nil, "", false, false},
		{"the engine is away", Pending, "ord_1", away, "order.fulfil ord_1", true, true},
		{"the engine refuses", Pending, "ord_1", errors.New("too large"), "order.fulfil ord_1", false, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := open(t)
			d.place(t, "ord_1")
			d.goes(t, "ord_1", wayTo[tc.is]...)
			d.sagas.answers(tc.saga)
			err := d.created(t.Context(), events.Of[events.OrderCreated]{Data: events.OrderCreated{OrderID: tc.id}})
			if (err != nil) != tc.fails || bus.IsUnavailable(err) != tc.waits {
				t.Errorf("created = %v, waits %v; want %v", err, bus.IsUnavailable(err), tc.waits)
			}
			if got := d.sagas.was(); got != tc.asked {
				t.Errorf("the saga engine was asked %q, want %q", got, tc.asked)
			}
		})
	}
}

// What the saga decides by is fixed when it starts, and says nothing personal.
func TestThePlanOfASaga(t *testing.T) {
	for _, tc := range []struct {
		name    string
		channel string
		cents   int64
		asks    bool
	}{
		{"a usual order", Web, 298, false},
		{"at the threshold", Web, 50000, false},
		{"above it", Web, 50001, true},
		{"a marketplace's", "fair", 50001, false},
	} {
		d := open(t)
		o := d.place(t, "ord_1", func(p *Placing) {
			p.Order.Channel, p.Order.Total.Amount = tc.channel, tc.cents
		})
		if err := d.engine.Start(t.Context(), o.Order); err != nil {
			t.Fatal(err)
		}
		p := d.sagas.plan
		if p.NeedsApproval != tc.asks || !p.DispatchDeadline.Equal(o.Deadline) || p.Order.OrderID != "ord_1" || p.Order.Total != o.Total || p.Order.PaymentToken != "tok_visa" || fmt.Sprint(p.Order.Lines) != "[{milk 2}]" {
			t.Errorf("%s: planned %+v, want approval asked for: %v", tc.name, p, tc.asks)
		}
	}
}

// shipment.delivered is written down before the saga is told, so that one that
// starts anew knows.
func TestDeliveredIsTold(t *testing.T) {
	for _, tc := range []struct {
		name  string
		id    string
		saga  error
		asked string
		waits bool
		noted bool
	}{
		{"an order on its way", "ord_1", nil, "delivered ord_1", false, true},
		{"an order whose saga has ended", "ord_1", notFound, "delivered ord_1", false, true},
		{"the engine is away", "ord_1", away, "delivered ord_1", true, true},
		{"an order of another shop", "ord_2", nil, "", false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := open(t)
			d.place(t, "ord_1")
			d.sagas.answers(tc.saga)
			err := d.delivered(t.Context(), events.Of[events.ShipmentDelivered]{Data: events.ShipmentDelivered{OrderID: tc.id, DeliveredAt: d.at}})
			if (err != nil) != tc.waits || bus.IsUnavailable(err) != tc.waits {
				t.Errorf("delivered = %v, want it to wait: %v", err, tc.waits)
			}
			if got := d.sagas.was(); got != tc.asked {
				t.Errorf("the saga engine was asked %q, want %q", got, tc.asked)
			}
			if at := d.row(t, "ord_1").DeliveredAt; at.IsZero() == tc.noted {
				t.Errorf("delivered at %s, want it noted: %v", at, tc.noted)
			}
		})
	}
}

// The reconciler starts the saga of every open order that nobody has touched for
// a while, however many there are, and stops where the engine does not answer.
func TestTheReconcilerStartsWhatIsMissing(t *testing.T) {
	d := open(t)
	want := ""
	for i := range reconcileBatch + 2 {
		id := fmt.Sprintf("ord_%03d", i)
		d.place(t, id)
		if i != 1 {
			want += ", order.fulfil " + id
		}
	}
	d.goes(t, "ord_001", Cancelled)
	d.pass(reconcileAfter)
	if err := d.startMissing(t.Context()); err != nil || d.sagas.was() != "" {
		t.Errorf("what was touched just now is started (%v)", err)
	}
	d.pass(time.Millisecond)
	if err := d.startMissing(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := ", " + d.sagas.was(); got != want {
		t.Errorf("asked for %s\nwant %s", got, want)
	}
	d.sagas.answers(away)
	if err := d.startMissing(t.Context()); err == nil || d.sagas.was() != "order.fulfil ord_000" {
		t.Errorf("with the engine away: %v, want it to stop at the first", err)
	}
}
