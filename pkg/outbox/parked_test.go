package outbox_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox/outboxtest"
)

// picky is Kafka that refuses for good what contains a word, and the whole batch
// with it.
type picky struct {
	*outboxtest.Log
	mu   sync.Mutex
	word string
}

func (p *picky) refuse(word string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.word = word
}

func (p *picky) Publish(topic string, messages ...*message.Message) error {
	p.mu.Lock()
	word := p.word
	p.mu.Unlock()
	for _, m := range messages {
		if word != "" && strings.Contains(string(m.Payload), word) {
			return fmt.Errorf("%w: it contains %s", outbox.ErrRefused, word)
		}
	}
	return p.Log.Publish(topic, messages...)
}

func parkedFacts(t *testing.T, db *outbox.DB) (out []string) {
	t.Helper()
	list, err := db.Parked(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		why := "refused"
		if !strings.Contains(p.Reason, "poison") {
			why = "behind"
		}
		out = append(out, fmt.Sprintf("%d %s %s %s", p.Seq, p.Key, p.Type, why))
	}
	return out
}

// What Kafka refuses for good is parked with all later facts of its key; everything
// else goes on. A person has them sent, in their order and before what came later,
// or forgotten.
func TestRefusedFactsAreParked(t *testing.T) {
	db := open(t)
	log := &picky{Log: outboxtest.NewLog(), word: "poison"}
	outboxtest.RunPublisher(t, db, log, outbox.WithLease(200*time.Millisecond))
	await := func(want ...string) {
		t.Helper()
		waitFor(t, func() bool { return slices.Equal(parkedFacts(t, db), want) })
	}
	publish(t, db, confirmed("ord_1", "a"), confirmed("ord_2", "a"), confirmed("ord_1", "poison"), confirmed("ord_2", "b"), confirmed("ord_1", "c"))
	publish(t, db, confirmed("ord_1", "d"), confirmed("ord_3", "a"))
	await("3 ord_1 order.confirmed.v1 refused", "5 ord_1 order.confirmed.v1 behind", "6 ord_1 order.confirmed.v1 behind")
	log.Await(t, 4)
	waitFor(t, func() bool { return pending(t, db) == 0 }) // the cursor has passed them
	rows, err := db.Trail(t.Context(), "ord_1")
	if err != nil || len(rows) != 4 || !rows[0].Published || rows[1].Published || rows[3].Published {
		t.Errorf("the trail says %+v, %v", rows, err)
	}

	// Refused again, all of them wait again.
	if n, err := db.Release(t.Context(), 5); err != nil || n != 3 {
		t.Fatalf("released %d, %v; want the key's three", n, err)
	}
	waitFor(t, func() bool {
		list, err := db.Parked(t.Context(), 0, 100)
		return err == nil && len(list) == 3 && !list[0].Released && !list[2].Released
	})

	// The cause is gone: in order, and what is published meanwhile comes after.
	log.refuse("")
	if _, err := db.Release(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	publish(t, db, confirmed("ord_1", "e"))
	facts := log.Await(t, 8)
	inOrder(t, facts)
	await()
	publish(t, db, confirmed("ord_1", "f"))
	inOrder(t, log.Await(t, 9))

	// Forgotten: what is behind it goes on when it is released.
	log.refuse("poison")
	publish(t, db, confirmed("ord_2", "poison"), confirmed("ord_2", "g"))
	waitFor(t, func() bool { return len(parkedFacts(t, db)) == 2 })
	list, err := db.Parked(t.Context(), 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Discard(t.Context(), list[0].Seq); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Release(t.Context(), list[0].Seq+1); err != nil {
		t.Fatal(err)
	}
	got := log.Await(t, 10)
	if v := got[9].Envelope.Metadata.AggregateVersion; got[9].Key != "ord_2" || v != 4 {
		t.Errorf("got version %d of %s, want 4 of ord_2", v, got[9].Key)
	}
	await()
	for name, err := range map[string]error{"discard": db.Discard(t.Context(), 3), "release": func() error { _, err := db.Release(t.Context(), 3); return err }()} {
		if !errors.Is(err, outbox.ErrNotParked) {
			t.Errorf("%s of what is not parked: %v", name, err)
		}
	}
}

// Parked keys stay parked for the relay that comes next.
func TestParkedKeysAreKnownAfterARestart(t *testing.T) {
	db := open(t)
	first := &picky{Log: outboxtest.NewLog(), word: "poison"}
	stop := outboxtest.RunPublisher(t, db, first)
	publish(t, db, confirmed("ord_1", "poison"))
	waitFor(t, func() bool { return len(parkedFacts(t, db)) == 1 })
	stop()
	log := outboxtest.Run(t, db)
	publish(t, db, confirmed("ord_1", "a"), confirmed("ord_2", "a"))
	log.Await(t, 1)
	waitFor(t, func() bool { return len(parkedFacts(t, db)) == 2 })
	if got := log.All(); len(got) != 1 || got[0].Key != "ord_2" {
		t.Errorf("sent %v", got)
	}
}
