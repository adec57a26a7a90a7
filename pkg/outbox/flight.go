package outbox

import "sync"

// flight is the polls of which not all rows are answered. Polls run ahead on a
// cursor in memory; the stored one follows in their order, each only when all of
// its rows and of those before are answered.
type flight struct {
	mu       sync.Mutex
	entries  []*entry // the oldest first
	settled  settled
	progress chan struct{} // there is something to store
}

// entry is a poll.
type entry struct {
	left    int  // batches that are not answered, and topics that are set aside
	closed  bool // all rows were handed over
	after   [Shards]position
	moved   shardSet
	refused []parked
}

// settled is what can be stored.
type settled struct {
	positions [Shards]position
	moved     shardSet // of which rows were sent since they were stored
	parked    []parked
}

func newFlight(c *cursor) *flight {
	return &flight{settled: settled{positions: c.shards}, progress: make(chan struct{}, 1)}
}

// mostEntries bounds the memory of polls that wait for answers.
const mostEntries = 64

// begin adds a poll. When many wait, it is added to the last one.
func (f *flight) begin() *entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.entries); n >= mostEntries {
		f.entries[n-1].closed = false
		return f.entries[n-1]
	}
	e := &entry{}
	f.entries = append(f.entries, e)
	return e
}

func (f *flight) add(e *entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e.left++
}

// end says that e is complete, and where it leaves the cursor.
func (f *flight) end(e *entry, c *cursor) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e.closed, e.after = true, c.shards
	f.settle()
}

// readmitted is called when a topic that was set aside in e has caught up.
func (f *flight) readmitted(e *entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e.left--
	f.settle()
}

// answered is called when a batch of e has all its answers.
func (f *flight) answered(e *entry, b *batch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e.left--
	for i := range b.rows {
		e.moved[b.rows[i].shard] = true
	}
	e.refused = append(e.refused, b.refused...)
	f.settle()
}

func (f *flight) settle() {
	for len(f.entries) > 0 && f.entries[0].closed && f.entries[0].left == 0 {
		e := f.entries[0]
		f.entries = f.entries[1:]
		f.settled.positions = e.after
		for i, moved := range e.moved {
			f.settled.moved[i] = f.settled.moved[i] || moved
		}
		f.settled.parked = append(f.settled.parked, e.refused...)
	}
	select {
	case f.progress <- struct{}{}:
	default:
	}
}

// touch has the positions of shards stored though nothing was sent of them.
func (f *flight) touch(shards shardSet) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, is := range shards {
		f.settled.moved[i] = f.settled.moved[i] || is
	}
}

// take returns what can be stored and counts it as stored.
func (f *flight) take() settled {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.settled
	f.settled.moved, f.settled.parked = shardSet{}, nil
	return s
}

// empty says that everything is answered.
func (f *flight) empty() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.entries) == 0
}
