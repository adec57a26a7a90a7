package outbox

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/cartwheel-shop/cartwheel/pkg/postgres/postgrestest"
)

// variant is our relay with one thought left out. Each shows that the tests would
// notice.
type variant struct {
	ours
	pick       func(ctx context.Context, v *variant, u *unsent) ([]ref, error) // what is sent of what was found
	storeFirst bool                                                            // before it is acknowledged
}

func (v *variant) poll(ctx context.Context) (n int, err error) {
	if err := v.load(ctx); err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			v.restart()
		}
	}()
	u, err := v.relay.find(ctx, v.conn, v.cur)
	if err != nil {
		return 0, err
	}
	todo := u.rows
	if v.pick != nil {
		if todo, err = v.pick(ctx, v, u); err != nil {
			return 0, err
		}
	}
	if v.storeFirst {
		v.cur.finish(u)
		if err := v.relay.store(ctx, v.conn, v.cur, all); err != nil {
			return 0, err
		}
	}
	if len(todo) > 0 {
		rows, err := fetch(ctx, v.conn, todo)
		if err != nil {
			return 0, err
		}
		if err := v.relay.send(ctx, rows); err != nil {
			return 0, err
		}
	}
	if !v.storeFirst {
		v.cur.finish(u)
		if err := v.relay.store(ctx, v.conn, v.cur, all); err != nil {
			return 0, err
		}
	}
	return len(todo), nil
}

// xids returns transaction ids of rows by their seq, and the oldest one that is
// still running anywhere in the cluster.
func (v *variant) xids(ctx context.Context, refs []ref) (map[int64]uint64, uint64, error) {
	var seqs []int64
	for _, ref := range refs {
		seqs = append(seqs, ref.seq)
	}
	var fence uint64
	if err := v.conn.QueryRow(ctx, `SELECT pg_snapshot_xmin(pg_current_snapshot())`).Scan(&fence); err != nil {
		return nil, 0, err
	}
	rows, err := v.conn.Query(ctx, `SELECT seq, xid FROM outbox WHERE seq = ANY ($1)`, seqs)
	if err != nil {
		return nil, 0, err
	}
	out := map[int64]uint64{}
	var seq int64
	var xid uint64
	_, err = pgx.ForEachRow(rows, []any{&seq, &xid}, func() error { out[seq] = xid; return nil })
	return out, fence, err
}

// "seq > last": what commits after a later row is never seen.
func withoutLateRows(_ context.Context, _ *variant, u *unsent) ([]ref, error) {
	return u.rows[u.late:], nil
}

func orderedByXid(ctx context.Context, v *variant, u *unsent) ([]ref, error) {
	xids, _, err := v.xids(ctx, u.rows)
	out := slices.Clone(u.rows)
	slices.SortStableFunc(out, func(a, b ref) int {
		return cmp.Or(cmp.Compare(xids[a.seq], xids[b.seq]), cmp.Compare(a.seq, b.seq))
	})
	return out, err
}

// "Wait for the oldest running transaction": nothing is sent until all that was
// found is older than it.
func fencedAtXmin(ctx context.Context, v *variant, u *unsent) ([]ref, error) {
	xids, fence, err := v.xids(ctx, u.rows)
	for _, xid := range xids {
		if xid >= fence {
			*u = unsent{snapshot: v.cur.shards[0].snapshot}
			return nil, err
		}
	}
	return u.rows, err
}

func with(pick func(context.Context, *variant, *unsent) ([]ref, error), storeFirst bool) func(*DB, *kafka, *pgxpool.Conn) sender {
	return func(db *DB, k *kafka, conn *pgxpool.Conn) sender {
		v := &variant{ours: ours{relay: NewRelay(db, k, quiet), conn: conn}, pick: pick, storeFirst: storeFirst}
		v.note(true)
		return v
	}
}

// watermillSQL is the rule of watermill-sql's Postgres queue on our table: rows
// of transactions below the oldest running one, in the order of (transaction id,
// offset), from the last such pair.
type watermillSQL struct {
	db  *DB
	pub *kafka
	xid uint64
	seq int64
}

func newWatermillSQL(db *DB, k *kafka, _ *pgxpool.Conn) sender { return &watermillSQL{db: db, pub: k} }

func (w *watermillSQL) poll(ctx context.Context) (int, error) {
	rows, err := w.db.pool.Query(ctx, `
		SELECT xid, seq, event_id, topic, key, headers, payload FROM outbox
		WHERE (xid = $1::text::xid8 AND seq > $2 OR xid > $1::text::xid8) AND xid < pg_snapshot_xmin(pg_current_snapshot())
		ORDER BY xid, seq LIMIT 100`, fmt.Sprint(w.xid), w.seq)
	if err != nil {
		return 0, err
	}
	var list []row
	xid, seq := w.xid, w.seq
	var o row
	if _, err := pgx.ForEachRow(rows, []any{&xid, &seq, &o.eventID, &o.topic, &o.key, &o.headers, &o.payload}, func() error {
		list = append(list, o)
		o.headers, o.payload = nil, nil
		return nil
	}); err != nil {
		return 0, err
	}
	if err := (&Relay{pub: w.pub}).send(ctx, list); err != nil {
		return 0, err
	}
	w.xid, w.seq = xid, seq
	return len(list), nil
}

func (w *watermillSQL) restart()                        {}
func (w *watermillSQL) noteQuiet(context.Context) error { return nil }
func (w *watermillSQL) caughtUp() bool                  { return true }
func (w *watermillSQL) chunk(int)                       {}
func (w *watermillSQL) note(bool)                       {}

// Schedules that have broken relays. Each ends with what must have been sent by
// then, without any transaction that it left open coming to its end.
var schedules = map[string]func(m *machine, elsewhere func()){
	// The first transaction to begin is the last to write the key.
	"two writers of one aggregate": func(m *machine, _ func()) {
		early, late := m.writers[0], m.writers[1]
		m.begin(early, true)
		m.publish(late, m.order("a")) // version 1, by the younger transaction
		m.insert(early, m.order("a")) // version 2, by the older one
		m.commit(early)
		m.poll()
	},
	"a row commits after a later row was sent": func(m *machine, _ func()) {
		slow, fast := m.writers[0], m.writers[1]
		m.begin(slow, false)
		m.insert(slow, m.order("slow"))
		m.publish(fast, m.order("fast"))
		m.poll()
		m.commit(slow)
		m.poll()
	},
	"a prepared transaction is decided later": func(m *machine, _ func()) {
		slow, fast := m.writers[0], m.writers[1]
		if !m.twoPhase {
			return
		}
		m.begin(slow, false)
		m.insert(slow, m.order("slow"))
		f := m.prepare(slow)
		m.publish(fast, m.order("fast"))
		m.poll()
		m.decide(f, true)
		m.poll()
	},
	"a late row after a restart": func(m *machine, _ func()) {
		slow, fast := m.writers[0], m.writers[1]
		m.begin(slow, false)
		m.insert(slow, m.order("a"))
		m.publish(fast, m.order("b"))
		m.poll()
		m.must(m.relay.noteQuiet(m.ctx))
		m.relay.restart()
		m.commit(slow)
		m.poll()
	},
	"Kafka is away": func(m *machine, _ func()) {
		m.kafka.failIn = 1
		m.publish(m.writers[0], m.order("a"))
		m.poll()
		m.kafka.heal()
		m.poll()
	},
	"an idle write transaction in another database": func(m *machine, elsewhere func()) {
		elsewhere()
		m.publish(m.writers[0], m.order("a"))
		m.poll()
	},
	"an idle write transaction in this database": func(m *machine, _ func()) {
		m.begin(m.writers[1], true)
		m.publish(m.writers[0], m.order("a"))
		m.poll()
	},
}

func TestSchedules(t *testing.T) {
	rules := map[string]struct {
		make   func(*DB, *kafka, *pgxpool.Conn) sender
		breaks []string
	}{
		"ours": {make: newOurs},
		"watermill-sql": {newWatermillSQL, []string{
			"two writers of one aggregate", "an idle write transaction in another database", "an idle write transaction in this database",
		}},
		"ordered by transaction id": {with(orderedByXid, false), []string{"two writers of one aggregate"}},
		"fenced at the snapshot's xmin": {with(fencedAtXmin, false), []string{
			"an idle write transaction in another database", "an idle write transaction in this database",
		}},
		"without late rows": {with(withoutLateRows, false), []string{
			"a row commits after a later row was sent", "a prepared transaction is decided later", "a late row after a restart",
		}},
		"stored before the acknowledgement": {with(nil, true), []string{"Kafka is away"}},
	}
	elsewhere := postgrestest.Open(t)
	for rule, r := range rules {
		t.Run(rule, func(t *testing.T) {
			db, conns := database(t, 4)
			for name, schedule := range schedules {
				t.Run(name, func(t *testing.T) {
					probe := &recorder{TB: t}
					m := newMachine(t, db, conns[:3], r.make, conns[3])
					defer m.abandon()
					m.drain() // what the schedules before have left
					m.t = probe
					probe.run(func() {
						schedule(m, func() { holdOpen(t, elsewhere) })
						m.verify()
					})
					if want := slices.Contains(r.breaks, name) && (m.twoPhase || !strings.Contains(name, "prepared")); probe.failed != want {
						t.Errorf("broken: %v, want %v: %s", probe.failed, want, probe.said)
					}
				})
			}
		})
	}
}

// holdOpen leaves a write transaction open until the test ends.
func holdOpen(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	if _, err := tx.Exec(t.Context(), `CREATE TABLE mine (n int)`); err != nil {
		t.Fatal(err)
	}
}

// The property test too finds what is wrong with a variant, by itself.
func TestPropertyFindsWhatVariantsBreak(t *testing.T) {
	// No shrinking and no files: that it fails is all we want to know.
	for name, value := range map[string]string{"rapid.shrinktime": "0s", "rapid.nofailfile": "true", "rapid.checks": "1000"} {
		f := flag.Lookup(name)
		before := f.Value.String()
		if err := f.Value.Set(value); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Value.Set(before) })
	}
	for name, make := range map[string]func(*DB, *kafka, *pgxpool.Conn) sender{
		"watermill-sql":                     newWatermillSQL,
		"ordered by transaction id":         with(orderedByXid, false),
		"without late rows":                 with(withoutLateRows, false),
		"stored before the acknowledgement": with(nil, true),
	} {
		t.Run(name, func(t *testing.T) {
			db, conns := database(t, 5)
			probe := &recorder{TB: t}
			probe.run(func() {
				rapid.Check(probe, func(rt *rapid.T) { anySchedule(rt, db, conns, make) })
			})
			if !probe.failed {
				t.Error("a thousand schedules found nothing wrong")
			}
		})
	}
}

// recorder takes a failure instead of failing.
type recorder struct {
	rapid.TB
	failed bool
	said   string
}

func (r *recorder) Helper()             {}
func (r *recorder) Log(...any)          {}
func (r *recorder) Logf(string, ...any) {}
func (r *recorder) Error(args ...any)   { r.failed, r.said = true, fmt.Sprint(args...) }
func (r *recorder) Errorf(format string, a ...any) {
	r.failed, r.said = true, fmt.Sprintf(format, a...)
}
func (r *recorder) Fatal(args ...any)              { r.Error(args...); runtime.Goexit() }
func (r *recorder) Fatalf(format string, a ...any) { r.Errorf(format, a...); runtime.Goexit() }
func (r *recorder) Fail()                          { r.failed = true }
func (r *recorder) FailNow()                       { r.failed = true; runtime.Goexit() }
func (r *recorder) Failed() bool                   { return r.failed }

// run runs f to its end or first failure.
func (r *recorder) run(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}
