package outbox

import (
	"cmp"
	"context"
	"errors"
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
	*ours
	pick       func(ctx context.Context, v *variant, found []numbered) ([]numbered, error) // what is sent of what was found
	storeFirst bool                                                                        // before it is answered
	noEpoch    bool                                                                        // store whoever has the shard
	shortSight bool                                                                        // late rows are those of which the snapshot names the transaction
}

// numbered is a row that was found, and its topic.
type numbered struct {
	row
	topic string
	late  bool
}

// errStay says that nothing is sent and the cursor stays.
var errStay = errors.New("stay")

func (v *variant) poll(ctx context.Context) (int, error) {
	p := v.pipe
	if p.cur.ours.count() == 0 {
		return p.poll(ctx)
	}
	var found []numbered
	l, err := v.relay.look(ctx, v.conn, p.cur, func(o row, topic string) error {
		found = append(found, numbered{o, topic, o.seq <= p.cur.shards[o.shard].hi})
		return nil
	})
	if err != nil {
		return 0, err
	}
	if v.pick != nil {
		found, err = v.pick(ctx, v, found)
		if errors.Is(err, errStay) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
	}
	if v.shortSight {
		l.next = 0
	}
	p.cur.finish(l)
	if v.storeFirst {
		if err := v.relay.store(ctx, settled{positions: p.cur.shards, moved: p.cur.ours}); err != nil && !errors.Is(err, errFenced) {
			return 0, err
		}
	}
	e := p.flight.begin()
	for _, o := range found {
		p.hand(e, &batch{topic: o.topic, rows: []row{o.row}})
	}
	p.flight.end(e, p.cur)
	return len(found), nil
}

func (v *variant) store(ctx context.Context) error {
	if !v.noEpoch {
		return v.ours.store(ctx)
	}
	s := v.pipe.flight.take()
	for i, p := range s.positions {
		if s.moved[i] {
			if _, err := v.relay.db.pool.Exec(ctx, `UPDATE outbox_cursors SET hi = $2, snapshot = $3::text::pg_snapshot, next_xid = $4::text::xid8, system = $5 WHERE shard = $1`,
				i, p.hi, p.snapshot, fmt.Sprint(p.next), p.system); err != nil {
				return err
			}
		}
	}
	return nil
}

// xids returns transaction ids of rows by their seq, and the oldest one that is
// still running anywhere in the cluster.
func (v *variant) xids(ctx context.Context, found []numbered) (map[int64]uint64, uint64, error) {
	var seqs []int64
	for _, o := range found {
		seqs = append(seqs, o.seq)
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
func withoutLateRows(_ context.Context, _ *variant, found []numbered) ([]numbered, error) {
	return slices.DeleteFunc(found, func(o numbered) bool { return o.late }), nil
}

func orderedByXid(ctx context.Context, v *variant, found []numbered) ([]numbered, error) {
	xids, _, err := v.xids(ctx, found)
	slices.SortStableFunc(found, func(a, b numbered) int {
		return cmp.Or(cmp.Compare(xids[a.seq], xids[b.seq]), cmp.Compare(a.seq, b.seq))
	})
	return found, err
}

// "Wait for the oldest running transaction": nothing is sent until all that was
// found is older than it.
func fencedAtXmin(ctx context.Context, v *variant, found []numbered) ([]numbered, error) {
	xids, fence, err := v.xids(ctx, found)
	for _, xid := range xids {
		if xid >= fence {
			return nil, errStay
		}
	}
	return found, err
}

func with(v variant) maker {
	return func(db *DB, k *kafka, conn *pgxpool.Conn) sender {
		made := v
		made.ours = oursOf(db, k, conn)
		return &made
	}
}

var (
	ordersByXid    = with(variant{pick: orderedByXid})
	fencesAtXmin   = with(variant{pick: fencedAtXmin})
	skipsLateRows  = with(variant{pick: withoutLateRows})
	storesFirst    = with(variant{storeFirst: true})
	leasesNoEpochs = with(variant{noEpoch: true})
	looksNoFurther = with(variant{shortSight: true})
)

// watermillSQL is the rule of watermill-sql's Postgres queue on our table: rows
// of transactions below the oldest running one, in the order of (transaction id,
// offset), from the last such pair. It knows of no other relay, so only the first
// one works.
type watermillSQL struct {
	*ours
	works bool
	xid   uint64
	seq   int64
}

func newWatermillSQL(db *DB, k *kafka, conn *pgxpool.Conn) sender {
	w := &watermillSQL{ours: oursOf(db, k, conn), works: !k.taken}
	k.taken = true
	return w
}

func (w *watermillSQL) poll(ctx context.Context) (int, error) {
	if !w.works {
		return 0, nil
	}
	rows, err := w.conn.Query(ctx, `
		SELECT xid, seq, topic, key, payload FROM outbox
		WHERE (xid = $1::text::xid8 AND seq > $2 OR xid > $1::text::xid8) AND xid < pg_snapshot_xmin(pg_current_snapshot())
		ORDER BY xid, seq LIMIT 100`, fmt.Sprint(w.xid), w.seq)
	if err != nil {
		return 0, err
	}
	n := 0
	var key topicKey
	var payload []byte
	_, err = pgx.ForEachRow(rows, []any{&w.xid, &w.seq, &key.topic, &key.key, &payload}, func() error {
		w.way.kafka.take(key, payload)
		n++
		return nil
	})
	return n, err
}

func (w *watermillSQL) share(context.Context) error      { return nil }
func (w *watermillSQL) store(context.Context) error      { return nil }
func (w *watermillSQL) storeQuiet(context.Context) error { return nil }
func (w *watermillSQL) kill(context.Context, bool) error { return nil }
func (w *watermillSQL) leave(context.Context) error      { return nil }
func (w *watermillSQL) leased() *lease                   { return &lease{} }
func (w *watermillSQL) up() bool                         { return true }
func (w *watermillSQL) caughtUp() bool                   { return true }

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
		m.storeQuiet(m.relay)
		m.restart()
		m.commit(slow)
		m.poll()
	},
	"the newest row is late after a restart": func(m *machine, _ func()) {
		slow := m.writers[0]
		m.publish(m.writers[1], m.order("b"))
		m.begin(slow, false)
		m.insert(slow, m.order("a"))
		m.poll()
		m.storeQuiet(m.relay)
		m.restart()
		m.commit(slow)
		m.poll()
	},
	"a crash before Kafka has answered": func(m *machine, _ func()) {
		m.publish(m.writers[0], m.order("a"), m.order("b"))
		m.look(m.relay)
		m.relay.wire().arrive(1)
		m.kafka.failed = true
		m.restart()
		m.poll()
	},
	"a relay that was paused for longer than its lease": func(m *machine, _ func()) {
		if len(m.relays) < 2 {
			return
		}
		paused, other := m.relays[0], m.relays[1]
		m.publish(m.writers[0], m.order("a"))
		m.look(paused)
		paused.wire().arrive(all)
		paused.wire().answer(all)
		m.expire(paused)
		m.kafka.failed = true
		m.must(other.share(m.ctx))
		m.publish(m.writers[0], m.order("a"))
		m.look(other)
		m.settle(other)
		m.store(paused)
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

// A recorded schedule for each fault finds it, and ours passes them all.
func TestSchedules(t *testing.T) {
	rules := map[string]struct {
		make   maker
		breaks []string
	}{
		"ours": {make: newOurs},
		"watermill-sql": {newWatermillSQL, []string{
			"two writers of one aggregate", "an idle write transaction in another database", "an idle write transaction in this database",
			"a relay that was paused for longer than its lease", // it knows of no second one
		}},
		"ordered by transaction id": {ordersByXid, []string{"two writers of one aggregate"}},
		"fenced at the snapshot's xmin": {fencesAtXmin, []string{
			"an idle write transaction in another database", "an idle write transaction in this database",
		}},
		"without late rows": {skipsLateRows, []string{
			"a row commits after a later row was sent", "a prepared transaction is decided later", "a late row after a restart",
			"the newest row is late after a restart",
		}},
		"late rows only of transactions that the snapshot names": {looksNoFurther, []string{"the newest row is late after a restart"}},
		"leases without epochs":                                  {leasesNoEpochs, []string{"a relay that was paused for longer than its lease"}},
		"stored before the acknowledgement":                      {storesFirst, []string{"a crash before Kafka has answered"}},
	}
	elsewhere := postgrestest.Open(t)
	for rule, r := range rules {
		t.Run(rule, func(t *testing.T) {
			db, conns := database(t, 5)
			for name, schedule := range schedules {
				t.Run(name, func(t *testing.T) {
					probe := &recorder{TB: t}
					m := newMachine(t, db, conns[:3], r.make, conns[3:]...)
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

// The property test finds what is wrong with a variant, from a seed that is
// recorded here and with which it finds nothing wrong with ours.
func TestPropertyFindsWhatVariantsBreak(t *testing.T) {
	// No shrinking and no files: that it fails is all we want to know.
	set(t, "rapid.shrinktime", "0s")
	set(t, "rapid.nofailfile", "true")
	set(t, "rapid.checks", "1000")
	for name, v := range map[string]struct {
		make maker
		seed string
	}{
		"watermill-sql":                                          {newWatermillSQL, "142"},
		"ordered by transaction id":                              {ordersByXid, "64043"},
		"fenced at the snapshot's xmin":                          {fencesAtXmin, "742"},
		"without late rows":                                      {skipsLateRows, "52"},
		"stored before the acknowledgement":                      {storesFirst, "2017"},
		"leases without epochs":                                  {leasesNoEpochs, "245"},
		"late rows only of transactions that the snapshot names": {looksNoFurther, "175"},
	} {
		t.Run(name, func(t *testing.T) {
			set(t, "rapid.seed", v.seed)
			db, conns := database(t, 4+relaysAtOnce)
			probe, ran := &recorder{TB: t}, 0
			probe.run(func() {
				rapid.Check(probe, func(rt *rapid.T) { ran++; anySchedule(rt, db, conns, v.make) })
			})
			if !probe.failed {
				t.Errorf("%d schedules found nothing wrong", ran)
			}
			t.Logf("found by schedule %d: %s", ran, probe.said)
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
