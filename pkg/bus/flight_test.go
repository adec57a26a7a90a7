package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cartwheel-shop/cartwheel/pkg/bus/bustest"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
)

// Messages of other keys are handled at a time, as many as Config.InFlight says
// and not one more; of a key there is one, the oldest.
func TestSeveralKeysOfAPartitionAreInFlight(t *testing.T) {
	t.Parallel()
	s := &suite{newShop(t, 1), t}
	s.cfg.InFlight = 3
	pub := s.publisher()
	for _, m := range []*message.Message{keyed("a", "1"), keyed("a", "2"), keyed("b", "1"), keyed("c", "1"), keyed("b", "2"), keyed("d", "1")} {
		if err := pub.Publish(s.topic, m); err != nil {
			t.Fatal(err)
		}
	}
	messages, sub := s.subscribe("flight")
	out := map[string]*message.Message{}
	take := func(want ...string) {
		t.Helper()
		for range want {
			m := s.receive(messages)
			out[m.UUID] = m
		}
		for _, id := range want {
			if out[id] == nil {
				t.Fatalf("%s is not out; %v are", id, keysOf(out))
			}
		}
	}
	ack := func(id string) { out[id].Ack(); delete(out, id) }
	take("a-1", "b-1", "c-1")
	select {
	case m := <-messages:
		t.Fatalf("%s is out beyond the limit", m.UUID)
	case <-time.After(50 * time.Millisecond): // a fourth would come at once
	}
	ack("b-1") // "b-2" and "d-1" may come: d was ready first
	take("d-1")
	ack("c-1")
	take("b-2")
	ack("b-2")
	ack("d-1")
	if n := s.committed("flight"); n != 0 {
		t.Errorf("%d offsets committed behind a message that is out", n)
	}
	ack("a-1")
	take("a-2")
	if err := sub.Close(); err == nil {
		ack("a-2") // too late: it comes again, and nothing before it
	}
	messages, _ = s.subscribe("flight")
	if m := s.receive(messages); m.UUID != "a-2" {
		t.Errorf("goes on at %s, want a-2", m.UUID)
	}
}

func keysOf[V any](m map[string]V) (out []string) {
	for k := range m {
		out = append(out, k)
	}
	return out
}

// A message that fails and is tried again holds up its key, and nothing else.
func TestARetryHoldsUpItsKeyOnly(t *testing.T) {
	t.Parallel()
	s := newShop(t, 1)
	s.cfg.Backoff, s.cfg.Attempts = 10*time.Millisecond, 1000
	var mended atomic.Bool
	var got recorder
	s.write(orders(t, 10, 20)...)
	s.run(Each("each", On(func(_ context.Context, e confirmed) error {
		if e.Metadata.AggregateID == "ord_3" && !mended.Load() {
			return errors.New("not yet")
		}
		got.add(e.Metadata)
		return nil
	})))
	bustest.Await(t, func() bool { return got.count() == 9*20 }, "all events of other keys")
	if n := s.committed("each"); n > 3 {
		t.Errorf("%d offsets committed, and the fourth is not done", n)
	}
	mended.Store(true)
	bustest.Await(t, func() bool { return s.committed("each") == 10*20 }, "all offsets committed")
	wantInOrder(t, got.get(), 10, 20)
}

// While something is away for a message, none behind it is begun: what is away
// for one is mostly away for all.
func TestUnavailableKeepsThePartitionBack(t *testing.T) {
	t.Parallel()
	s := newShop(t, 1)
	s.cfg.InFlight = 2
	var away atomic.Bool
	away.Store(true)
	var tries, begun atomic.Int32
	again := make(chan struct{})
	s.write(orders(t, 30, 1)...)
	s.run(Each("each", On(func(_ context.Context, e confirmed) error {
		switch {
		case !away.Load():
		case e.Metadata.AggregateID == "ord_0":
			if tries.Add(1) == 2 {
				close(again)
			}
			return Unavailable(errors.New("away"))
		default:
			<-again
			begun.Add(1)
		}
		return nil
	})))
	bustest.Await(t, func() bool { return tries.Load() > 8 }, "more tries than attempts")
	if n := begun.Load(); n > 1 {
		t.Errorf("%d others were begun, want none but the one that was out already", n)
	}
	away.Store(false)
	bustest.Await(t, func() bool { return s.committed("each") == 30 }, "all offsets committed")
	s.letters("each", 0)
}

// Records without a key have the partition's order.
func TestRecordsWithoutAKeyAreInOrder(t *testing.T) {
	t.Parallel()
	s := &suite{newShop(t, 1), t}
	const n = 200
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = &kgo.Record{Topic: s.topic, Value: fmt.Append(nil, i)}
		if i%3 == 0 {
			records[i].Key = fmt.Append(nil, "key", i)
		}
	}
	bustest.Write(t, s.brokers, records...)
	messages, _ := s.subscribe("keyless")
	last := -1
	for range n {
		m := s.receive(messages)
		if _, ok := m.Metadata[KeyMetadata]; !ok {
			var i int
			if _, err := fmt.Sscan(string(m.Payload), &i); err != nil || i <= last {
				t.Fatalf("got %s after %d", m.Payload, last)
			}
			last = i
		}
		m.Ack()
	}
}

// However many messages wait, a consumer leaves half of the connections to
// others.
func TestOnceLeavesConnectionsToOthers(t *testing.T) {
	t.Parallel()
	s, db := newShop(t, 1), database(t)
	var now, most atomic.Int32
	var mu sync.Mutex
	s.write(orders(t, 40, 1)...)
	s.run(Once("once", db, OnTx(func(ctx context.Context, tx outbox.Tx, e events.Of[events.OrderConfirmed]) error {
		n := now.Add(1)
		defer now.Add(-1)
		mu.Lock()
		most.Store(max(most.Load(), n))
		mu.Unlock()
		_, err := tx.Exec(ctx, `SELECT pg_sleep(0.005)`)
		return errors.Join(err, effect(ctx, tx, e.Metadata))
	})))
	bustest.Await(t, func() bool { return s.committed("once") == 40 }, "40 offsets committed")
	wantInOrder(t, effects(t, db), 40, 1)
	if n, limit := most.Load(), db.Pool().Config().MaxConns/2; n < 2 || n > limit {
		t.Errorf("at most %d transactions at a time, want 2 to %d", n, limit)
	}
}
