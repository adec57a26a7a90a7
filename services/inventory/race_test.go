package inventory

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// 200 orders race for 50 pieces: exactly 50 get one.
func TestRaceForTheLastPieces(t *testing.T) {
	w := open(t)
	var got, refused atomic.Int32
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			_, err := w.Reserve(t.Context(), w.order(fmt.Sprintf("ord_%d", i), "truffle-box 1"))
			switch outcome(err) {
			case "done":
				got.Add(1)
			case "out_of_stock":
				refused.Add(1)
			default:
				t.Errorf("Reserve: %v", err)
			}
		})
	}
	wg.Wait()
	if got.Load() != 50 || refused.Load() != 150 {
		t.Errorf("%d got one and %d were refused, want 50 and 150", got.Load(), refused.Load())
	}
	if levels := w.levels(t, "truffle-box"); levels != "0/50/0" {
		t.Errorf("stock %s, want 0/50/0", levels)
	}
	w.addsUp(t)
}

// Orders of the same products in opposite order never wait for each other in a
// circle: no command fails, not even to be tried again.
func TestOppositeOrdersDoNotDeadlock(t *testing.T) {
	w := open(t)
	lines := []string{"milk 1", "butter 1", "eggs 1", "gouda 1", "peas 1"}
	var wg sync.WaitGroup
	for i := range 60 {
		mine := slices.Clone(lines)
		if i%2 == 1 {
			slices.Reverse(mine)
		}
		wg.Go(func() {
			o := w.order(fmt.Sprintf("ord_%d", i), mine...)
			todo := []string{"reserve", "prepare", "cancel", "release"}
			if i%3 == 0 {
				todo = []string{"reserve", "prepare", "hand-over", "dispatched"}
			}
			for _, c := range todo {
				if _, err := w.do(t.Context(), c, o); err != nil {
					t.Errorf("%s: %v", c, err)
				}
			}
		})
	}
	wg.Wait()
	if levels := w.levels(t, "milk"); levels != "7980/0/20" {
		t.Errorf("stock of milk %s, want 7980/0/20", levels)
	}
	w.addsUp(t)
}

// A command delivered to several workers at once happens once.
func TestDoubleDeliveryAtTheSameTime(t *testing.T) {
	w := open(t)
	o := w.order("ord_1", "truffle-box 20")
	for _, c := range []string{"reserve", "prepare", "hand-over", "dispatched"} {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if _, err := w.do(t.Context(), c, o); err != nil {
					t.Errorf("%s: %v", c, err)
				}
			})
		}
		wg.Wait()
	}
	if got, want := w.told(t, o.OrderID), "inventory.reserved shipment.prepared shipment.dispatched"; got != want {
		t.Errorf("facts %q, want %q", got, want)
	}
	if levels := w.levels(t, "truffle-box"); levels != "30/0/20" {
		t.Errorf("stock %s, want 30/0/20", levels)
	}
	w.addsUp(t)
}

// The commands of one order race with each other and with the expiry. When both
// undos have had their way, nothing is held, unless the courier has it.
func TestCommandsOfOneOrderRace(t *testing.T) {
	w := open(t)
	const orders = 40
	stop := make(chan struct{})
	var expiring sync.WaitGroup
	expiring.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := w.Expire(t.Context()); err != nil {
				t.Errorf("Expire: %v", err)
			}
		}
	})
	var wg sync.WaitGroup
	for i := range orders {
		o := w.order(fmt.Sprintf("ord_%d", i), "truffle-box 1", "milk 3")
		if i%2 == 0 {
			o.ReserveUntil = w.at.Add(-time.Second) // is over at once
		}
		for _, c := range []string{"reserve", "prepare", "hand-over", "dispatched", "cancel", "release"} {
			wg.Go(func() {
				for range rand.IntN(3) + 1 {
					if _, err := w.do(t.Context(), c, o); outcome(err) == "again" && !again(err) {
						t.Errorf("%s of %s: %v", c, o.OrderID, err)
					}
				}
			})
		}
	}
	wg.Wait()
	close(stop)
	expiring.Wait()

	shipped := 0
	for i := range orders {
		o := w.order(fmt.Sprintf("ord_%d", i), "truffle-box 1", "milk 3")
		if w.states(t, o.OrderID) == "allocated, handing_over" { // the courier's answer is due
			if _, err := w.Dispatched(t.Context(), o, "Cartwheel Courier", "CW1"); err != nil {
				t.Error(err)
			}
		}
		for _, c := range []string{"cancel", "release"} {
			_, err := w.do(t.Context(), c, o)
			if got := outcome(err); got == "already_shipped" {
				shipped++
			} else if got != "done" {
				t.Errorf("%s of %s: %v", c, o.OrderID, err)
			}
		}
	}
	shipped /= 2
	if got, want := w.levels(t, "truffle-box"), fmt.Sprintf("%d/0/%d", 50-shipped, shipped); got != want {
		t.Errorf("stock of truffles %s, want %s", got, want)
	}
	held, err := w.Holds(t.Context())
	if err != nil || len(held.OrderIDs) != 0 {
		t.Errorf("Holds = %v, %v; want none", held.OrderIDs, err)
	}
	w.addsUp(t)
}

// again says that an error is one that the saga is meant to try again.
func again(err error) bool {
	return strings.Contains(err.Error(), errHandingOver.Error()) || strings.Contains(err.Error(), "no shipment")
}

// Random commands on few pieces, one after the other: whatever comes, the stock
// adds up, and what is told of an order is consistent.
func TestAnySequenceAddsUp(t *testing.T) {
	w := open(t)
	names := []string{"reserve", "reserve", "reserve", "prepare", "prepare", "hand-over", "dispatched", "turned-down", "cancel", "release", "expire"}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	var log []string
	for range 600 {
		o := w.order(fmt.Sprintf("ord_%d", random.IntN(25)), fmt.Sprintf("truffle-box %d", random.IntN(12)+1), "milk 1")
		c := names[random.IntN(len(names))]
		_, err := w.do(context.WithoutCancel(t.Context()), c, o)
		log = append(log, fmt.Sprintf("%s %s %d: %s", c, o.OrderID, o.Lines[0].Quantity, outcome(err)))
		if outcome(err) == "again" && !again(err) {
			t.Fatalf("seed %d, %s: %v", seed, c, err)
		}
	}
	w.addsUp(t)
	for i := range 25 {
		id := fmt.Sprintf("ord_%d", i)
		told := " " + w.told(t, id) + " "
		for _, once := range []string{"inventory.reserved", "inventory.rejected", "shipment.prepared", "shipment.dispatched", "shipment.cancelled"} {
			if n := strings.Count(told, " "+once+" "); n > 1 {
				t.Errorf("%s was told %d times of %s", once, n, id)
			}
		}
		if strings.Contains(told, "shipment.dispatched") && strings.Contains(told, "shipment.cancelled") {
			t.Errorf("%s was dispatched and cancelled:%s", id, told)
		}
	}
	if t.Failed() {
		t.Logf("seed %d:\n%s", seed, strings.Join(log, "\n"))
	}
}
