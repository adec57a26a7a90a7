package bus

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cartwheel-shop/cartwheel/pkg/bus/bustest"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
)

// poisoned is a shop whose consumers refuse every event until they are mended.
type poisoned struct {
	*shop
	db     *outbox.DB
	mended atomic.Bool
}

func newPoisoned(t *testing.T, n int) *poisoned {
	p := &poisoned{shop: newShop(t, 1), db: database(t)}
	p.cfg.Attempts = 1
	p.write(orders(t, 1, n)...)
	p.run(
		Once("once", p.db, OnTx(func(ctx context.Context, tx outbox.Tx, e confirmed) error {
			if !p.mended.Load() {
				return errors.New("refused")
			}
			return effect(ctx, tx, e.Metadata)
		})),
		Each("other", On(func(context.Context, confirmed) error { return nil })),
	)
	p.letters("once", n)
	return p
}

func (p *poisoned) redrive(admin *Admin, f Filter, opts RedriveOptions) map[string]int {
	p.t.Helper()
	report, err := admin.Redrive(p.t.Context(), f, opts)
	if err != nil {
		p.t.Fatal(err)
	}
	outcomes := map[string]int{}
	for _, r := range report.Items {
		outcomes[r.Outcome]++
	}
	return outcomes
}

func TestARedrivenLetterTakesEffectOnce(t *testing.T) {
	t.Parallel()
	p := newPoisoned(t, 3)
	admin, all := p.admin(), Filter{Group: p.group("once")}
	p.mended.Store(true)

	if got := p.redrive(admin, all, RedriveOptions{DryRun: true}); got[OutcomeWouldRedrive] != 3 || len(got) != 1 {
		t.Errorf("dry run: %v, want 3 that would go", got)
	}
	if n := count(effects(t, p.db)); n != 0 {
		t.Errorf("a dry run had %d effects", n)
	}
	if got := p.redrive(admin, all, RedriveOptions{}); got[OutcomeRedriven] != 3 || len(got) != 1 {
		t.Errorf("redrive: %v, want 3", got)
	}
	bustest.Await(t, func() bool { return count(effects(t, p.db)) == 3 }, "3 effects")
	if got := p.redrive(admin, all, RedriveOptions{}); len(got) != 0 {
		t.Errorf("second redrive: %v, want nothing: all went already", got)
	}
	if got := p.redrive(admin, Filter{IDs: []string{p.letters("once", 3)[0].ID}}, RedriveOptions{}); got[OutcomeAlready] != 1 {
		t.Errorf("by id: %v, want to be told that it went already", got)
	}
	// By force they go again, as after a crash before the note: the inbox knows
	// them. The fourth is there to know when all have been handled.
	if got := p.redrive(admin, all, RedriveOptions{Force: true}); got[OutcomeRedriven] != 3 {
		t.Errorf("forced redrive: %v, want 3", got)
	}
	bustest.Await(t, func() bool { return p.lag("once", RedriveTopic(p.group("once"))) == 0 }, "6 redriven messages handled")
	wantInOrder(t, effects(t, p.db), 1, 3)
	for _, d := range p.letters("once", 3) {
		if d.State != StateRedriven || d.RedrivenAt.IsZero() {
			t.Errorf("state %s, redriven at %s", d.State, d.RedrivenAt)
		}
	}
	// No other group has seen them again.
	if n := len(bustest.Read(t, p.brokers, p.topic, 3)); n != 3 {
		t.Errorf("%d records in the topic itself, want 3", n)
	}
}

// end is where the next record of a topic of one partition will be.
func (s *shop) end(topic string) int64 {
	s.t.Helper()
	ends, err := s.admin().admin.ListEndOffsets(s.t.Context(), topic)
	if err != nil {
		s.t.Fatal(err)
	}
	o, _ := ends.Lookup(topic, 0)
	return o.Offset
}

// lag is how many records of a topic a group has not committed.
func (s *shop) lag(consumer, topic string) int64 {
	s.t.Helper()
	admin := s.admin()
	lags, err := admin.admin.Lag(s.t.Context(), s.group(consumer))
	if err != nil {
		s.t.Fatal(err)
	}
	l, ok := lags[s.group(consumer)].Lag.Lookup(topic, 0)
	if !ok || l.Lag < 0 {
		return 1
	}
	return l.Lag
}

// A message that keeps coming back keeps its first place and its headers, and
// the loop guard stops it.
func TestTheLoopGuard(t *testing.T) {
	t.Parallel()
	p := newPoisoned(t, 1)
	admin := p.admin()
	newest := p.letters("once", 1)[0]
	for i := range maxRedrives {
		if got := p.redrive(admin, Filter{IDs: []string{newest.ID}}, RedriveOptions{}); got[OutcomeRedriven] != 1 {
			t.Fatalf("redrive %d: %v", i, got)
		}
		newest = p.letters("once", i+2)[0]
		if newest.Redrives != i+1 || newest.Topic != p.topic || newest.Offset != 0 || newest.Key != "ord_0" || newest.Headers["content-type"] != "application/json" {
			t.Fatalf("letter %+v, want %d redrives of %s at offset 0", newest, i+1, p.topic)
		}
		for name := range newest.Headers {
			if strings.HasPrefix(name, ownPrefix) || strings.HasPrefix(name, deadPlace) || strings.HasPrefix(name, redrivenPlace) {
				t.Errorf("header %s is ours, not the message's", name)
			}
		}
	}
	if got := p.redrive(admin, Filter{IDs: []string{newest.ID}}, RedriveOptions{}); got[OutcomeCameBack] != 1 {
		t.Fatalf("got %v, want it refused: it came back %d times", got, maxRedrives)
	}
	p.mended.Store(true)
	if got := p.redrive(admin, Filter{IDs: []string{newest.ID}}, RedriveOptions{Force: true}); got[OutcomeRedriven] != 1 {
		t.Fatalf("by force: %v", got)
	}
	bustest.Await(t, func() bool { return count(effects(t, p.db)) == 1 }, "its effect")
}

func TestRedriveByIDAndRate(t *testing.T) {
	t.Parallel()
	p := newPoisoned(t, 4)
	p.mended.Store(true)
	admin := p.admin()
	letters := p.letters("once", 4)
	gone := p.group("once") + "/0/99"
	if got := p.redrive(admin, Filter{IDs: []string{letters[0].ID, gone}}, RedriveOptions{}); got[OutcomeRedriven] != 1 || got[OutcomeNotFound] != 1 {
		t.Errorf("got %v, want one redriven and one not found", got)
	}
	start := time.Now()
	if got := p.redrive(admin, Filter{Group: p.group("once")}, RedriveOptions{Rate: 20}); got[OutcomeRedriven] != 3 || len(got) != 1 {
		t.Errorf("got %v, want the other 3", got)
	}
	if took := time.Since(start); took < 140*time.Millisecond {
		t.Errorf("3 letters at 20 a second took %s", took)
	}
	if _, err := admin.Redrive(t.Context(), Filter{IDs: []string{"nonsense"}}, RedriveOptions{}); err == nil {
		t.Error("no error for an id that is none")
	}
}

// A limit ends a call early and says so; another call goes on behind it.
func TestRedriveInPortions(t *testing.T) {
	t.Parallel()
	p := newPoisoned(t, 5)
	p.mended.Store(true)
	admin := p.admin()
	for i, want := range []struct {
		sent int
		more bool
	}{{2, true}, {2, true}, {1, false}} {
		report, err := admin.Redrive(t.Context(), Filter{Group: p.group("once")}, RedriveOptions{Limit: 2, Rate: 1000})
		if err != nil || len(report.Items) != want.sent || report.More != want.more {
			t.Fatalf("call %d: %+v, %v; want %+v", i, report, err, want)
		}
	}
	bustest.Await(t, func() bool { return count(effects(t, p.db)) == 5 }, "5 effects")
	wantInOrder(t, effects(t, p.db), 1, 5)
}

// A redrive that is stopped goes on where it stopped.
func TestARedriveThatWasStoppedGoesOn(t *testing.T) {
	t.Parallel()
	p := newPoisoned(t, 5)
	p.mended.Store(true)
	admin := p.admin()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		bustest.Await(t, func() bool { return p.end(RedriveTopic(p.group("once"))) >= 1 }, "a first letter to be sent")
	}()
	report, err := admin.Redrive(ctx, Filter{Group: p.group("once")}, RedriveOptions{Rate: 1})
	if !errors.Is(err, context.Canceled) || len(report.Items) == 0 || len(report.Items) == 5 {
		t.Fatalf("%d letters and %v, want some of 5 and a cancellation", len(report.Items), err)
	}
	got := p.redrive(admin, Filter{Group: p.group("once")}, RedriveOptions{})
	if got[OutcomeRedriven]+len(report.Items) != 5 {
		t.Errorf("%d before and %v after, want all 5", len(report.Items), got)
	}
	bustest.Await(t, func() bool { return count(effects(t, p.db)) == 5 }, "5 effects")
}

func TestListingDeadLetters(t *testing.T) {
	t.Parallel()
	s := newShop(t, 1)
	s.cfg.Attempts = 1
	for i := range 7 {
		if i%2 == 0 {
			s.writeRaw("ord_0", "{")
		} else {
			s.write(order(t, "ord_0", int64(i)))
		}
	}
	s.run(Each("each", On(func(context.Context, confirmed) error { return errors.New("refused by law") })))
	all := s.letters("each", 7)
	for i, d := range all {
		if d.Offset != int64(6-i) {
			t.Fatalf("letter %d is of offset %d, want the newest first", i, d.Offset)
		}
	}
	admin, group := s.admin(), s.group("each")
	list := func(f Filter) (offsets []int64) {
		t.Helper()
		f.Group = group
		letters, err := admin.DeadLetters(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range letters {
			offsets = append(offsets, d.Offset)
		}
		return offsets
	}
	for name, c := range map[string]struct {
		filter Filter
		want   []int64
	}{
		"by reason":               {Filter{Reason: Failed}, []int64{5, 3, 1}},
		"by type":                 {Filter{Type: "order.confirmed"}, []int64{5, 3, 1}},
		"by type and version":     {Filter{Type: "order.confirmed.v1"}, []int64{5, 3, 1}},
		"by key":                  {Filter{Key: "ord_0", Limit: 2}, []int64{6, 5}},
		"of another key":          {Filter{Key: "ord_1"}, nil},
		"by text":                 {Filter{Text: "REFUSED by"}, []int64{5, 3, 1}},
		"since":                   {Filter{Since: all[1].FailedAt}, []int64{6, 5}},
		"until":                   {Filter{Until: all[5].FailedAt}, []int64{0}},
		"of another type":         {Filter{Type: "order.confirm"}, nil},
		"by id":                   {Filter{IDs: []string{all[2].ID, all[6].ID}}, []int64{4, 0}},
		"dead":                    {Filter{State: StateDead, Limit: 2}, []int64{6, 5}},
		"redriven":                {Filter{State: StateRedriven}, nil},
		"a page":                  {Filter{Limit: 3}, []int64{6, 5, 4}},
		"the next page":           {Filter{Limit: 3, After: all[2].Cursor()}, []int64{3, 2, 1}},
		"the last page":           {Filter{Limit: 3, After: all[5].Cursor()}, []int64{0}},
		"behind the last":         {Filter{After: all[6].Cursor()}, nil},
		"a page of those matched": {Filter{Reason: Undecodable, Limit: 2, After: all[0].Cursor()}, []int64{4, 2}},
	} {
		if got := list(c.filter); !slices.Equal(got, c.want) {
			t.Errorf("%s: offsets %v, want %v", name, got, c.want)
		}
	}
	if _, err := admin.DeadLetters(t.Context(), Filter{After: "x"}); !errors.Is(err, ErrBadCursor) {
		t.Errorf("got %v, want ErrBadCursor", err)
	}
	if d, err := admin.DeadLetter(t.Context(), all[3].ID); err != nil || d.Offset != 3 || d.Cursor() != all[3].Cursor() {
		t.Errorf("one letter: %+v, %v", d, err)
	}
	if _, err := admin.DeadLetter(t.Context(), group+"/0/70"); !errors.Is(err, ErrNoDeadLetter) {
		t.Errorf("got %v, want ErrNoDeadLetter", err)
	}
}

// A record that only fits a topic because it is compressed does not fit the
// dead letters: the letter is cut and says where the whole message is.
func TestALetterThatDoesNotFitIsCut(t *testing.T) {
	t.Parallel()
	s := newShop(t, 1)
	huge := strings.Repeat("x", 3<<20)
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.brokers...), kgo.ProducerBatchMaxBytes(8<<20), kgo.ProducerBatchCompression(kgo.GzipCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: s.topic, Key: []byte("k"), Value: []byte(huge)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	var got recorder
	s.write(order(t, "ord_0", 1))
	s.run(Each("each", On(func(_ context.Context, e events.Of[events.OrderConfirmed]) error {
		got.add(e.Metadata)
		return nil
	})))
	bustest.Await(t, func() bool { return got.count() == 1 }, "the event behind it")
	d := s.letters("each", 1)[0]
	if d.Cut != len(huge) || !strings.HasPrefix(huge, string(d.Raw)) || len(d.Raw) == 0 || d.Topic != s.topic || d.Key != "k" {
		t.Errorf("letter of %d bytes, cut from %d, of %s", len(d.Raw), d.Cut, d.Topic)
	}
	report, err := s.admin().Redrive(t.Context(), Filter{IDs: []string{d.ID}}, RedriveOptions{Force: true})
	if err != nil || len(report.Items) != 1 || report.Items[0].Outcome != OutcomeNotWhole {
		t.Errorf("redrive: %v, %v; want it refused", report, err)
	}
}

func TestFigures(t *testing.T) {
	t.Parallel()
	s := newShop(t, 2)
	s.write(orders(t, 3, 4)...)
	var got recorder
	s.run(Each("each", On(func(_ context.Context, e confirmed) error {
		got.add(e.Metadata)
		return nil
	})))
	bustest.Await(t, func() bool { return s.committed("each") == 12 }, "12 offsets committed")
	s.write(order(t, "ord_0", 5))
	topics, groups, err := s.admin().Figures(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(topics, func(f TopicFigures) bool { return f.Name == s.topic })
	if i < 0 || topics[i].Partitions != 2 || topics[i].End != 13 || topics[i].Records != 13 || topics[i].PerSecond != 1.3 {
		t.Errorf("topics %+v, want %s with 13 records in 2 partitions, all of the last 10 s", topics, s.topic)
	}
	i = slices.IndexFunc(groups, func(f GroupFigures) bool { return f.Group == s.group("each") })
	if i < 0 || groups[i].Members != 1 || groups[i].Lag > 1 || groups[i].Lag < 0 || !slices.Contains(groups[i].Topics, LagFigures{s.topic, groups[i].Lag}) {
		t.Errorf("groups %+v, want %s with 1 member and a lag of at most 1", groups, s.group("each"))
	}
}
