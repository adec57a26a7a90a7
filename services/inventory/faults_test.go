package inventory

import (
	"testing"

	"github.com/cartwheel-shop/cartwheel/pkg/fault"
)

// An error in front of the courier and one behind it: the saga asks again, and the
// parcel is one.
func TestFaultsAtTheCourier(t *testing.T) {
	for point, asked := range map[fault.Point]int{fault.CourierBefore: 0, fault.CourierAfter: 1} {
		t.Run(string(point), func(t *testing.T) {
			w := open(t)
			o := w.prepared(t)
			courier := &feed{answer: func(Parcel) (Label, error) { return Label{Carrier: "c", Tracking: "1"}, nil }}
			s := w.service(courier)
			s.faults = fault.New(s.log)
			if _, err := s.faults.Arm(fault.Fault{Point: point, Kind: fault.Fail, Key: o.OrderID, Times: 1}); err != nil {
				t.Fatal(err)
			}
			if _, err := s.dispatch(t.Context(), o); outcome(err) != "again" || len(courier.sent) != asked {
				t.Fatalf("with the fault it ended %s, and the courier was asked %d times, want %d", outcome(err), len(courier.sent), asked)
			}
			if res, err := s.dispatch(t.Context(), o); err != nil || res.Tracking != "1" {
				t.Fatalf("after it: %+v, %v", res, err)
			}
			for _, p := range courier.sent {
				if p.Reference != w.shipmentID(t, o.OrderID) {
					t.Errorf("another parcel: %s", p.Reference)
				}
			}
		})
	}
}
