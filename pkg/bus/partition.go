package bus

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// How much of a partition waits in memory: fetching it pauses above high and
// resumes below low. A single poll may go past it.
const (
	queueHigh = 1000 // records
	queueLow  = 200
	bytesHigh = 4 << 20
	bytesLow  = 1 << 20
)

// partition hands out the messages of one partition, one at a time.
type partition struct {
	client *kgo.Client
	tp     topicPartition
	to     *subscription
	again  time.Duration // pause after a Nack

	ctx     context.Context // of the messages
	cancel  context.CancelFunc
	halting context.Context // no new messages
	halt    context.CancelFunc
	given   chan struct{} // given up: a verdict is not waited for any more
	ended   chan struct{}
	wake    chan struct{}

	mu        sync.Mutex
	queue     []*kgo.Record
	bytes     int
	paused    bool
	abandoned bool // no longer ours to commit
}

func newPartition(client *kgo.Client, tp topicPartition, to *subscription, again time.Duration) *partition {
	p := &partition{client: client, tp: tp, to: to, again: again, given: make(chan struct{}), ended: make(chan struct{}), wake: make(chan struct{}, 1)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.halting, p.halt = context.WithCancel(context.Background())
	return p
}

func (p *partition) add(records []*kgo.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = append(p.queue, records...)
	for _, r := range records {
		p.bytes += len(r.Value)
	}
	if !p.paused && (len(p.queue) > queueHigh || p.bytes > bytesHigh) {
		p.paused = true
		p.client.PauseFetchPartitions(map[string][]int32{p.tp.topic: {p.tp.partition}})
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *partition) next() *kgo.Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		return nil
	}
	r := p.queue[0]
	p.queue[0] = nil
	p.queue = p.queue[1:]
	p.bytes -= len(r.Value)
	if p.paused && len(p.queue) < queueLow && p.bytes < bytesLow {
		p.resume()
	}
	return r
}

// resume is called with the lock held.
func (p *partition) resume() {
	p.paused = false
	p.client.ResumeFetchPartitions(map[string][]int32{p.tp.topic: {p.tp.partition}})
}

func (p *partition) run() {
	defer close(p.ended)
	defer p.cancel()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.queue = nil
		if p.paused { // the client would remember it if the partition came back to us
			p.resume()
		}
	}()
	select {
	case <-p.to.set:
	case <-p.halting.Done():
		return
	}
	for p.halting.Err() == nil {
		r := p.next()
		if r == nil {
			select {
			case <-p.wake:
			case <-p.halting.Done():
			}
			continue
		}
		if !p.deliver(r) {
			return
		}
		p.mark(r)
	}
}

// deliver hands a record out until it is acked. It returns false when the
// partition ends before that. Once handed out, the verdict is waited for also
// when the partition ends, as long as it is ours.
func (p *partition) deliver(r *kgo.Record) bool {
	for p.halting.Err() == nil {
		m := newMessage(r)
		ctx, cancel := context.WithCancel(p.ctx)
		m.SetContext(valueContext{ctx, p.to.ctx})
		select {
		case p.to.out <- m:
		case <-p.halting.Done():
			cancel()
			return false
		}
		select {
		case <-m.Acked():
			cancel()
			return true
		case <-m.Nacked():
			cancel()
		case <-p.given:
			cancel()
			return false
		}
		pause := time.NewTimer(p.again)
		select {
		case <-pause.C:
		case <-p.halting.Done():
		}
		pause.Stop()
	}
	return false
}

// mark lets the offset behind a record be committed, while it is ours to do so.
func (p *partition) mark(r *kgo.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.abandoned {
		p.client.MarkCommitRecords(r)
	}
}

// abandon ends the partition without waiting for it. It returns whether there
// was something left to wait for.
func (p *partition) abandon() bool {
	p.mu.Lock()
	first := !p.abandoned
	p.abandoned = true
	p.mu.Unlock()
	p.halt()
	p.cancel()
	if first {
		close(p.given)
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// valueContext ends with the partition and has the values of the subscription.
type valueContext struct {
	context.Context
	values context.Context
}

// Value implements context.Context.
func (c valueContext) Value(key any) any {
	if v := c.Context.Value(key); v != nil {
		return v
	}
	return c.values.Value(key)
}
