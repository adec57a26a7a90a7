package notification

import (
	"context"
	"testing"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
)

// Which fact gives which mail, with what to say in it. The fact comes twice, as
// Kafka may have it.
func TestWhichFactGivesWhichMail(t *testing.T) {
	o := open(t)
	type handle = func(ctx context.Context, tx outbox.Tx, orderID, channel string) error
	for _, tc := range []struct {
		name    string
		handle  handle
		kind    Kind
		details Details
	}{
		{"confirmed", func(ctx context.Context, tx outbox.Tx, id, channel string) error {
			return o.confirmed(ctx, tx, events.Of[events.OrderConfirmed]{Data: events.OrderConfirmed{OrderID: id, Channel: channel, Total: euros(500)}})
		}, Confirmed, Details{Total: euros(500)}},
		{"shipped", func(ctx context.Context, tx outbox.Tx, id, channel string) error {
			return o.shipped(ctx, tx, events.Of[events.OrderShipped]{Data: events.OrderShipped{OrderID: id, Channel: channel, Carrier: "Cartwheel Courier", Tracking: "CW1", Total: euros(500)}})
		}, Shipped, Details{Carrier: "Cartwheel Courier", Tracking: "CW1"}},
		{"cancelled", func(ctx context.Context, tx outbox.Tx, id, channel string) error {
			return o.cancelled(ctx, tx, events.Of[events.OrderCancelled]{Data: events.OrderCancelled{OrderID: id, Channel: channel, Reason: "you asked for it"}})
		}, Cancelled, Details{Reason: "you asked for it"}},
		{"cancelled with a refund", func(ctx context.Context, tx outbox.Tx, id, channel string) error {
			return o.cancelled(ctx, tx, events.Of[events.OrderCancelled]{Data: events.OrderCancelled{OrderID: id, Channel: channel, Reason: "you asked for it", Refunded: euros(500)}})
		}, Cancelled, Details{Reason: "you asked for it", Refunded: euros(500)}},
		{"rejected", func(ctx context.Context, tx outbox.Tx, id, channel string) error {
			return o.rejected(ctx, tx, events.Of[events.OrderRejected]{Data: events.OrderRejected{OrderID: id, Channel: channel, Code: "out_of_stock", Reason: "milk is out of stock"}})
		}, Rejected, Details{Reason: "milk is out of stock"}},
		{"rejected with a refund", func(ctx context.Context, tx outbox.Tx, id, channel string) error {
			return o.rejected(ctx, tx, events.Of[events.OrderRejected]{Data: events.OrderRejected{OrderID: id, Channel: channel, Code: "courier_refused", Reason: "too far", Refunded: euros(500)}})
		}, Refunded, Details{Reason: "too far", Refunded: euros(500)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, channel := range []string{web, "market"} {
				for range 2 {
					err := o.store.db.Tx(t.Context(), func(tx outbox.Tx) error { return tc.handle(t.Context(), tx, tc.name+" "+channel, channel) })
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			e := o.mail(t, tc.name+" "+web)
			if e.Kind != tc.kind || e.Details != tc.details || e.State != Queued || e.MessageID != e.ID+"@cartwheel.example" {
				t.Errorf("written %+v, want a %s mail with %+v", e, tc.kind, tc.details)
			}
			if list := o.mails(t, tc.name+" market"); len(list) != 0 {
				t.Errorf("a marketplace's order got %+v", list)
			}
		})
	}
}

// Who waits with the phone in hand comes first.
func TestBadNewsFirst(t *testing.T) {
	for k, want := range map[Kind]string{Rejected: "critical", Refunded: "critical", Cancelled: "critical", Confirmed: "default", Shipped: "low"} {
		if got := k.queue(); got != want {
			t.Errorf("%s mails are in the queue %s, want %s", k, got, want)
		}
	}
}
