package bus

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cartwheel-shop/cartwheel/pkg/bus/bustest"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
)

// kinds are the ways to consume, with a handler that a test controls.
func kinds(db *outbox.DB, handle func(context.Context, events.Metadata) error) map[string]Consumer {
	return map[string]Consumer{
		"each": Each("c", On(func(ctx context.Context, e confirmed) error { return handle(ctx, e.Metadata) })),
		"once": Once("c", db, OnTx(func(ctx context.Context, tx outbox.Tx, e confirmed) error {
			if err := handle(ctx, e.Metadata); err != nil {
				return err
			}
			return effect(ctx, tx, e.Metadata)
		})),
		"batch": Batch("c", db, 1, func(ctx context.Context, tx outbox.Tx, list []confirmed) error {
			if err := handle(ctx, list[0].Metadata); err != nil {
				return err
			}
			return apply(ctx, tx, list)
		}),
	}
}

// At the end a handler may finish what it does; its offset is committed, and
// nothing new is begun.
func TestAHandlerInFlightFinishes(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"each", "once", "batch"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s, db := newShop(t, 1), database(t)
			began, finish := make(chan struct{}), make(chan struct{})
			var calls atomic.Int32
			s.write(orders(t, 1, 5)...)
			stop := s.run(kinds(db, func(ctx context.Context, _ events.Metadata) error {
				calls.Add(1)
				close(began) // a second call would panic
				<-finish
				return ctx.Err()
			})[kind])
			<-began
			stopped := make(chan struct{})
			go func() {
				stop()
				close(stopped)
			}()
			select {
			case <-stopped:
				t.Fatal("Run has ended with a handler in flight")
			case <-time.After(50 * time.Millisecond): // a wrong stop would end at once
			}
			close(finish)
			<-stopped
			if calls.Load() != 1 {
				t.Errorf("%d calls, want 1", calls.Load())
			}
			if n := s.committed("c"); n != 1 {
				t.Errorf("%d offsets committed, want 1", n)
			}
		})
	}
}

// A handler that does not finish in time is cancelled, and its event comes
// again.
func TestAHandlerThatDoesNotFinishIsCancelled(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"each", "once", "batch"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s, db := newShop(t, 1), database(t)
			s.cfg.Drain = 100 * time.Millisecond
			began := make(chan struct{})
			s.write(order(t, "ord_0", 1))
			stop := s.run(kinds(db, func(ctx context.Context, _ events.Metadata) error {
				close(began)
				<-ctx.Done()
				return ctx.Err()
			})[kind])
			<-began
			stop()
			if n := s.committed("c"); n != 0 {
				t.Errorf("%d offsets committed, want none", n)
			}
			var got recorder
			s.run(kinds(db, func(_ context.Context, m events.Metadata) error { got.add(m); return nil })[kind])
			bustest.Await(t, func() bool { return s.committed("c") == 1 }, "the event again")
			wantInOrder(t, got.get(), 1, 1)
		})
	}
}

// A batch that was polled before the end and decoded after it is not begun: it
// would have all of Config.Drain from then on.
func TestABatchThatComesAfterTheEndIsNotBegun(t *testing.T) {
	t.Parallel()
	for name, ended := range map[string]bool{"before": false, "after": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := batchesOf(t, alone(t))
			b.assigned(t.Context(), nil, map[string][]int32{"orders": {0}})
			items := b.claim([]*kgo.Record{{Topic: "orders", Offset: 41}})
			items[0].verdict = skipped
			ctx, end := context.WithCancel(t.Context())
			defer end()
			if ended {
				end()
			}
			decoded := make(chan []item, 1)
			decoded <- items
			close(decoded)
			b.handle(ctx, decoded)
			if done := len(b.client.MarkedOffsets()) > 0; done == ended {
				t.Errorf("done with: %v", done)
			}
		})
	}
}

// Whoever waits for something that is away stops at once.
func TestStoppingDoesNotWaitForWhatIsAway(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"each", "once", "batch"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s, db := newShop(t, 1), database(t)
			s.cfg.Backoff, s.cfg.Drain = time.Hour, time.Hour
			tried := make(chan struct{}, 10)
			s.write(order(t, "ord_0", 1))
			stop := s.run(kinds(db, func(context.Context, events.Metadata) error {
				tried <- struct{}{}
				return Unavailable(errors.New("away"))
			})[kind])
			<-tried
			start := time.Now()
			stop()
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("stopping took %s", took)
			}
			if n := s.committed("c"); n != 0 {
				t.Errorf("%d offsets committed, want none", n)
			}
		})
	}
}

// Stopping is quick, also while no broker answers.
func TestStoppingWithoutABroker(t *testing.T) {
	t.Parallel()
	cluster := bustest.Fake(t)
	s, db := newShopAt(t, cluster.ListenAddrs(), 1), database(t)
	var got recorder
	s.write(order(t, "ord_0", 1))
	list := kinds(db, func(_ context.Context, m events.Metadata) error { got.add(m); return nil })
	each, batch := list["each"], list["batch"]
	batch.name = "b"
	stop := s.run(each, batch)
	bustest.Await(t, func() bool { return s.committed("c")+s.committed("b") == 2 }, "both to have handled it")
	cluster.Close()
	start := time.Now()
	stop()
	if took := time.Since(start); took > 8*time.Second {
		t.Errorf("stopping took %s", took)
	}
}

// Without Kafka, Run waits and says so; it ends in order when it is told to.
func TestRunWaitsForKafka(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, Config{Brokers: []string{"127.0.0.1:1"}, Service: "svc"},
			[]Consumer{Each("c", On(func(context.Context, confirmed) error { return nil }))})
	}()
	select {
	case err := <-ended:
		t.Fatalf("Run ended: %v", err)
	case <-time.After(100 * time.Millisecond): // a wrong Run would end at once
	}
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("got %v, want nil", err)
		}
	case <-time.After(bustest.Patience):
		t.Fatal("Run does not end")
	}
}
