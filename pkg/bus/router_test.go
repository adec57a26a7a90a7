package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cartwheel-shop/cartwheel/pkg/bus/bustest"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
)

var drivers = []string{DriverFranz, DriverWatermill}

// eachDriver runs a test once for each driver.
func eachDriver(t *testing.T, partitions int32, test func(t *testing.T, s *shop)) {
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, partitions)
			s.cfg.Driver = driver
			test(t, s)
		})
	}
}

func TestEventsOfAKeyAreHandledInOrder(t *testing.T) {
	t.Parallel()
	eachDriver(t, 4, func(t *testing.T, s *shop) {
		var got recorder
		s.write(orders(t, 8, 20)...)
		s.run(Each("each", On(func(_ context.Context, e events.Of[events.OrderConfirmed]) error {
			got.add(e.Metadata)
			return nil
		})))
		bustest.Await(t, func() bool { return got.count() >= 160 }, "160 events handled")
		wantInOrder(t, got.get(), 8, 20)
	})
}

func TestOnceHasOneEffectForARepeatedEvent(t *testing.T) {
	t.Parallel()
	eachDriver(t, 1, func(t *testing.T, s *shop) {
		db := database(t)
		one, two := order(t, "ord_1", 1), order(t, "ord_1", 2)
		s.write(one, one, two, one)
		s.run(Once("once", db, OnTx(func(ctx context.Context, tx outbox.Tx, e events.Of[events.OrderConfirmed]) error {
			return effect(ctx, tx, e.Metadata)
		})))
		bustest.Await(t, func() bool { return s.committed("once") == 4 }, "4 offsets committed")
		wantInOrder(t, effects(t, db), 1, 2)
	})
}

// What a handler publishes is caused by what it handles.
func TestHandlersSeeCauseAndSource(t *testing.T) {
	t.Parallel()
	s := newShop(t, 1)
	got := make(chan events.Of[events.OrderConfirmed], 1)
	cause := make(chan events.Cause, 1)
	env := order(t, "ord_1", 1)
	s.write(env)
	s.run(Each("each", On(func(ctx context.Context, e events.Of[events.OrderConfirmed]) error {
		cause <- events.CauseFrom(ctx)
		got <- e
		return nil
	})))
	if c := <-cause; c.CausationID != env.ID || c.CorrelationID != "ord_1" {
		t.Errorf("cause %+v, want causation %s and correlation ord_1", c, env.ID)
	}
	if e := <-got; e.Source != (events.Source{Topic: s.topic}) || e.ID != env.ID {
		t.Errorf("got %+v, want event %s from the start of %s", e, env.ID, s.topic)
	}
}

func TestOldVersionsAreLifted(t *testing.T) {
	t.Parallel()
	s := newShop(t, 1)
	got := make(chan events.OrderCreated, 1)
	s.write(bustest.Event(t, events.OrderCreatedV1{OrderID: "ord_1", CustomerID: "cus_1", Total: "19.99", Currency: "EUR", Lines: []events.LineV1{{SKU: "tea", Quantity: 1, Total: "19.99"}}}, 1))
	s.run(Each("each", On(func(_ context.Context, e events.Of[events.OrderCreated]) error {
		got <- e.Data
		return nil
	})))
	if e := <-got; e.Total != (events.Money{Amount: 1999, Currency: "EUR"}) || e.Channel != "web" {
		t.Errorf("got %+v, want 19.99 EUR in minor units from the web", e)
	}
}

// Messages that can never be handled go to the dead letters, with their bytes,
// and the partition goes on.
func TestBadMessagesBecomeDeadLetters(t *testing.T) {
	t.Parallel()
	valid := order(t, "ord_x", 1)
	raw := func(change func(m map[string]any)) string {
		var m map[string]any
		b, err := json.Marshal(valid)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		change(m)
		if b, err = json.Marshal(m); err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	cases := map[string]struct {
		value  string
		reason Reason
	}{
		"truncated":             {raw(func(map[string]any) {})[:80], Undecodable},
		"not JSON":              {"\x00\xff not json", Undecodable},
		"empty":                 {"", Undecodable},
		"wrong field type":      {raw(func(m map[string]any) { m["data"] = map[string]any{"order_id": 7} }), Undecodable},
		"no id":                 {raw(func(m map[string]any) { delete(m, "event_id") }), Undecodable},
		"unknown newer version": {raw(func(m map[string]any) { m["event_type"], m["version"] = "order.confirmed.v9", "9.0" }), UnknownVersion},
	}
	for _, driver := range drivers {
		for name, c := range cases {
			t.Run(driver+"/"+name, func(t *testing.T) {
				t.Parallel()
				s := newShop(t, 1)
				s.cfg.Driver = driver
				var got recorder
				var calls atomic.Int32
				s.writeRaw("the key", c.value, kgo.RecordHeader{Key: "x-header", Value: []byte{1, 0xff}}, kgo.RecordHeader{Key: "ce_type", Value: []byte("t")})
				s.write(order(t, "ord_1", 1))
				s.run(Each("each", On(func(_ context.Context, e events.Of[events.OrderConfirmed]) error {
					calls.Add(1)
					got.add(e.Metadata)
					return nil
				})))
				bustest.Await(t, func() bool { return got.count() == 1 }, "the event behind it")
				if calls.Load() != 1 {
					t.Errorf("handler called %d times, want once: what does not decode is not tried", calls.Load())
				}
				d := s.letters("each", 1)[0]
				if string(d.Raw) != c.value {
					t.Errorf("raw %q, want %q", d.Raw, c.value)
				}
				want := DeadLetter{Reason: c.reason, Attempts: 1, Group: s.group("each"), Handler: "each", Topic: s.topic, Key: "the key", Type: "t", State: StateDead}
				if d.Reason != want.Reason || d.Attempts != want.Attempts || d.Group != want.Group || d.Handler != want.Handler ||
					d.Topic != want.Topic || d.Partition != 0 || d.Offset != 0 || d.Key != want.Key || d.Type != want.Type || d.State != want.State {
					t.Errorf("got %+v, want %+v", d, want)
				}
				if d.Headers["x-header"] != "\x01\xff" || d.Error == "" || time.Since(d.FailedAt) > time.Hour || time.Since(d.Timestamp) > time.Hour {
					t.Errorf("headers %q, error %q, failed at %s, timestamp %s", d.Headers, d.Error, d.FailedAt, d.Timestamp)
				}
			})
		}
	}
}

func TestUnknownTypesAreSkipped(t *testing.T) {
	t.Parallel()
	s := newShop(t, 1)
	env := order(t, "ord_1", 1)
	env.Type, env.Version = "order.teleported.v1", "1.0"
	other := bustest.Event(t, events.OrderCompleted{OrderID: "ord_1"}, 2) // known, not handled here
	newer := other
	newer.Type, newer.Version = "order.completed.v7", "7.0" // somebody else's to worry about
	var got recorder
	s.write(env, other, newer, order(t, "ord_1", 3))
	s.run(Each("each", On(func(_ context.Context, e events.Of[events.OrderConfirmed]) error {
		got.add(e.Metadata)
		return nil
	})))
	bustest.Await(t, func() bool { return s.committed("each") == 4 }, "4 offsets committed")
	if got.count() != 1 {
		t.Errorf("handled %v, want only the last", got.get())
	}
	s.letters("each", 0)
}

func TestALargeEventIsHandled(t *testing.T) {
	t.Parallel()
	eachDriver(t, 1, func(t *testing.T, s *shop) {
		reason := strings.Repeat("long ", 900*1024/5)
		got := make(chan int, 1)
		env := bustest.Event(t, events.OrderCancelled{OrderID: "ord_1", Reason: reason}, 1)
		pub, err := NewPublisher(s.cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer pub.Close()
		if err := pub.Publish(s.topic, newMessage(bustest.Record(t, s.topic, env))); err != nil {
			t.Fatal(err)
		}
		s.run(Each("each", On(func(_ context.Context, e events.Of[events.OrderCancelled]) error {
			got <- len(e.Data.Reason)
			return nil
		})))
		if n := <-got; n != len(reason) {
			t.Errorf("got %d bytes, want %d", n, len(reason))
		}
	})
}

func TestAFailingHandlerIsTriedAgainThenGivenUp(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		fail   func(attempt int32) error
		calls  int32
		reason Reason // "": handled
	}{
		"fails once":     {func(n int32) error { return failUntil(n, 2) }, 2, ""},
		"fails at last":  {func(n int32) error { return failUntil(n, 5) }, 5, ""},
		"fails for good": {func(n int32) error { return failUntil(n, 99) }, 5, Failed},
		"panics":         {func(int32) error { panic("no stock row") }, 5, Panicked},
		"panics once": {func(n int32) error {
			if n == 1 {
				panic("race")
			}
			return nil
		}, 2, ""},
	}
	for _, driver := range drivers {
		for name, c := range cases {
			t.Run(driver+"/"+name, func(t *testing.T) {
				t.Parallel()
				s := newShop(t, 1)
				s.cfg.Driver = driver
				var calls atomic.Int32
				var after recorder
				s.write(order(t, "ord_poison", 1), order(t, "ord_good", 1))
				s.run(Each("each", On(func(_ context.Context, e events.Of[events.OrderConfirmed]) error {
					if e.Metadata.AggregateID == "ord_poison" {
						return c.fail(calls.Add(1))
					}
					after.add(e.Metadata)
					return nil
				})))
				bustest.Await(t, func() bool { return s.committed("each") == 2 }, "2 offsets committed")
				if after.count() != 1 {
					t.Error("the event behind it was not handled")
				}
				if calls.Load() != c.calls {
					t.Errorf("handler called %d times, want %d", calls.Load(), c.calls)
				}
				if c.reason == "" {
					s.letters("each", 0)
					return
				}
				if d := s.letters("each", 1)[0]; d.Reason != c.reason || d.Attempts != 5 || d.Key != "ord_poison" || d.EventID == "" || d.Type != "order.confirmed.v1" {
					t.Errorf("got %+v, want %s after 5 attempts", d, c.reason)
				}
			})
		}
	}
}

func failUntil(n, good int32) error {
	if n < good {
		return fmt.Errorf("attempt %d refused", n)
	}
	return nil
}

// Something that is away is waited for: no attempt is counted, nothing is lost,
// other partitions go on.
func TestUnavailablePausesThePartitionOnly(t *testing.T) {
	t.Parallel()
	eachDriver(t, 2, func(t *testing.T, s *shop) {
		var away atomic.Bool
		var calls atomic.Int32
		var got recorder
		away.Store(true)
		slow, fast := keysOfTwoPartitions(t, s)
		s.write(order(t, slow, 1), order(t, slow, 2), order(t, fast, 1), order(t, fast, 2))
		s.run(Each("each", On(func(_ context.Context, e events.Of[events.OrderConfirmed]) error {
			if e.Metadata.AggregateID == slow && away.Load() {
				calls.Add(1)
				return fmt.Errorf("ask the engine: %w", Unavailable(errors.New("still compiling")))
			}
			got.add(e.Metadata)
			return nil
		})))
		bustest.Await(t, func() bool { return got.count() == 2 && calls.Load() > 7 }, "the other partition's events and more tries than attempts")
		away.Store(false)
		bustest.Await(t, func() bool { return got.count() == 4 }, "all events")
		wantInOrder(t, got.get(), 2, 2)
		s.letters("each", 0)
	})
}

// keysOfTwoPartitions returns keys that fall on different partitions of two.
func keysOfTwoPartitions(t *testing.T, s *shop) (string, string) {
	t.Helper()
	partition := kgo.StickyKeyPartitioner(nil).ForTopic(s.topic)
	first := partition.Partition(&kgo.Record{Key: []byte("ord_0")}, 2)
	for i := 1; ; i++ {
		key := fmt.Sprintf("ord_%d", i)
		if partition.Partition(&kgo.Record{Key: []byte(key)}, 2) != first {
			return "ord_0", key
		}
	}
}

func TestAMistakeInTheListIsReported(t *testing.T) {
	t.Parallel()
	on := On(func(context.Context, events.Of[events.OrderConfirmed]) error { return nil })
	for name, c := range map[string]struct {
		list []Consumer
		want string
	}{
		"two handlers": {[]Consumer{Each("a", on, on)}, "two handlers for order.confirmed"},
		"twice":        {[]Consumer{Each("a", on), Each("a", on)}, "there twice"},
		"nothing":      {[]Consumer{Each("a")}, "handles nothing"},
		"name":         {[]Consumer{Each("A b", on)}, "lower case"},
		"batch of 0":   {[]Consumer{Batch("a", nil, 0, func(context.Context, outbox.Tx, []events.Of[events.OrderConfirmed]) error { return nil })}, "at least 1 event"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Run(t.Context(), Config{Brokers: []string{"127.0.0.1:1"}, Service: "svc"}, c.list)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error that says %q", err, c.want)
			}
		})
	}
}
