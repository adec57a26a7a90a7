package bus

import (
	"context"
	"fmt"
	"testing"

	"github.com/cartwheel-shop/cartwheel/pkg/bus/bustest"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
)

// Members come and go while events flow: each event has its effect exactly
// once, in the order of its key.
func TestEffectsAreExactlyOnceAcrossRebalances(t *testing.T) {
	t.Parallel()
	const keys, n, rounds = 12, 60, 5
	for _, kind := range []string{"once", "batch"} {
		for _, driver := range drivers {
			if kind == "batch" && driver == DriverWatermill {
				continue // batches read with franz-go
			}
			t.Run(kind+"/"+driver, func(t *testing.T) {
				t.Parallel()
				s, db := newShop(t, 8), database(t)
				s.cfg.Driver = driver
				member := func() (stop func()) {
					return s.run(kinds(db, func(context.Context, events.Metadata) error { return nil })[kind])
				}
				stay := member()
				defer stay()
				all := orders(t, keys, n)
				per := len(all) / rounds
				for round := range rounds {
					leave := member()
					s.write(all[round*per : (round+1)*per]...)
					bustest.Await(t, func() bool { return count(effects(t, db)) > round*per }, "a first effect of round %d", round)
					leave()
				}
				bustest.Await(t, func() bool { return count(effects(t, db)) >= len(all) }, "%d effects", len(all))
				wantInOrder(t, effects(t, db), keys, n)
				s.letters("c", 0)
			})
		}
	}
}

// A partition whose handler waits for something that is away is given up when
// another member comes; nobody waits for it.
func TestAWaitingPartitionCanMove(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"each", "once", "batch"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s, db := newShop(t, 2), database(t)
			left, right := keysOfTwoPartitions(t, s)
			s.write(order(t, left, 1), order(t, right, 1))
			waiting := make(chan struct{}, 1000)
			stopFirst := s.run(kinds(db, func(context.Context, events.Metadata) error {
				waiting <- struct{}{}
				return Unavailable(fmt.Errorf("away for this member only"))
			})[kind])
			<-waiting
			var got recorder
			s.run(kinds(db, func(_ context.Context, m events.Metadata) error { got.add(m); return nil })[kind])
			bustest.Await(t, func() bool { return got.count() == 1 }, "the second member to handle one partition")
			stopFirst()
			bustest.Await(t, func() bool { return s.committed("c") == 2 }, "both partitions handled")
			s.letters("c", 0)
		})
	}
}
