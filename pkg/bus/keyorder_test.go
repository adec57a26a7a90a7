package bus

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"
)

// Whatever is fetched, handed out, finished and taken away, in whatever order:
// of a key at most one record is out and they go out in order, whatever may go
// out does, and an offset is committed exactly when all before it are done. A
// failure prints its seed and the shortest schedule that rapid finds.
func TestPropertyTheOrderOfKeysInAPartition(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		m := &partitionModel{T: rt, last: map[string]int64{}}
		rt.Repeat(map[string]func(*rapid.T){
			"":       m.check,
			"fetch":  m.fetch,
			"take":   m.take,
			"finish": m.finish,
			"revoke": m.revoke,
		})
		m.drain()
	})
}

// partitionModel is a partition of which everything is known.
type partitionModel struct {
	*rapid.T
	log       []string // the key of each offset; "" is none
	fetched   int64    // offsets below it were fetched by this owner
	committed int64

	order keyOrder
	out   []*entry
	taken map[int64]bool // by this owner
	done  map[int64]bool
	last  map[string]int64 // the newest offset of each key that was ever taken for the first time
}

func (m *partitionModel) fetch(t *rapid.T) {
	if m.taken == nil {
		m.taken, m.done = map[int64]bool{}, map[int64]bool{}
	}
	n := rapid.IntRange(1, 5).Draw(t, "records")
	for int64(len(m.log)) < m.fetched+int64(n) {
		m.log = append(m.log, rapid.SampledFrom([]string{"", "a", "b", "c", "d"}).Draw(t, "key"))
	}
	var records []*kgo.Record
	for ; n > 0; n-- {
		r := &kgo.Record{Offset: m.fetched, Value: []byte{1}}
		if key := m.log[m.fetched]; key != "" {
			r.Key = []byte(key)
		}
		records = append(records, r)
		m.fetched++
	}
	m.order.add(records)
}

// free is the offset that may go out for a key, -1 when none may.
func (m *partitionModel) free(key string) int64 {
	for at := m.committed; at < m.fetched; at++ {
		if m.log[at] == key && !m.done[at] {
			if m.taken[at] {
				return -1
			}
			return at
		}
	}
	return -1
}

func (m *partitionModel) take(t *rapid.T) {
	e := m.order.take()
	if e == nil {
		for _, key := range m.log {
			if at := m.free(key); at >= 0 {
				t.Fatalf("offset %d of key %q is held back", at, key)
			}
		}
		t.Skip("nothing to take")
	}
	key := m.log[e.offset]
	if want := m.free(key); e.offset != want {
		t.Fatalf("offset %d of key %q went out, want %d", e.offset, key, want)
	}
	m.taken[e.offset] = true
	m.out = append(m.out, e)
	if before, ok := m.last[key]; !ok || e.offset > before {
		for at := before + 1; ok && at < e.offset; at++ {
			if m.log[at] == key {
				t.Fatalf("key %q: %d appears before %d", key, e.offset, at)
			}
		}
		m.last[key] = e.offset
	}
}

func (m *partitionModel) finish(t *rapid.T) {
	if len(m.out) == 0 {
		t.Skip("nothing is out")
	}
	i := rapid.IntRange(0, len(m.out)-1).Draw(t, "which")
	e := m.out[i]
	m.out = slices.Delete(m.out, i, i+1)
	m.done[e.offset] = true
	want := m.committed
	for m.done[want] {
		want++
	}
	switch upTo := m.order.done(e); {
	case upTo != nil && upTo.offset+1 != want, upTo == nil && want != m.committed:
		t.Fatalf("offset %d done: committed up to %v, want %d", e.offset, upTo, want)
	}
	m.committed = want
}

// revoke hands the partition to another owner, who goes on at what is committed.
func (m *partitionModel) revoke(*rapid.T) {
	m.order, m.out, m.taken, m.done = keyOrder{}, nil, map[int64]bool{}, map[int64]bool{}
	m.fetched = m.committed
}

func (m *partitionModel) check(t *rapid.T) {
	seen, queued := map[line]bool{}, 0
	for _, e := range m.out {
		if seen[e.line] {
			t.Fatalf("two records of key %q are out", e.line.key)
		}
		seen[e.line] = true
	}
	for at := m.committed; at < m.fetched; at++ {
		if !m.taken[at] {
			queued++
		}
	}
	if m.order.queued != queued || m.order.bytes != queued {
		t.Fatalf("%d records of %d bytes are queued, want %d", m.order.queued, m.order.bytes, queued)
	}
}

func (m *partitionModel) drain() {
	for m.committed < m.fetched {
		if e := m.order.take(); e != nil {
			m.taken[e.offset] = true
			m.out = append(m.out, e)
			continue
		}
		if len(m.out) == 0 {
			m.Fatal("nothing goes out, and not all is done")
		}
		m.finish(m.T)
	}
	if len(m.order.window)+len(m.order.ready)+len(m.order.last) > 0 {
		m.Fatal("something is kept though all is done")
	}
}

// How much a record costs the order alone.
func BenchmarkKeyOrder(b *testing.B) {
	records := make([]*kgo.Record, 1000)
	for i := range records {
		records[i] = &kgo.Record{Key: fmt.Append(nil, "key", i%300), Offset: int64(i)}
	}
	var k keyOrder
	for b.Loop() {
		k.add(records)
		for e := k.take(); e != nil; e = k.take() {
			k.done(e)
		}
	}
}
