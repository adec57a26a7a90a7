package outbox

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"
)

// Whatever writers and the relay do, in whatever order: each committed fact is
// sent, none that was rolled back is, and the facts of a key appear first in the
// order of their commits, as versions 1, 2, 3.
//
// A failure prints its seed and the shortest schedule that rapid finds. For more
// than the usual hundred schedules: go test -run Property -rapid.checks=10000
func TestPropertyAnyScheduleLosesNothingAndKeepsTheOrder(t *testing.T) {
	db, conns := database(t, 5)
	rapid.Check(t, func(rt *rapid.T) { anySchedule(rt, db, conns, newOurs) })
}

// anySchedule runs a random schedule. What is drawn depends on nothing but
// earlier draws, so rapid can repeat and shorten it.
func anySchedule(rt *rapid.T, db *DB, conns []*pgxpool.Conn, make func(*DB, *kafka, *pgxpool.Conn) sender) {
	last := len(conns) - 1
	m := newMachine(rt, db, conns[:last], make, conns[last])
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

	one := func(state func(*writer) bool) *writer {
		list := writers(state)
		return list[rapid.IntRange(0, len(list)-1).Draw(rt, "writer")]
	}
	some := func() []topicKey {
		return rapid.SliceOfN(rapid.SampledFrom(free()), 1, 4).Draw(rt, "keys")
	}
	forgetful := false
	steps := map[string]struct {
		possible func() bool
		do       func()
	}{
		"begin": {
			func() bool { return len(writers(idle)) > 0 },
			func() { m.begin(one(idle), rapid.Bool().Draw(rt, "early")) },
		},
		"insert": {
			func() bool { return len(writers(begun)) > 0 && len(free()) > 0 },
			func() { m.insert(one(begun), some()...) },
		},
		"insert in a savepoint": {
			func() bool { return len(writers(begun)) > 0 && len(free()) > 0 },
			func() { m.insertInSavepoint(one(begun), some()...) },
		},
		"insert and roll back to savepoint": {
			func() bool { return len(writers(begun)) > 0 && len(free()) > 0 },
			func() { m.insertAndRollBackTo(one(begun), some()...) },
		},
		"commit":   {func() bool { return len(writers(open)) > 0 }, func() { m.commit(one(open)) }},
		"rollback": {func() bool { return len(writers(open)) > 0 }, func() { m.rollback(one(open)) }},
		"prepare": {
			func() bool { return m.twoPhase && len(writers(open)) > 0 && len(m.prepared) < 3 },
			func() { m.prepare(one(open)) },
		},
		"decide": {
			func() bool { return len(m.prepared) > 0 },
			func() {
				m.decide(m.prepared[rapid.IntRange(0, len(m.prepared)-1).Draw(rt, "prepared")], rapid.Bool().Draw(rt, "commit"))
			},
		},
		"poll":  {always, func() { m.poll() }},
		"chunk": {always, func() { m.relay.chunk(rapid.IntRange(1, 4).Draw(rt, "rows")) }},
		"poll and crash": {always, func() {
			m.kafka.failIn, m.kafka.after = rapid.IntRange(1, 3).Draw(rt, "publish"), rapid.Bool().Draw(rt, "after")
			m.poll()
			m.kafka.heal()
		}},
		"note": {always, func() {
			late := !rapid.Bool().Draw(rt, "always")
			m.relay.note(!late)
			forgetful = forgetful || late
		}},
		"restart": {always, func() {
			m.relay.restart()
			m.kafka.failed = m.kafka.failed || forgetful // what was not noted may be sent twice
		}},
		"note quiet shards": {always, func() { m.must(m.relay.noteQuiet(m.ctx)) }},
	}
	// Often what makes rows; the others now and then.
	names := []string{
		"begin", "begin", "insert", "insert", "insert", "commit", "commit", "poll", "poll", "rollback", "insert in a savepoint",
		"insert and roll back to savepoint", "prepare", "decide", "chunk", "note", "poll and crash", "restart", "note quiet shards",
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
	m.verify()
}

func always() bool { return true }
