package outbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/cartwheel-shop/cartwheel/pkg/postgres/postgrestest"
)

// prompt is a Kafka that takes everything at once.
type prompt struct{ away }

func (prompt) PublishAsync(_ string, messages []Message, answered func(int, error)) {
	for i := range messages {
		answered(i, nil)
	}
}

// named is another pool for a database, whose connections have a name.
func named(t *testing.T, pool *pgxpool.Pool, name string) *pgxpool.Pool {
	t.Helper()
	cfg := pool.Config()
	cfg.ConnConfig.RuntimeParams["application_name"] = name
	p, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// While writers write, relays send, and partitions are made and dropped, no insert
// of the shop queues behind a relay that waits for a lock itself; and nothing that
// relays do leaves dead rows in the outbox. Sampled throughout.
func TestNoInsertQueuesBehindTheRelay(t *testing.T) {
	const writers, each, perPartition = 6, 60, 150
	pool := postgrestest.Open(t, Migrations)
	shop, relays := Open(named(t, pool, "shop"), "test"), Open(named(t, pool, "relay"), "test")
	if _, err := pool.Exec(t.Context(), `DROP TABLE outbox_p0, outbox_p1`); err != nil {
		t.Fatal(err)
	}
	newRelay := func() *Relay {
		r := NewRelay(relays, prompt{}, quiet, WithRetention(0), WithChunk(5))
		r.partition, r.noteEvery = perPartition, 0
		return r
	}
	if err := newRelay().makePartitions(t.Context()); err != nil {
		t.Fatal(err)
	}
	working, stop := context.WithCancel(t.Context())
	defer stop()
	var beside sync.WaitGroup
	for range 2 {
		r := newRelay()
		beside.Go(func() {
			if err := r.Run(working); err != nil {
				t.Error(err)
			}
		})
		// Far more often than it does by itself.
		for _, keep := range []func(context.Context) error{r.makePartitions, r.dropSent} {
			beside.Go(func() {
				for working.Err() == nil {
					if err := keep(working); err != nil && working.Err() == nil {
						t.Errorf("partitions: %v", err)
					}
				}
			})
		}
	}
	samples, behind := 0, 0
	beside.Go(func() {
		for working.Err() == nil {
			queued, held, err := waiting(working, pool)
			switch {
			case working.Err() != nil:
			case err != nil:
				t.Error(err)
				return
			case queued != "":
				t.Errorf("an insert waits behind a relay that waits: %s", queued)
			}
			samples, behind = samples+1, behind+held
		}
	})

	var keys []topicKey // one of each shard, or no partition is behind all of them
	for n := 0; len(keys) < Shards; n++ {
		key := fmt.Sprintf("ord_%d", n)
		if !slices.ContainsFunc(keys, func(k topicKey) bool { return Shard(k.key) == Shard(key) }) {
			keys = append(keys, topicKey{"orders", key})
		}
	}
	refused := errors.New("refused")
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(11, uint64(w)))
			for range each {
				err := shop.Tx(t.Context(), func(tx Tx) error {
					for range 1 + random.IntN(3) {
						tx.Publish(payload(keys[random.IntN(len(keys))], "cus_1"))
					}
					if random.IntN(5) == 0 {
						return refused
					}
					return nil
				})
				if err != nil && !errors.Is(err, refused) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	err := shop.Tx(t.Context(), func(tx Tx) error {
		for _, k := range keys {
			tx.Publish(payload(k, "cus_1"))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	until(t, "everything is sent", func() bool {
		n, err := shop.Pending(t.Context())
		return err == nil && n == 0
	})
	until(t, "what was sent is dropped", func() bool { return !slices.Contains(partitions(t, shop), "outbox_p0") })
	stop()
	beside.Wait()
	if samples == 0 {
		t.Fatal("nothing was sampled")
	}
	t.Logf("%d samples; in %d an insert met a partition that was just being dropped", samples, behind)
	if dead := vacuum(t, shop); dead != 0 {
		t.Errorf("the outbox has %d dead rows, and no insert was rolled back", dead)
	}
}

// waiting finds inserts of the shop that wait behind a relay: queued behind one that
// waits for a lock itself, or how many stand behind one that has it.
func waiting(ctx context.Context, pool *pgxpool.Pool) (queued string, held int, err error) {
	rows, err := pool.Query(ctx, `
		SELECT r.wait_event_type IS NOT DISTINCT FROM 'Lock', s.query || ' behind ' || r.query
		FROM pg_stat_activity s CROSS JOIN LATERAL unnest(pg_blocking_pids(s.pid)) AS b (pid) JOIN pg_stat_activity r ON r.pid = b.pid
		WHERE s.datname = current_database() AND s.application_name = 'shop' AND r.application_name = 'relay'`)
	if err != nil {
		return "", 0, err
	}
	var waits bool
	var what string
	_, err = pgx.ForEachRow(rows, []any{&waits, &what}, func() error {
		if held++; waits {
			queued = what
		}
		return nil
	})
	return queued, held, err
}
