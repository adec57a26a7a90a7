package order

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/cartwheel-shop/cartwheel/pkg/fault"
)

// A request whose key is in flight is told so, and does not wait; when the first
// one is through, it gets that one's receipt.
func TestPlaceWhileTheKeyIsInFlight(t *testing.T) {
	d := open(t)
	p := d.placing("ord_1")
	held, err := d.faults.Arm(fault.Fault{Point: fault.CommitBefore, Kind: fault.Block, Key: "ord_1"})
	if err != nil {
		t.Fatal(err)
	}
	var first sync.WaitGroup
	first.Go(func() {
		if r, err := d.store.Place(t.Context(), p); err != nil || r.Replayed {
			t.Errorf("the first: %+v, %v", r, err)
		}
	})
	<-held.Fired()
	ctx, cancel := context.WithTimeout(t.Context(), longEnough)
	defer cancel()
	second := p
	second.Order.ID = "ord_2"
	if _, err := d.store.Place(ctx, second); !errors.Is(err, ErrKeyInUse) {
		t.Errorf("meanwhile: %v, want ErrKeyInUse", err)
	}
	other := d.placing("ord_3")
	other.Order.Customer = Customer{ID: "cus_bob", Name: "Bob", Email: "bob@example.com"}
	if _, err := d.store.Place(ctx, other); err != nil {
		t.Errorf("somebody else with another key: %v, want it not to wait", err)
	}
	held.Disarm()
	first.Wait()
	if r, err := d.store.Place(t.Context(), second); err != nil || !r.Replayed || r.OrderID != "ord_1" {
		t.Errorf("afterwards: %+v, %v; want the receipt of ord_1", r, err)
	}
	if got, want := d.stored(t), "2 orders, 2 keys, 2 customers, 2 facts"; got != want {
		t.Errorf("stored %s, want %s", got, want)
	}
}

// One order comes of one key, however many send it at once.
func TestOneKeyIsOneOrder(t *testing.T) {
	d := open(t)
	var wg sync.WaitGroup
	for i := range 20 {
		p := d.placing("ord_1")
		p.Order.ID = fmt.Sprintf("ord_%d", i)
		wg.Go(func() {
			if _, err := d.store.Place(t.Context(), p); err != nil && !errors.Is(err, ErrKeyInUse) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got, want := d.stored(t), "1 orders, 1 keys, 1 customers, 1 facts"; got != want {
		t.Errorf("stored %s, want %s", got, want)
	}
}
