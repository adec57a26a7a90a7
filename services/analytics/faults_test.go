package analytics

import (
	"testing"

	"github.com/cartwheel-shop/cartwheel/pkg/fault"
)

// An error in front of the commit of a batch and one behind it, and one after
// which Kafka does not know that it was handled: each fact counts once.
func TestFaultsOfTheConsumers(t *testing.T) {
	for _, point := range []fault.Point{fault.InboxBefore, fault.InboxAfter, fault.AckBefore} {
		t.Run(string(point), func(t *testing.T) {
			w := openTower(t)
			w.kafka.Attempts = 5
			hit, err := w.faults.Arm(fault.Fault{Point: point, Kind: fault.Fail, Key: "analytics.sales", Times: 2})
			if err != nil {
				t.Fatal(err)
			}
			w.write(t, shipped(t, "ord_1"), shipped(t, "ord_2"), shipped(t, "ord_3"))
			w.consume(t)
			<-hit.Fired()
			w.settled(t)
			if got, want := w.store.sales(t, "2026-11-01", "2026-11-30"), "2026-11-23 EUR 3 of 6 for 894"; got != want || hit.Fires() == 0 {
				t.Errorf("sold %s, want %s", got, want)
			}
			if list, err := w.admin.DeadLetters(t.Context(), all); err != nil || len(list) != 0 {
				t.Errorf("dead letters %+v, %v; want none", list, err)
			}
		})
	}
}
