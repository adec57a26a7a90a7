package outbox

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/cartwheel-shop/cartwheel/pkg/postgres"
	"github.com/cartwheel-shop/cartwheel/pkg/postgres/embedded"
)

// A dump that is restored into another cluster brings transaction ids along that
// mean nothing there: they may be anywhere beside those that it hands out itself.
func TestAfterADumpAndRestoreIntoAnotherCluster(t *testing.T) {
	server, err := embedded.Start(t.Context(), embedded.Config{Dir: filepath.Join(t.TempDir(), "pg"), Throwaway: true, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := server.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	for name, burnt := range map[string]struct{ before, after int }{
		"ids begin anew":         {before: 3000},
		"ids are ahead":          {after: 20000},
		"ids are about the same": {},
	} {
		t.Run(name, func(t *testing.T) {
			db, conns := database(t, 4)
			m := newMachine(t, db, conns[:3], newOurs, conns[3])
			t.Cleanup(m.abandon)
			burn(t, db.pool, burnt.before)
			slow := m.writers[1]
			m.publish(m.writers[0], m.order("a"), m.order("b"))
			m.begin(slow, false)
			m.insert(slow, m.order("slow"))
			m.publish(m.writers[0], m.order("a"), m.stock("a"))
			m.poll()
			m.storeQuiet(m.relay)
			m.commit(slow)                        // late, and not sent
			m.publish(m.writers[0], m.order("b")) // fresh, and not sent

			pool, err := postgres.Open(t.Context(), server.URL(), "restored_"+fmt.Sprint(len(name)), quiet, 8, Migrations)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(pool.Close)
			burn(t, pool, burnt.after)
			restore(t, db.pool, pool)

			there := Open(pool, "test")
			var writers []*pgxpool.Conn
			for range 4 {
				c, err := pool.Acquire(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(c.Release)
				writers = append(writers, c)
			}
			n := newMachine(t, there, writers[:3], newOurs, writers[3])
			t.Cleanup(n.abandon)
			n.name, n.committed, n.kafka, n.tokens = m.name, m.committed, m.kafka, m.tokens
			n.relay = newOurs(there, n.kafka, writers[3])
			n.relays = []sender{n.relay}

			n.publish(n.writers[0], n.order("a")) // before any relay has looked
			for range 3 {
				n.poll()
				n.restart()
				slow := n.writers[1]
				n.begin(slow, false)
				n.insert(slow, n.order("slow"))
				n.publish(n.writers[0], n.order("a"), n.order("b"), n.order("c"))
				n.poll()
				n.restart()
				n.commit(slow)
			}
			n.drain()
			n.verify() // nothing is lost, out of order, or sent twice
			if left, err := there.Pending(t.Context()); err != nil || left != 0 {
				t.Fatalf("%d rows wait, %v", left, err)
			}
		})
	}
}

// burn uses up transaction ids.
func burn(t *testing.T, pool *pgxpool.Pool, n int) {
	t.Helper()
	if n == 0 {
		return
	}
	if _, err := pool.Exec(t.Context(), fmt.Sprintf(`DO $$ BEGIN FOR i IN 1..%d LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$`, n)); err != nil {
		t.Fatal(err)
	}
}

// restore copies the outbox as a dump does.
func restore(t *testing.T, from, to *pgxpool.Pool) {
	t.Helper()
	source, err := from.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer source.Release()
	target, err := to.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer target.Release()
	for _, table := range []string{"outbox", "outbox_keys", "outbox_cursors", "outbox_system"} {
		var data bytes.Buffer
		if _, err := source.Conn().PgConn().CopyTo(t.Context(), &data, `COPY (SELECT * FROM `+table+`) TO STDOUT`); err != nil {
			t.Fatal(err)
		}
		if _, err := target.Exec(t.Context(), `TRUNCATE `+table); err != nil {
			t.Fatal(err)
		}
		if _, err := target.Conn().PgConn().CopyFrom(t.Context(), &data, `COPY `+table+` FROM STDIN`); err != nil {
			t.Fatal(err)
		}
	}
	var last int64
	if err := source.QueryRow(t.Context(), `SELECT last_value FROM outbox_seq`).Scan(&last); err != nil {
		t.Fatal(err)
	}
	if _, err := target.Exec(t.Context(), `SELECT setval('outbox_seq', $1)`, last); err != nil {
		t.Fatal(err)
	}
}
