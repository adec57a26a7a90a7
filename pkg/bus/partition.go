package bus

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// How much of a partition is in memory: fetching it pauses above high and
// resumes below low. A single poll may go past it.
const (
	queueHigh = 10_000 // records that were not handed out yet
	queueLow  = 5_000
	bytesHigh = 4 << 20 // of them
	bytesLow  = 2 << 20
	// ahead is how many records may be behind one that is not done: they were
	// handled, mostly, and would come again after a crash.
	ahead = 20_000
)

// partition hands out the messages of one partition: several at a time, but of a
// key one after the other. Each message that is out has a lane, a goroutine that
// waits for its verdict; lanes are made when they are needed.
type partition struct {
	client *kgo.Client
	tp     topicPartition
	to     *subscription
	again  time.Duration // pause after a Nack
	limit  int           // of lanes

	ctx     context.Context // of the messages
	cancel  context.CancelFunc
	halting chan struct{} // no new messages
	given   chan struct{} // given up: a verdict is not waited for any more
	ended   chan struct{}
	running sync.WaitGroup // lanes

	mu        sync.Mutex
	work      sync.Cond
	order     keyOrder
	lanes     int
	idle      int
	holds     int // messages that wait for something unavailable: no others are handed out
	open      bool
	paused    bool
	halted    bool
	abandoned bool // no longer ours to commit
}

func newPartition(client *kgo.Client, tp topicPartition, to *subscription, again time.Duration, limit int) *partition {
	p := &partition{
		client: client, tp: tp, to: to, again: again, limit: limit,
		halting: make(chan struct{}), given: make(chan struct{}), ended: make(chan struct{}),
	}
	p.work.L = &p.mu
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

func (p *partition) add(records []*kgo.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.halted {
		return // they come again, to whoever reads the partition next
	}
	p.order.add(records)
	if k := &p.order; !p.paused && (k.queued > queueHigh || k.bytes > bytesHigh || len(k.window) > ahead) {
		p.paused = true
		p.client.PauseFetchPartitions(map[string][]int32{p.tp.topic: {p.tp.partition}})
	}
	p.staff()
}

// run lives as long as the partition is ours.
func (p *partition) run() {
	defer close(p.ended)
	defer p.cancel()
	select {
	case <-p.to.set:
		p.mu.Lock()
		p.open = true
		p.staff()
		p.mu.Unlock()
		<-p.halting
	case <-p.halting:
	}
	p.running.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.order = keyOrder{}
	if p.paused { // the client would remember it if the partition came back to us
		p.resume()
	}
}

// resume is called with the lock held.
func (p *partition) resume() {
	p.paused = false
	p.client.ResumeFetchPartitions(map[string][]int32{p.tp.topic: {p.tp.partition}})
}

// staff sees to it that somebody takes what is ready. Whoever takes a record
// calls it again, so that one at a time is enough. The lock is held.
func (p *partition) staff() {
	switch {
	case !p.open || p.halted || p.holds > 0 || len(p.order.ready) == 0:
	case p.idle > 0:
		p.work.Signal()
	case p.lanes < p.limit:
		p.lanes++
		p.running.Go(p.lane)
	}
}

// lane hands out one record after the other.
func (p *partition) lane() {
	for e := p.next(nil); e != nil && p.deliver(e.record); {
		e = p.next(e)
	}
}

// next ends a record, if there is one, and waits for another. It returns nil
// when the partition ends.
func (p *partition) next(done *entry) *entry {
	p.mu.Lock()
	defer p.mu.Unlock()
	if done != nil {
		if e := p.order.done(done); e != nil {
			p.mark(e)
		}
	}
	for !p.halted {
		if p.holds == 0 {
			if e := p.order.take(); e != nil {
				if k := &p.order; p.paused && k.queued < queueLow && k.bytes < bytesLow && len(k.window) < ahead {
					p.resume()
				}
				p.staff()
				return e
			}
		}
		p.idle++
		p.work.Wait()
		p.idle--
	}
	return nil
}

// deliver hands a record out until it is acked. It returns false when the
// partition ends before that. Once handed out, the verdict is waited for also
// when the partition ends, as long as it is ours.
func (p *partition) deliver(r *kgo.Record) bool {
	for {
		m := newMessage(r)
		ctx, cancel := context.WithCancel(p.ctx)
		m.SetContext(messageContext{ctx, p})
		select {
		case p.to.out <- m:
		case <-p.halting:
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
		case <-p.halting:
			pause.Stop()
			return false
		}
	}
}

// hold keeps further messages of the partition back, until as many calls with a
// negative change have come.
func (p *partition) hold(change int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.holds += change
	p.staff()
}

// mark lets the offset behind a record be committed, while it is ours to do so.
// The lock is held.
func (p *partition) mark(e *entry) {
	if !p.abandoned {
		p.client.MarkCommitRecords(&kgo.Record{Topic: p.tp.topic, Partition: p.tp.partition, Offset: e.offset, LeaderEpoch: e.epoch})
	}
}

// halt ends the handing out; what is out may finish.
func (p *partition) halt() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.halted {
		p.halted = true
		close(p.halting)
		p.work.Broadcast()
	}
}

// abandon ends the partition without waiting for it. It returns whether there
// was something left to wait for.
func (p *partition) abandon() bool {
	p.halt()
	p.cancel()
	p.mu.Lock()
	if !p.abandoned {
		p.abandoned = true
		close(p.given)
	}
	p.mu.Unlock()
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// messageContext ends with the partition, has the values of the subscription,
// and knows the partition.
type messageContext struct {
	context.Context
	from *partition
}

type partitionKey struct{}

// Value implements context.Context.
func (c messageContext) Value(key any) any {
	if _, ok := key.(partitionKey); ok {
		return c.from
	}
	if v := c.Context.Value(key); v != nil {
		return v
	}
	return c.from.to.ctx.Value(key)
}

// hold keeps further messages of the partition of a message back, where its
// driver can, until release is called.
func hold(ctx context.Context) (release func()) {
	p, ok := ctx.Value(partitionKey{}).(*partition)
	if !ok {
		return func() {}
	}
	p.hold(1)
	return func() { p.hold(-1) }
}
