package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/cartwheel-shop/cartwheel/pkg/fault"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox/outboxtest"
	"github.com/cartwheel-shop/cartwheel/pkg/postgres/postgrestest"
)

// A relay that ends at any of its points, or is told there that something failed,
// loses nothing and keeps the order; what it did before is at most done again.
func TestARelayRestartedAtEveryPoint(t *testing.T) {
	for _, kind := range []fault.Kind{fault.Kill, fault.Fail} {
		for _, point := range []fault.Point{fault.ProduceBefore, fault.ProduceAfter, fault.CursorBefore, fault.CursorAfter} {
			t.Run(fmt.Sprintf("%s at %s", kind, point), func(t *testing.T) {
				ctx, end := context.WithCancel(t.Context())
				defer end()
				faults := fault.New(quiet, fault.WithKill(end))
				db := outbox.Open(postgrestest.Open(t, outbox.Migrations), "order", outbox.WithFaults(faults))
				log := outboxtest.NewLog()
				armed, err := faults.Arm(fault.Fault{Point: point, Kind: kind, From: 2, Times: 1})
				if err != nil {
					t.Fatal(err)
				}
				ended := make(chan error, 1)
				go func() { ended <- outbox.NewRelay(db, log, quiet).Run(ctx) }()
				const facts = 8
				for i := range facts {
					publish(t, db, confirmed(fmt.Sprintf("ord_%d", i%2), "a"))
					// Stored one by one, as far as the relay lives.
					waitFor(t, func() bool { return ctx.Err() != nil || len(distinct(log.All())) == i+1 && pending(t, db) == 0 })
					if i == facts/2 {
						<-armed.Fired()
					}
				}
				if kind == fault.Kill {
					if err := <-ended; err != nil {
						t.Fatal(err)
					}
					armed.Disarm()
					outboxtest.RunInto(t, db, log)
				}
				inOrder(t, log.Until(t, func(got []outboxtest.Fact) bool { return len(distinct(got)) == facts }))
				waitFor(t, func() bool { return pending(t, db) == 0 })
				if kind == fault.Fail {
					end()
					if err := <-ended; err != nil {
						t.Fatal(err)
					}
				}
			})
		}
	}
}

// A commit that fails on purpose before it happens leaves nothing behind; one whose
// answer is lost has happened.
func TestACommitFailsOnPurpose(t *testing.T) {
	for point, want := range map[fault.Point]int{fault.CommitBefore: 0, fault.CommitAfter: 1} {
		t.Run(string(point), func(t *testing.T) {
			faults := fault.New(quiet)
			db := outbox.Open(postgrestest.Open(t, outbox.Migrations), "order", outbox.WithFaults(faults))
			if _, err := faults.Arm(fault.Fault{Point: point, Kind: fault.Fail, Key: "ord_1"}); err != nil {
				t.Fatal(err)
			}
			err := db.Tx(t.Context(), func(tx outbox.Tx) error { tx.Publish(confirmed("ord_1", "a")); return nil })
			var injected *fault.Error
			if !errors.As(err, &injected) {
				t.Errorf("got %v", err)
			}
			if n := count(t, db, `SELECT count(*) FROM outbox`); n != want {
				t.Errorf("%d facts, want %d", n, want)
			}
			if err := db.Tx(t.Context(), func(outbox.Tx) error { return nil }); err != nil {
				t.Errorf("a transaction without facts: %v", err)
			}
		})
	}
}
