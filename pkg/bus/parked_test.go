package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/cartwheel-shop/cartwheel/pkg/bus/bustest"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/fault"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
)

// parking is a shop whose one consumer keeps keys in order behind their dead
// letters, and refuses some events.
type parking struct {
	*shop
	db *outbox.DB

	mu  sync.Mutex
	bad map[string]bool // key and version
}

func newParking(t *testing.T, partitions int32, bad ...string) *parking {
	p := &parking{shop: newShop(t, partitions), db: database(t), bad: map[string]bool{}}
	p.cfg.Attempts = 2
	for _, b := range bad {
		p.bad[b] = true
	}
	return p
}

func (p *parking) mend(which string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.bad, which)
}

func (p *parking) consumer() Consumer {
	return Once("c", p.db, OnTx(func(ctx context.Context, tx outbox.Tx, e confirmed) error {
		p.mu.Lock()
		bad := p.bad[fmt.Sprintf("%s/%d", e.Metadata.AggregateID, e.Metadata.AggregateVersion)]
		p.mu.Unlock()
		if err := effect(ctx, tx, e.Metadata); bad || err != nil {
			return errors.Join(errors.New("refused"), err)
		}
		return nil
	})).InOrder()
}

// states are the newest letter of each message, by its version, of ord_0.
func (p *parking) states() map[int64]string {
	p.t.Helper()
	list, err := p.admin().DeadLetters(p.t.Context(), Filter{Group: p.group("c"), Key: "ord_0"})
	if err != nil {
		p.t.Fatal(err)
	}
	out := map[int64]string{}
	for i := len(list) - 1; i >= 0; i-- { // oldest first
		env, err := events.Decode(list[i].Raw)
		if err != nil {
			continue // it has no version
		}
		out[env.Metadata.AggregateVersion] = string(list[i].Reason) + " " + list[i].State
	}
	return out
}

func (p *parking) awaitStates(want map[int64]string) {
	p.t.Helper()
	var got map[int64]string
	defer func() {
		if p.t.Failed() {
			p.t.Logf("letters %v, want %v", got, want)
		}
	}()
	bustest.Await(p.t, func() bool { got = p.states(); return fmt.Sprint(got) == fmt.Sprint(want) }, "letters %v", want)
}

func (p *parking) redriveAll(opts RedriveOptions) map[string]int {
	p.t.Helper()
	opts.Rate = 10_000
	report, err := p.admin().Redrive(p.t.Context(), Filter{Group: p.group("c")}, opts)
	if err != nil {
		p.t.Fatal(err)
	}
	out := map[string]int{}
	for _, r := range report.Items {
		out[r.Outcome]++
	}
	return out
}

// Behind a dead letter its key waits, others go on. The redrive of the letter
// brings all back in order, and what comes later goes on behind them.
func TestAParkedKeyWaitsInOrder(t *testing.T) {
	t.Parallel()
	p := newParking(t, 2, "ord_0/2")
	p.write(orders(t, 3, 5)...)
	stop := p.run(p.consumer())
	bustest.Await(t, func() bool { return p.committed("c") == 15 }, "15 offsets committed")
	if got := effects(t, p.db); fmt.Sprint(got["ord_0"]) != "[1]" || len(got["ord_1"])+len(got["ord_2"]) != 10 {
		t.Fatalf("effects %v, want one of ord_0 and all of the others", got)
	}
	p.awaitStates(map[int64]string{2: "failed dead", 3: "waits dead", 4: "waits dead", 5: "waits dead"})

	stop() // what waits outlives a restart
	p.run(p.consumer())
	p.write(order(t, "ord_0", 6))
	bustest.Await(t, func() bool { return p.committed("c") == 16 }, "16 offsets committed")
	if got := effects(t, p.db); fmt.Sprint(got["ord_0"]) != "[1]" {
		t.Fatalf("effects %v behind a restart", got["ord_0"])
	}
	p.mend("ord_0/2")
	if got := p.redriveAll(RedriveOptions{}); got[OutcomeRedriven] != 1 || got[OutcomeWaits] != 4 {
		t.Errorf("redrive: %v, want the one letter, which 4 follow", got)
	}
	p.write(order(t, "ord_0", 7), order(t, "ord_0", 8))
	bustest.Await(t, func() bool { return len(effects(t, p.db)["ord_0"]) == 8 }, "8 effects")
	wantInOrder(t, map[string][]int64{"ord_0": effects(t, p.db)["ord_0"]}, 1, 8)
	bustest.Await(t, func() bool {
		for _, state := range p.states() {
			if strings.HasSuffix(state, StateDead) {
				return false
			}
		}
		return true
	}, "no letter to be dead any more")
	if got := p.redriveAll(RedriveOptions{}); len(got) != 0 {
		t.Errorf("another redrive: %v, want nothing", got)
	}
}

// A line stops where another message of it is refused, and goes on from there.
func TestAParkedKeyStopsAtTheNextPoison(t *testing.T) {
	t.Parallel()
	p := newParking(t, 1, "ord_0/1", "ord_0/3")
	p.write(orders(t, 1, 4)...)
	p.run(p.consumer())
	p.awaitStates(map[int64]string{1: "failed dead", 2: "waits dead", 3: "waits dead", 4: "waits dead"})

	if got := p.redriveAll(RedriveOptions{}); got[OutcomeRedriven] != 1 { // not mended yet
		t.Errorf("redrive: %v, want one", got)
	}
	bustest.Await(t, func() bool { return p.lag("c", RedriveTopic(p.group("c"))) == 0 }, "it to be handled")
	p.awaitStates(map[int64]string{1: "failed dead", 2: "waits dead", 3: "waits dead", 4: "waits dead"})
	if n := count(effects(t, p.db)); n != 0 {
		t.Errorf("%d effects", n)
	}
	// What waits cannot overtake, by force neither.
	if got := p.redriveAll(RedriveOptions{Force: true}); got[OutcomeRedriven] < 4 {
		t.Errorf("by force: %v, want all", got)
	}
	bustest.Await(t, func() bool { return p.lag("c", RedriveTopic(p.group("c"))) == 0 }, "all to be handled")
	if n := count(effects(t, p.db)); n != 0 {
		t.Errorf("%d effects", n)
	}
	p.mend("ord_0/1")
	p.redriveAll(RedriveOptions{})
	bustest.Await(t, func() bool { return count(effects(t, p.db)) == 2 }, "effects up to the next poison")
	bustest.Await(t, func() bool { return p.states()[3] == "failed dead" }, "a letter of the next poison")
	p.mend("ord_0/3")
	p.redriveAll(RedriveOptions{})
	bustest.Await(t, func() bool { return count(effects(t, p.db)) == 4 }, "all effects")
	wantInOrder(t, effects(t, p.db), 1, 4)
}

// What a person has given up for good leaves its line without an effect, wherever
// it stands, and what waits behind it goes on, as far as the next poison.
func TestADiscardedHeadLetsItsKeyGoOn(t *testing.T) {
	t.Parallel()
	p := newParking(t, 1, "ord_0/1", "ord_0/4")
	p.write(orders(t, 1, 3)...)
	p.run(p.consumer())
	p.awaitStates(map[int64]string{1: "failed dead", 2: "waits dead", 3: "waits dead"})

	if got := p.redriveAll(RedriveOptions{Discard: true, DryRun: true}); got[OutcomeWouldDiscard] != 1 || got[OutcomeWaits] != 2 {
		t.Errorf("dry run: %v, want the head only", got)
	}
	if got := p.redriveAll(RedriveOptions{Discard: true}); got[OutcomeDiscarded] != 1 || got[OutcomeWaits] != 2 {
		t.Errorf("discard: %v, want the head only", got)
	}
	bustest.Await(t, func() bool { return count(effects(t, p.db)) == 2 }, "effects of what waited")
	if got := effects(t, p.db)["ord_0"]; fmt.Sprint(got) != "[2 3]" {
		t.Errorf("effects %v, want those behind the head", got)
	}
	p.awaitStates(map[int64]string{1: "failed redriven", 2: "waits redriven", 3: "waits redriven"})

	// The next one that is refused stops the line again. Behind it stands what is no
	// event, which is discarded first.
	p.write(order(t, "ord_0", 4))
	bustest.Await(t, func() bool { return p.states()[4] == "failed dead" }, "the next poison")
	p.writeRaw("ord_0", "no event")
	p.write(order(t, "ord_0", 5))
	dead := func(reason Reason) int {
		list, err := p.admin().DeadLetters(t.Context(), Filter{Group: p.group("c"), State: StateDead, Reason: reason})
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	bustest.Await(t, func() bool { return dead("") == 3 }, "all to be letters")
	for _, reason := range []Reason{Undecodable, Failed} {
		report, err := p.admin().Redrive(t.Context(), Filter{Group: p.group("c"), Reason: reason}, RedriveOptions{Discard: true})
		if err != nil || len(report.Items) != 1 || report.Items[0].Outcome != OutcomeDiscarded {
			t.Errorf("%s: %v, %v; want it discarded", reason, report, err)
		}
		bustest.Await(t, func() bool { return p.lag("c", RedriveTopic(p.group("c"))) == 0 }, "it to be done")
	}
	bustest.Await(t, func() bool { return dead("") == 0 }, "no letter to wait")
	if got := effects(t, p.db)["ord_0"]; fmt.Sprint(got) != "[2 3 5]" {
		t.Errorf("effects %v", got)
	}
	var left int
	if err := p.db.Pool().QueryRow(t.Context(), `SELECT (SELECT count(*) FROM inbox_lines) + (SELECT count(*) FROM inbox_waiting)`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d rows of lines are left, %v", left, err)
	}
}

// Whatever fails on the way, members that come and go, and new messages racing
// the redrive: all takes effect once, in order.
func TestParkedKeysThroughFaultsAndRebalances(t *testing.T) {
	t.Parallel()
	for _, point := range []fault.Point{"", fault.InboxBefore, fault.InboxAfter, fault.DeadLetterBefore, fault.DeadLetterAfter} {
		t.Run(cmp.Or(string(point), "no fault"), func(t *testing.T) {
			t.Parallel()
			p := newParking(t, 4, "ord_0/2", "ord_1/5", "ord_2/1")
			p.cfg.Attempts = 4
			if point != "" {
				p.cfg.Faults = fault.New(slog.New(slog.DiscardHandler))
				for i := range 6 { // scattered, so that attempts remain
					if _, err := p.cfg.Faults.Arm(fault.Fault{Point: point, Kind: fault.Fail, From: 2 + 7*i, Times: 1}); err != nil {
						t.Fatal(err)
					}
				}
			}
			const keys, n = 5, 12
			all := orders(t, keys, n)
			defer p.run(p.consumer())()
			for part := range 4 {
				stop := p.run(p.consumer())
				p.write(all[part*15 : part*15+15]...)
				if part == 2 {
					for _, b := range []string{"ord_0/2", "ord_1/5", "ord_2/1"} {
						p.mend(b)
					}
				}
				p.redriveAll(RedriveOptions{Force: true})
				stop()
			}
			bustest.Await(t, func() bool {
				if count(effects(t, p.db)) >= keys*n {
					return true
				}
				p.redriveAll(RedriveOptions{Force: true}) // letters that came meanwhile
				return false
			}, "%d effects", keys*n)
			wantInOrder(t, effects(t, p.db), keys, n)
			var left int
			if err := p.db.Pool().QueryRow(t.Context(), `SELECT (SELECT count(*) FROM inbox_lines) + (SELECT count(*) FROM inbox_waiting)`).Scan(&left); err != nil || left != 0 {
				t.Errorf("%d rows of lines are left, %v", left, err)
			}
		})
	}
}

func TestOnlyOnceParksKeys(t *testing.T) {
	t.Parallel()
	c := Each("c", On(func(context.Context, confirmed) error { return nil })).InOrder()
	if err := Run(t.Context(), Config{Brokers: []string{"127.0.0.1:1"}, Service: "svc"}, []Consumer{c}); err == nil || !strings.Contains(err.Error(), "only Once") {
		t.Errorf("got %v, want it refused", err)
	}
}
