package outbox_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox/outboxtest"
)

// shares are how many shards each relay has.
func shares(t *testing.T, db *outbox.DB) map[string]int {
	t.Helper()
	rows, err := db.Pool().Query(t.Context(), `SELECT coalesce(owner, ''), count(*) FROM outbox_cursors GROUP BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int{}
	var owner string
	var n int
	if _, err := pgx.ForEachRow(rows, []any{&owner, &n}, func() error { out[owner] = n; return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

// even waits until all shards belong to so many relays evenly, and none to nobody or
// to the one that is gone.
func even(t *testing.T, db *outbox.DB, relays int) {
	t.Helper()
	waitFor(t, func() bool {
		got := shares(t, db)
		most := (outbox.Shards + relays - 1) / relays
		return got[""]+got["gone"] == 0 && len(got) == relays && slices.Max(slices.Collect(maps.Values(got))) <= most
	})
}

// A relay that joins gets its share; what one hands over or leaves behind is taken
// by the others.
func TestRelaysShare(t *testing.T) {
	db := open(t)
	log := outboxtest.NewLog()
	running := map[int]func(){}
	start := func(n int, lease time.Duration) {
		ctx, end := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- outbox.NewRelay(db, log, quiet, outbox.WithLease(lease)).Run(ctx) }()
		running[n] = func() {
			end()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			delete(running, n)
		}
	}
	sent := 0
	send := func() {
		t.Helper()
		for i := range 20 {
			publish(t, db, confirmed(fmt.Sprintf("ord_%d", i), "a"))
		}
		sent += 20
		facts := log.Until(t, func(facts []outboxtest.Fact) bool { return len(distinct(facts)) >= sent })
		inOrder(t, facts)
	}
	const lease = 400 * time.Millisecond
	for n := range 3 {
		start(n, lease)
		even(t, db, n+1)
		send()
	}
	running[1]()
	even(t, db, 2)
	send()

	// One that never answers again, though its connection is there: a lease of an hour
	// from an hour ago.
	held, err := db.Pool().Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Release()
	if _, err := held.Exec(t.Context(), `
		WITH one AS (SELECT owner FROM outbox_cursors WHERE shard = 0), gone AS (
			INSERT INTO outbox_relays SELECT 'gone', pg_backend_pid(), backend_start, clock_timestamp() - interval '1 hour', clock_timestamp() + interval '300 ms'
			FROM pg_stat_activity WHERE pid = pg_backend_pid()
		)
		UPDATE outbox_cursors c SET owner = 'gone', epoch = epoch + 1 FROM one WHERE c.owner = one.owner`); err != nil {
		t.Fatal(err)
	}
	even(t, db, 2)
	send()

	// Its clock was ahead, and was set back: what lies in the future is not a lease.
	if _, err := held.Exec(t.Context(), `
		UPDATE outbox_relays SET since = clock_timestamp() + interval '1 day', until = clock_timestamp() + interval '1 day 1 second' WHERE relay = 'gone'`); err != nil {
		t.Fatal(err)
	}
	if _, err := held.Exec(t.Context(), `UPDATE outbox_cursors SET owner = 'gone', epoch = epoch + 1 WHERE shard < 10`); err != nil {
		t.Fatal(err)
	}
	even(t, db, 2)
	send()
	for len(running) > 0 {
		for _, stop := range running {
			stop()
			break
		}
	}
	if got := shares(t, db); got[""] != outbox.Shards-got["gone"] || got["gone"] != 0 {
		t.Errorf("after the last relay has stopped, shards belong to %v", got)
	}
}

// The shards of a relay whose connection is gone are free at once, however long
// its lease is.
func TestALeaseEndsWithItsConnection(t *testing.T) {
	db := open(t)
	if _, err := db.Pool().Exec(t.Context(), `
		INSERT INTO outbox_relays VALUES ('gone', 1, now(), now(), now() + interval '1 hour')`); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Pool().Exec(t.Context(), `UPDATE outbox_cursors SET owner = 'gone'`); err != nil {
		t.Fatal(err)
	}
	publish(t, db, confirmed("ord_1", "a"))
	outboxtest.Run(t, db).Await(t, 1)
}
