package outbox

import (
	"context"
	"sync"
	"time"
)

// budget bounds the memory of what is handed over and not answered. A topic that
// is set aside has as much for itself, so that the others need not wait for it.
type budget struct {
	maxRows, maxSize int

	mu     sync.Mutex
	all    usage
	topics map[string]*portion
	freed  chan struct{}
}

type usage struct{ rows, size int }

func (u *usage) add(rows, size int) { u.rows, u.size = u.rows+rows, u.size+size }

// portion is what a topic has of it.
type portion struct {
	usage
	moved time.Time // when something was answered, or all had been
	aside bool
}

func newBudget(rows, size int) *budget {
	return &budget{maxRows: rows, maxSize: size, topics: map[string]*portion{}, freed: make(chan struct{}, 1)}
}

// fits says that there is room beside u. What is larger than all of it fits when
// there is nothing else.
func (b *budget) fits(u usage, rows, size int) bool {
	return u.rows == 0 || u.rows+rows <= b.maxRows && u.size+size <= b.maxSize
}

// await waits until there is room, or, false, until its patience is over.
func (b *budget) await(ctx context.Context, rows, size int, patience time.Duration) (bool, error) {
	var over <-chan time.Time
	for {
		b.mu.Lock()
		room := b.fits(b.all, rows, size)
		b.mu.Unlock()
		if room {
			return true, nil
		}
		if over == nil {
			timer := time.NewTimer(patience)
			defer timer.Stop()
			over = timer.C
		}
		select {
		case <-b.freed:
		case <-over:
			return false, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// hold takes room for a batch.
func (b *budget) hold(batch *batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.topics[batch.topic]
	if p == nil {
		p = &portion{}
		b.topics[batch.topic] = p
	}
	if p.rows == 0 {
		p.moved = time.Now()
	}
	p.add(len(batch.rows), batch.size)
	if !p.aside {
		b.all.add(len(batch.rows), batch.size)
	}
}

// free gives it back.
func (b *budget) free(batch *batch) {
	b.mu.Lock()
	p := b.topics[batch.topic]
	p.add(-len(batch.rows), -batch.size)
	p.moved = time.Now()
	if !p.aside {
		b.all.add(-len(batch.rows), -batch.size)
	}
	b.mu.Unlock()
	b.tell()
}

func (b *budget) tell() {
	select {
	case b.freed <- struct{}{}:
	default:
	}
}

// setAside gives topics room of their own that have had no answer for so long. It
// returns their names.
func (b *budget) setAside(unanswered time.Duration) (topics []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for topic, p := range b.topics {
		if !p.aside && p.rows > 0 && time.Since(p.moved) >= unanswered {
			p.aside = true
			b.all.add(-p.rows, -p.size)
			topics = append(topics, topic)
		}
	}
	return topics
}

// readmit ends that for some topics, or for all.
func (b *budget) readmit(topics ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if topics == nil {
		for topic := range b.topics {
			topics = append(topics, topic)
		}
	}
	for _, topic := range topics {
		if p := b.topics[topic]; p.aside {
			p.aside = false
			b.all.add(p.rows, p.size)
		}
	}
}

// of is what a topic has.
func (b *budget) of(topic string) usage {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.topics[topic].usage
}
