package outbox

import (
	"cmp"
	"flag"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"
)

// relaysAtOnce is how many relays a schedule has.
const relaysAtOnce = 3

// Whatever writers and relays do, in whatever order: each committed fact is
// sent, none that was rolled back is, and the facts of a key appear first in the
// order of their commits, as versions 1, 2, 3; nothing waits for a transaction that
// is open; no stored cursor steps back; and the outbox has no dead rows but those
// that were rolled back.
//
// A failure prints its seed and the shortest schedule that rapid finds.
// OUTBOX_SCHEDULES is how many schedules are run at most, OUTBOX_TIME how long new
// ones are begun, though never fewer than 300.
func TestPropertyAnyScheduleLosesNothingAndKeepsTheOrder(t *testing.T) {
	most, err := strconv.Atoi(cmp.Or(os.Getenv("OUTBOX_SCHEDULES"), "2000"))
	if err != nil {
		t.Fatalf("OUTBOX_SCHEDULES: %v", err)
	}
	long, err := time.ParseDuration(cmp.Or(os.Getenv("OUTBOX_TIME"), "2m"))
	if err != nil {
		t.Fatalf("OUTBOX_TIME: %v", err)
	}
	set(t, "rapid.checks", strconv.Itoa(most))
	db, conns := database(t, 4+relaysAtOnce)
	if _, err := db.pool.Exec(t.Context(), `ALTER TABLE outbox_p0 SET (autovacuum_enabled = false)`); err != nil {
		t.Fatal(err)
	}
	begun, ran, dead := time.Now(), 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		if ran >= 300 && time.Since(begun) > long {
			return
		}
		ran++
		dead += anySchedule(rt, db, conns, newOurs)
	})
	t.Logf("%d schedules in %v", ran, time.Since(begun).Round(time.Second))
	if got := vacuum(t, db); got > dead {
		t.Errorf("the outbox has %d dead rows, and %d were rolled back", got, dead)
	}
}

// set sets a flag until the test ends.
func set(t *testing.T, name, value string) {
	t.Helper()
	f := flag.Lookup(name)
	before := f.Value.String()
	if err := f.Value.Set(value); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Value.Set(before) })
}

// anySchedule runs a random schedule. What is drawn depends on nothing but
// earlier draws, so rapid can repeat and shorten it. It returns how many rows were
// rolled back.
func anySchedule(rt *rapid.T, db *DB, conns []*pgxpool.Conn, make maker) int {
	last := len(conns) - relaysAtOnce
	m := newMachine(rt, db, conns[:last], make, conns[last:]...)
	defer m.abandon()
	m.drain() // what a failed run left behind
	m.kafka.failed = false

	keys := []topicKey{m.order("a"), m.stock("a"), m.order("b"), m.order("c")}
	free := func() (out []topicKey) {
		for _, k := range keys {
			if !m.locked[k] {
				out = append(out, k)
			}
		}
		return out
	}
	writers := func(state func(*writer) bool) (out []*writer) {
		for _, w := range m.writers {
			if state(w) {
				out = append(out, w)
			}
		}
		return out
	}
	idle := func(w *writer) bool { return !w.open }
	open := func(w *writer) bool { return w.open }
	begun := func(w *writer) bool { return w.open && w.done == nil }

	oneOf := func(state func(*writer) bool) *writer {
		list := writers(state)
		return list[rapid.IntRange(0, len(list)-1).Draw(rt, "writer")]
	}
	one := func(list []sender) sender { return list[rapid.IntRange(0, len(list)-1).Draw(rt, "relay")] }
	ups := func() (out []sender) {
		for _, r := range m.relays {
			if r.up() {
				out = append(out, r)
			}
		}
		return out
	}
	running := func() bool { return len(ups()) > 0 }
	oneUp := func() sender { return one(ups()) }
	some := func() []topicKey {
		return rapid.SliceOfN(rapid.SampledFrom(free()), 1, 4).Draw(rt, "keys")
	}
	steps := map[string]struct {
		possible func() bool
		do       func()
	}{
		"begin": {
			func() bool { return len(writers(idle)) > 0 },
			func() { m.begin(oneOf(idle), rapid.Bool().Draw(rt, "early")) },
		},
		"insert": {
			func() bool { return len(writers(begun)) > 0 && len(free()) > 0 },
			func() { m.insert(oneOf(begun), some()...) },
		},
		"insert in a savepoint": {
			func() bool { return len(writers(begun)) > 0 && len(free()) > 0 },
			func() { m.insertInSavepoint(oneOf(begun), some()...) },
		},
		"insert and roll back to savepoint": {
			func() bool { return len(writers(begun)) > 0 && len(free()) > 0 },
			func() { m.insertAndRollBackTo(oneOf(begun), some()...) },
		},
		"commit":   {func() bool { return len(writers(open)) > 0 }, func() { m.commit(oneOf(open)) }},
		"rollback": {func() bool { return len(writers(open)) > 0 }, func() { m.rollback(oneOf(open)) }},
		"prepare": {
			func() bool { return m.twoPhase && len(writers(open)) > 0 && len(m.prepared) < 3 },
			func() { m.prepare(oneOf(open)) },
		},
		"decide": {
			func() bool { return len(m.prepared) > 0 },
			func() {
				m.decide(m.prepared[rapid.IntRange(0, len(m.prepared)-1).Draw(rt, "prepared")], rapid.Bool().Draw(rt, "commit"))
			},
		},
		"poll":  {running, func() { m.look(oneUp()) }},
		"chunk": {running, func() { oneUp().chunk(rapid.IntRange(1, 4).Draw(rt, "rows")) }},
		"room":  {running, func() { oneUp().room(rapid.IntRange(1, 12).Draw(rt, "rows")) }},
		"arrive": {running, func() {
			w := oneUp().wire()
			if keys := w.keys(false); len(keys) > 0 {
				w.arrive(rapid.IntRange(1, 3).Draw(rt, "messages"), rapid.SampledFrom(keys).Draw(rt, "key"))
			}
		}},
		"answer": {running, func() {
			w := oneUp().wire()
			if keys := w.keys(true); len(keys) > 0 {
				w.answer(rapid.IntRange(1, 3).Draw(rt, "messages"), rapid.SampledFrom(keys).Draw(rt, "key"))
			}
		}},
		"send all":    {running, func() { r := oneUp(); m.look(r); r.wire().arrive(all); r.wire().answer(all) }},
		"store":       {running, func() { m.store(oneUp()) }},
		"store quiet": {running, func() { m.storeQuiet(oneUp()) }},
		"share":       {always, func() { m.must(one(m.relays).share(m.ctx)); m.kafka.failed = true }},
		// Paused for longer than its lease, and unaware of it; sometimes another one takes
		// over at once and goes on.
		"pause and take over": {running, func() {
			paused, other := oneUp(), one(m.relays)
			m.look(paused)
			paused.wire().arrive(all)
			paused.wire().answer(all)
			m.expire(paused)
			m.kafka.failed = true
			if other != paused {
				m.must(other.share(m.ctx))
				m.look(other)
				m.settle(other)
			}
		}},
		"pause": {running, func() { m.expire(oneUp()); m.kafka.failed = true }},
		"kill": {running, func() {
			m.must(oneUp().kill(m.ctx, rapid.Bool().Draw(rt, "the connection too")))
			m.kafka.failed = true
		}},
		"leave":              {running, func() { m.must(oneUp().leave(m.ctx)); m.kafka.failed = true }},
		"everything arrives": {running, func() { m.arriveAll() }},
	}
	// Often what makes rows; the others now and then.
	names := []string{
		"begin", "begin", "insert", "insert", "insert", "commit", "commit", "poll", "poll", "rollback", "insert in a savepoint",
		"insert and roll back to savepoint", "prepare", "decide", "chunk", "room", "arrive", "arrive", "answer", "answer", "send all", "store", "store",
		"store quiet", "share", "share", "pause", "pause and take over", "pause and take over", "kill", "leave", "everything arrives",
	}
	for range rapid.IntRange(1, 60).Draw(rt, "length") {
		var possible []string
		for _, name := range names {
			if steps[name].possible() {
				possible = append(possible, name)
			}
		}
		steps[rapid.SampledFrom(possible).Draw(rt, "step")].do()
	}
	m.drain()
	return m.rolledBack
}

func always() bool { return true }
