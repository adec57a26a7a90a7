package order

import (
	"errors"
	"net/http"
	"testing"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/fault"
)

// An error in front of the commit of an order and one behind it: the customer is
// told to try again, and the same request again is one order.
func TestFaultsWhileAnOrderIsPlaced(t *testing.T) {
	for _, tc := range []struct {
		point    fault.Point
		after    string
		replayed string
	}{
		{fault.CommitBefore, nothing, ""},
		{fault.CommitAfter, "1 orders, 1 keys, 1 customers, 1 facts", "true"},
	} {
		t.Run(string(tc.point), func(t *testing.T) {
			d := open(t)
			d.sell(t)
			if _, err := d.faults.Arm(fault.Fault{Point: tc.point, Kind: fault.Fail, Times: 1}); err != nil {
				t.Fatal(err)
			}
			if a := d.post(t, milkOrder, "1"); a.status != http.StatusInternalServerError || a.Code != "internal" {
				t.Errorf("with the fault it is answered %d %s", a.status, a.body)
			}
			if got := d.stored(t); got != tc.after {
				t.Errorf("after the fault there are %s, want %s", got, tc.after)
			}
			if a := d.post(t, milkOrder, "1"); a.status != http.StatusAccepted || a.header.Get("Idempotent-Replayed") != tc.replayed {
				t.Errorf("the request again is answered %d %v", a.status, a.header)
			}
			if got, want := d.stored(t), "1 orders, 1 keys, 1 customers, 1 facts"; got != want {
				t.Errorf("in the end there are %s, want %s", got, want)
			}
		})
	}
}

// The same of a transition: the saga records it again, and it is told once.
func TestFaultsWhileATransitionIsRecorded(t *testing.T) {
	for point, after := range map[fault.Point]Status{fault.CommitBefore: Confirmed, fault.CommitAfter: Cancelled} {
		t.Run(string(point), func(t *testing.T) {
			d := open(t)
			d.place(t, "ord_1")
			d.goes(t, "ord_1", Confirmed)
			if _, err := d.faults.Arm(fault.Fault{Point: point, Kind: fault.Fail, Key: "ord_1", Times: 1}); err != nil {
				t.Fatal(err)
			}
			a := &activities{d.store}
			r := Recording{Transition: Transition{OrderID: "ord_1", To: Cancelled, Reason: "why not", Refunded: events.Money{Amount: 298, Currency: "EUR"}}, Steps: reserved}
			var hit *fault.Error
			if err := a.record(t.Context(), r); !errors.As(err, &hit) {
				t.Fatalf("with the fault it ended %v", err)
			}
			if got := d.row(t, "ord_1").Status; got != after {
				t.Errorf("after the fault it is %s, want %s", got, after)
			}
			if err := a.record(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			if got, told := d.row(t, "ord_1").Status, d.told(t, "ord_1"); got != Cancelled || told != "created confirmed cancelled" {
				t.Errorf("in the end it is %s, told %q; want it cancelled, once", got, told)
			}
		})
	}
}
