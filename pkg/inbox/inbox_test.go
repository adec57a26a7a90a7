package inbox_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/cartwheel-shop/cartwheel/pkg/inbox"
	"github.com/cartwheel-shop/cartwheel/pkg/postgres/postgrestest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// handle takes an event in a transaction of its own and says whether it was new.
func handle(ctx context.Context, pool *pgxpool.Pool, consumer, id string, effect error) (fresh bool, err error) {
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		seen, err := inbox.Seen(ctx, tx, consumer, id)
		fresh = !seen
		return errors.Join(err, effect)
	})
	return fresh, err
}

func TestAnEventIsNewOncePerConsumer(t *testing.T) {
	pool := postgrestest.Open(t, inbox.Migrations)
	for i, want := range []struct {
		consumer, id string
		fresh        bool
	}{
		{"mails", "e1", true}, {"mails", "e1", false}, {"sales", "e1", true}, {"mails", "e2", true}, {"sales", "e1", false},
	} {
		if fresh, err := handle(t.Context(), pool, want.consumer, want.id, nil); err != nil || fresh != want.fresh {
			t.Errorf("%d: %s of %s: new %v, %v; want %v", i, want.id, want.consumer, fresh, err, want.fresh)
		}
	}
}

// A handler that fails leaves no mark, so that its retry is not dropped.
func TestAFailedEffectIsNotSeen(t *testing.T) {
	pool := postgrestest.Open(t, inbox.Migrations)
	failed := errors.New("the handler failed")
	if _, err := handle(t.Context(), pool, "mails", "e1", failed); !errors.Is(err, failed) {
		t.Fatalf("got %v", err)
	}
	if fresh, err := handle(t.Context(), pool, "mails", "e1", nil); err != nil || !fresh {
		t.Errorf("the retry: new %v, %v; want it new", fresh, err)
	}
}

// Of deliveries at the same time one has the effect, and the others wait for it
// to end: when it fails, one of them has it.
func TestDeliveriesAtTheSameTime(t *testing.T) {
	pool := postgrestest.Open(t, inbox.Migrations)
	for _, firstFails := range []bool{false, true} {
		t.Run(fmt.Sprintf("first fails: %v", firstFails), func(t *testing.T) {
			id := fmt.Sprint(firstFails)
			var effects, tries atomic.Int32
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					_ = pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
						seen, err := inbox.Seen(t.Context(), tx, "mails", id)
						if err != nil {
							t.Error(err)
						}
						if seen {
							return nil
						}
						if tries.Add(1) == 1 && firstFails {
							return errors.New("the handler failed")
						}
						effects.Add(1)
						return nil
					})
				})
			}
			wg.Wait()
			if effects.Load() != 1 {
				t.Errorf("%d effects, want 1", effects.Load())
			}
		})
	}
}

// Batches that overlap, in any order, neither deadlock nor share an event.
func TestBatchesThatOverlap(t *testing.T) {
	pool := postgrestest.Open(t, inbox.Migrations)
	var mu sync.Mutex
	times := map[string]int{}
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			var ids []string
			for j := range 40 {
				n := (i*10 + j) % 100
				if i%2 == 1 {
					n = 99 - n
				}
				ids = append(ids, fmt.Sprintf("e%02d", n), fmt.Sprintf("e%02d", n)) // each twice
			}
			err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
				fresh, err := inbox.Fresh(t.Context(), tx, "sales", ids)
				mu.Lock()
				defer mu.Unlock()
				for id := range fresh {
					times[id]++
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(times) != 100 {
		t.Errorf("%d events were new, want 100", len(times))
	}
	for id, n := range times {
		if n != 1 {
			t.Errorf("%s was new %d times", id, n)
		}
	}
}

func TestCleanKeepsWhatMayComeAgain(t *testing.T) {
	pool := postgrestest.Open(t, inbox.Migrations)
	for _, id := range []string{"old", "young"} {
		if _, err := handle(t.Context(), pool, "mails", id, nil); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	if _, err := pool.Exec(t.Context(), `UPDATE inbox SET at = $1 WHERE event_id = 'old'`, now.Add(-inbox.Retention-time.Minute)); err != nil {
		t.Fatal(err)
	}
	if n, err := inbox.Clean(t.Context(), pool, now); n != 1 || err != nil {
		t.Errorf("Clean = %d, %v; want 1", n, err)
	}
	if fresh, _ := handle(t.Context(), pool, "mails", "young", nil); fresh {
		t.Error("the young one was forgotten")
	}
}
