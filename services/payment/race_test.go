package payment

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
)

// A do is at the bank when its undo comes: the undo wins, whether the bank has
// done it by then or does it only later, when the undo found nothing to undo.
func TestAnUndoOvertakesItsDo(t *testing.T) {
	for _, tc := range []struct {
		do, undo Kind
		first    string // whether the bank does it before it is held up
		books    string
		facts    string
	}{
		{Authorize, Void, "do", "0/0/0", "authorized voided"},
		{Authorize, Void, "wait", "0/0/0", "authorized voided"},
		{Capture, Refund, "do", "0/1000/1000", "authorized captured refunded"},
		{Capture, Refund, "wait", "0/1000/1000", "authorized captured refunded"},
	} {
		t.Run(fmt.Sprintf("%s during %s, %s first", tc.undo, tc.do, tc.first), func(t *testing.T) {
			t.Parallel()
			s := open(t)
			o := order("ord_1", "tok_visa")
			if tc.do == Capture {
				if err := s.do(t.Context(), "authorize", o); err != nil {
					t.Fatal(err)
				}
			}
			g := newGate(tc.first)
			s.bank.next(key(o.OrderID, tc.do), g.script)
			ended := make(chan error, 1)
			go func() {
				_, err := s.operate(t.Context(), o, tc.do)
				ended <- err
			}()
			<-g.reached
			if tc.first == "wait" { // the undo does not wait for ever for what may be on its way
				if err := s.do(t.Context(), string(tc.undo), o); outcome(err) != "again" {
					t.Errorf("%s while the %s is on its way: %v, want again", tc.undo, tc.do, err)
				}
				if err := s.later(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.do(t.Context(), string(tc.undo), o); err != nil {
				t.Errorf("%s: %v", tc.undo, err)
			}
			close(g.open)
			if err := <-ended; outcome(err) != "command_undone" {
				t.Errorf("%s: %v, want command_undone", tc.do, err)
			}
			if got := s.bank.books(o.OrderID); got != tc.books {
				t.Errorf("the bank's books %s, want %s", got, tc.books)
			}
			if got := s.told(t, o.OrderID); got != tc.facts {
				t.Errorf("facts %q, want %q", got, tc.facts)
			}
			s.addsUp(t)
		})
	}
}

// The same, and the process ends before the late answer comes: the sweeper finds
// what the bank did, and moves the money back.
func TestTheSweeperMovesBackWhatWasUndone(t *testing.T) {
	for _, tc := range []struct {
		do, undo Kind
		want     State
		books    string
	}{
		{Authorize, Void, Voided, "0/0/0"},
		{Capture, Refund, Refunded, "0/1000/1000"},
	} {
		t.Run(string(tc.undo), func(t *testing.T) {
			t.Parallel()
			s := open(t)
			o := order("ord_1", "tok_visa")
			if tc.do == Capture {
				if err := s.do(t.Context(), "authorize", o); err != nil {
					t.Fatal(err)
				}
			}
			s.bank.next(key(o.OrderID, tc.do), away)
			if err := s.do(t.Context(), string(tc.do), o); outcome(err) != "again" {
				t.Fatalf("%s: %v", tc.do, err)
			}
			if err := s.later(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := s.do(t.Context(), string(tc.undo), o); err != nil {
				t.Fatalf("%s: %v", tc.undo, err)
			}
			late := request{Reference: o.OrderID}
			if tc.do == Authorize {
				late = request{o.OrderID, 1000, "EUR", "tok_visa"}
			}
			s.bank.do(tc.do, key(o.OrderID, tc.do), late)
			for range 2 { // what it settles in one sweep it moves back when it has been quiet
				if err := s.later(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := s.sweepOnce(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if got := s.state(t, o.OrderID); got != tc.want {
				t.Errorf("state %s, want %s", got, tc.want)
			}
			if got := s.bank.books(o.OrderID); got != tc.books {
				t.Errorf("the bank's books %s, want %s", got, tc.books)
			}
			s.addsUp(t)
		})
	}
}

// A command delivered to several workers at once happens once.
func TestDoubleDeliveryAtTheSameTime(t *testing.T) {
	s := open(t)
	o := order("ord_1", "tok_visa")
	for _, k := range []Kind{Authorize, Capture, Refund} {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if _, err := s.operate(t.Context(), o, k); err != nil {
					t.Errorf("%s: %v", k, err)
				}
			})
		}
		wg.Wait()
	}
	if got := s.told(t, o.OrderID); got != "authorized captured refunded" {
		t.Errorf("facts %q, want each once", got)
	}
	if got := s.bank.books(o.OrderID); got != "0/1000/1000" {
		t.Errorf("the bank's books %s, want 0/1000/1000", got)
	}
	s.addsUp(t)
}

// A capture and its refund, and all the rest, race, with answers lost: when the
// undos have had their way, all money is where it came from, taken at most once.
func TestCommandsOfOneOrderRace(t *testing.T) {
	s := open(t)
	const orders = 30
	var wg sync.WaitGroup
	for i := range orders {
		o := order(fmt.Sprintf("ord_%d", i), "tok_visa")
		if i%2 == 0 {
			if err := s.do(t.Context(), "authorize", o); err != nil {
				t.Fatal(err)
			}
		}
		for _, k := range []Kind{Authorize, Capture, Refund, Void} {
			if rand.IntN(4) == 0 {
				s.bank.next(key(o.OrderID, k), lost)
			}
			wg.Go(func() {
				for range rand.IntN(3) + 1 {
					_, _ = s.operate(t.Context(), o, k) // what comes of it is looked at below
				}
			})
		}
	}
	wg.Wait()
	s.bank.calm()
	if err := s.later(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range orders {
		o := order(fmt.Sprintf("ord_%d", i), "tok_visa")
		for _, k := range []string{"refund", "void"} {
			if err := s.do(t.Context(), k, o); err != nil {
				t.Errorf("%s of %s: %v", k, o.OrderID, err)
			}
		}
		if st := s.state(t, o.OrderID); st != Fresh && st != Voided && st != Refunded {
			t.Errorf("%s is %s after its undos", o.OrderID, st)
		}
		if got := s.bank.books(o.OrderID); got != "0/0/0" && got != "0/1000/1000" {
			t.Errorf("the bank's books of %s: %s", o.OrderID, got)
		}
	}
	if held, err := s.store.Holds(t.Context()); err != nil || len(held.OrderIDs) != 0 {
		t.Errorf("Holds = %v, %v; want none", held.OrderIDs, err)
	}
	s.addsUp(t)
}

// Random commands of a few orders, repeats and lost calls among them: whatever
// comes, every account has what the payment's state says, and once the sweeper
// has seen to it, so have the bank's books.
func TestAnySequenceAddsUp(t *testing.T) {
	s := open(t)
	ctx := context.WithoutCancel(t.Context())
	steps := []string{"authorize", "authorize", "authorize", "capture", "capture", "refund", "void", "sweep", "later"}
	tokens := []string{"tok_visa", "tok_visa", "tok_visa", "tok_capture_fails", "tok_declined"}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	var log []string
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d:\n%s", seed, strings.Join(log, "\n"))
		}
	})
	const orders = 60
	nth := func(i int) string { return fmt.Sprintf("ord_%d", i) }
	used := map[string]bool{}
	for range 800 {
		i := random.IntN(orders)
		o := order(nth(i), tokens[i%len(tokens)])
		step, call := steps[random.IntN(len(steps))], ""
		if n := random.IntN(6); n < 2 && step != "sweep" && step != "later" {
			call = []string{"lost", "away"}[n]
			s.bank.next(key(o.OrderID, Kind(step)), scripts[call])
		}
		err := s.do(ctx, step, o)
		log = append(log, fmt.Sprintf("%s %s@%s: %s %v", o.OrderID, step, call, outcome(err), err))
		if step == "sweep" || step == "later" {
			continue
		}
		used[o.OrderID] = true
		if st := s.state(t, o.OrderID); s.balances(t, o.OrderID) != shouldBe(st) {
			t.Fatalf("%s is %s, and its accounts are %s, want %s", o.OrderID, st, s.balances(t, o.OrderID), shouldBe(st))
		}
	}
	s.bank.calm()
	for range 2 { // what is settled in one sweep is moved back when it has been quiet
		for _, step := range []string{"later", "sweep"} {
			if err := s.do(ctx, step, order("", "")); err != nil {
				t.Errorf("%s: %v", step, err)
			}
		}
	}
	s.addsUp(t)
	for id := range used {
		told := " " + s.told(t, id) + " "
		for _, once := range []string{"authorized", "voided", "captured", "declined", "refunded"} {
			if n := strings.Count(told, " "+once+" "); n > 1 {
				t.Errorf("%s was told %d times of %s", once, n, id)
			}
		}
		p, err := readPayment(t.Context(), s.store.db.Pool(), id, "")
		if err != nil {
			t.Fatal(err)
		}
		if undo, ok := p.stranded(); ok {
			t.Errorf("%s is %s, and nobody does its %s", id, p.State, undo)
		}
		if books := s.bank.books(id); strings.Contains(books, "charged") {
			t.Errorf("%s: %s", id, books)
		}
	}
}
