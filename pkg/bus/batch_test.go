package bus

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/cartwheel-shop/cartwheel/pkg/bus/bustest"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
)

type confirmed = events.Of[events.OrderConfirmed]

// apply gives each event of a batch its effect.
func apply(ctx context.Context, tx outbox.Tx, list []confirmed) error {
	for _, e := range list {
		if err := effect(ctx, tx, e.Metadata); err != nil {
			return err
		}
	}
	return nil
}

func TestABatchTakesEffectOnceInOrder(t *testing.T) {
	t.Parallel()
	s, db := newShop(t, 4), database(t)
	all := orders(t, 10, 100)
	s.write(all...)
	s.write(all[:300]...) // delivered again
	var calls atomic.Int32
	s.run(Batch("batch", db, 500, func(ctx context.Context, tx outbox.Tx, list []confirmed) error {
		calls.Add(1)
		return apply(ctx, tx, list)
	}))
	bustest.Await(t, func() bool { return s.committed("batch") == 1300 }, "1300 offsets committed")
	wantInOrder(t, effects(t, db), 10, 100)
	if calls.Load() > 300 {
		t.Errorf("%d calls for 1000 events: these are no batches", calls.Load())
	}
}

// Of a batch that fails, only the poison goes to the dead letters, wherever it
// stands and however it shows; the rest takes effect once, in order.
func TestPoisonInABatch(t *testing.T) {
	t.Parallel()
	const n = 16
	ways := map[string]struct {
		fail   func() error
		reason Reason
	}{
		"refuses": {func() error { return errors.New("negative stock") }, Failed},
		"panics":  {func() error { panic("nil map") }, Panicked},
	}
	places := map[string][]int64{"first": {1}, "middle": {8}, "last": {n}, "two": {3, 4}, "ends": {1, n}}
	for way, w := range ways {
		for name, poison := range places {
			t.Run(way+"/"+name, func(t *testing.T) {
				t.Parallel()
				s, db := newShop(t, 1), database(t)
				bad := map[int64]bool{}
				for _, v := range poison {
					bad[v] = true
				}
				s.write(orders(t, 1, n)...)
				s.run(Batch("batch", db, n, func(ctx context.Context, tx outbox.Tx, list []confirmed) error {
					for _, e := range list {
						if bad[e.Metadata.AggregateVersion] {
							return w.fail()
						}
					}
					return apply(ctx, tx, list)
				}))
				bustest.Await(t, func() bool { return s.committed("batch") == n }, "%d offsets committed", n)
				letters := s.letters("batch", len(poison))
				for _, d := range letters {
					if !bad[d.Offset+1] || d.Reason != w.reason || d.Attempts != 5 {
						t.Errorf("letter %+v, want %s after 5 attempts of one of %v", d, w.reason, poison)
					}
				}
				want := []int64{}
				for v := int64(1); v <= n; v++ {
					if !bad[v] {
						want = append(want, v)
					}
				}
				if got := effects(t, db)["ord_0"]; fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("effects %v, want %v", got, want)
				}
			})
		}
	}
}

func TestUndecodableInABatch(t *testing.T) {
	t.Parallel()
	s, db := newShop(t, 1), database(t)
	newer := order(t, "ord_0", 9)
	newer.Type, newer.Version = "order.confirmed.v9", "9.0"
	s.write(order(t, "ord_0", 1))
	s.writeRaw("ord_0", `{"event_type":`)
	s.write(newer, order(t, "ord_0", 2))
	s.run(Batch("batch", db, 10, apply))
	bustest.Await(t, func() bool { return s.committed("batch") == 4 }, "4 offsets committed")
	wantInOrder(t, effects(t, db), 1, 2)
	letters := s.letters("batch", 2)
	reasons := map[Reason]int64{letters[0].Reason: letters[0].Offset, letters[1].Reason: letters[1].Offset}
	if reasons[Undecodable] != 1 || reasons[UnknownVersion] != 2 {
		t.Errorf("got %v, want undecodable at offset 1 and unknown_version at 2", reasons)
	}
}

// A batch that meets something unavailable waits as a whole: it is not halved,
// and nothing becomes a dead letter.
func TestABatchWaitsForWhatIsUnavailable(t *testing.T) {
	t.Parallel()
	s, db := newShop(t, 1), database(t)
	var away atomic.Bool
	var calls, smallest atomic.Int32
	away.Store(true)
	smallest.Store(99)
	s.write(orders(t, 1, 8)...)
	s.run(Batch("batch", db, 8, func(ctx context.Context, tx outbox.Tx, list []confirmed) error {
		if away.Load() {
			calls.Add(1)
			smallest.Store(min(smallest.Load(), int32(len(list))))
			return Unavailable(errors.New("ledger away"))
		}
		return apply(ctx, tx, list)
	}))
	bustest.Await(t, func() bool { return calls.Load() > 7 }, "more tries than attempts")
	away.Store(false)
	bustest.Await(t, func() bool { return s.committed("batch") == 8 }, "8 offsets committed")
	wantInOrder(t, effects(t, db), 1, 8)
	if smallest.Load() != 8 {
		t.Errorf("a batch of %d: it was halved", smallest.Load())
	}
	s.letters("batch", 0)
}

func TestBatchAllTakesUnknownTypesToo(t *testing.T) {
	t.Parallel()
	s, db := newShop(t, 1), database(t)
	alien := order(t, "ord_0", 1)
	alien.Type, alien.Version = "order.teleported.v1", "1.0"
	wrong := order(t, "ord_0", 3)
	wrong.Data = []byte(`{"order_id":7}`)
	s.write(alien, order(t, "ord_0", 2), wrong)
	var got recorder
	s.run(BatchAll("log", db, 10, []string{s.topic}, func(_ context.Context, _ outbox.Tx, list []events.Envelope) error {
		for _, e := range list {
			got.add(e.Metadata)
			if e.Source.Topic != s.topic || e.Source.Offset+1 != e.Metadata.AggregateVersion {
				t.Errorf("source %+v of version %d", e.Source, e.Metadata.AggregateVersion)
			}
		}
		return nil
	}))
	bustest.Await(t, func() bool { return s.committed("log") == 3 }, "3 offsets committed")
	wantInOrder(t, got.get(), 1, 2)
	if d := s.letters("log", 1)[0]; d.Reason != Undecodable || d.Offset != 2 {
		t.Errorf("got %+v, want the body that does not fit its type", d)
	}
}

// What a batch publishes is in the outbox exactly when the batch took effect.
func TestABatchPublishesInItsTransaction(t *testing.T) {
	t.Parallel()
	s, db := newShop(t, 1), database(t)
	var calls atomic.Int32
	s.write(orders(t, 1, 3)...)
	s.run(Batch("batch", db, 3, func(_ context.Context, tx outbox.Tx, list []confirmed) error {
		for _, e := range list {
			tx.Publish(events.OrderCompleted{OrderID: e.Data.OrderID})
		}
		if calls.Add(1) == 1 {
			return errors.New("after publishing")
		}
		return nil
	}))
	bustest.Await(t, func() bool { return s.committed("batch") == 3 }, "3 offsets committed")
	rows, err := db.Trail(t.Context(), "ord_0")
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 3 {
		t.Errorf("%d facts in the outbox, want 3", len(rows))
	}
}
