package bus

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/bus/bustest"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/inbox"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
)

// Of each group that handles a fact it is known whether the fact took effect there,
// and when; of groups that do not, nothing is said.
func TestReadings(t *testing.T) {
	t.Parallel()
	s, db := newShop(t, 1), database(t)
	s.cfg.Attempts = 1
	facts := orders(t, 1, 2)
	refused := facts[0].ID
	consumers := []Consumer{
		Once("once", db, OnTx(func(_ context.Context, _ outbox.Tx, e confirmed) error {
			if e.ID == refused {
				return errors.New("refused")
			}
			return nil
		})),
		Each("each", On(func(context.Context, confirmed) error { return nil })),
		BatchAll("batch", db, 10, []string{events.TopicOrders}, func(context.Context, outbox.Tx, []events.Envelope) error { return nil }),
		Each("others", On(func(context.Context, events.Of[events.OrderShipped]) error { return nil })),
	}
	for i := range consumers { // as run does
		consumers[i].topics = []string{s.topic}
	}
	at := time.Now()
	ask := func(facts ...Fact) map[string]string {
		t.Helper()
		list, err := s.admin().Readings(t.Context(), consumers, facts)
		if err != nil {
			t.Fatal(err)
		}
		states := map[string]string{}
		for _, r := range list {
			states[r.Group+" "+r.EventID] = r.State
			if (r.State == Done) != (!r.At.IsZero() && r.At.After(at.Add(-time.Minute))) {
				t.Errorf("%+v: took effect at %s", r, r.At)
			}
		}
		return states
	}
	fact := func(i int) Fact {
		return Fact{EventID: facts[i].ID, Type: facts[i].Type, Topic: s.topic, Offset: int64(i), At: at}
	}
	want := func(got map[string]string, of map[string]string) {
		t.Helper()
		if len(got) != len(of) {
			t.Errorf("%d readings, want %d: %v", len(got), len(of), got)
		}
		for k, v := range of {
			if got[k] != v {
				t.Errorf("%s: %q, want %q", k, got[k], v)
			}
		}
	}
	once, each, batch := s.group("once"), s.group("each"), s.group("batch")
	if err := EnsureTopics(t.Context(), s.cfg, consumers...); err != nil {
		t.Fatal(err)
	}
	want(ask(fact(1)), map[string]string{once + " " + facts[1].ID: NotYet, each + " " + facts[1].ID: NotYet, batch + " " + facts[1].ID: NotYet})

	s.write(facts...)
	s.run(consumers...)
	bustest.Await(t, func() bool {
		return s.committed("once") == 2 && s.committed("each") == 2 && s.committed("batch") == 2
	}, "the facts to be read")
	want(ask(fact(0), fact(1)), map[string]string{
		once + " " + facts[0].ID: GivenUp, each + " " + facts[0].ID: Past, batch + " " + facts[0].ID: Done,
		once + " " + facts[1].ID: Done, each + " " + facts[1].ID: Past, batch + " " + facts[1].ID: Done,
	})
	old := fact(0)
	old.At = at.Add(-inbox.Retention - time.Hour)
	if got := ask(old)[once+" "+old.EventID]; got != Past {
		t.Errorf("a fact that inboxes have forgotten is %s", got)
	}
}
