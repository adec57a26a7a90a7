package outbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/cartwheel-shop/cartwheel/pkg/fault"
)

// row is an outbox row to send.
type row struct {
	Message
	shard int16
	seq   int64
}

// batch is rows of one topic that are handed over together.
type batch struct {
	no    int64 // in the order of handing over
	topic string
	rows  []row
	size  int
	left  atomic.Int64 // not answered
	done  func(*batch)
	gone  func() bool // nobody waits for it: its rows are read again

	mu      sync.Mutex
	refused []parked
}

// parked is a row that is not sent, and why.
type parked struct {
	row
	topic, reason string
}

// behindRefused is the reason of rows that were not even tried.
const behindRefused = "an earlier fact of its key is parked"

func (b *batch) answer() {
	if b.left.Add(-1) == 0 {
		b.done(b)
	}
}

func (b *batch) park(i int, reason string) {
	b.mu.Lock()
	b.refused = append(b.refused, parked{b.rows[i], b.topic, reason})
	b.mu.Unlock()
	b.answer()
}

// item is a row of a batch.
type item struct {
	*batch
	i int
}

// lane sends the rows of one topic in order, and never gives up on one: what Kafka
// does not take now is sent again, before anything that came after it. So a topic
// in trouble holds up no other.
type lane struct {
	topic string
	pub   message.Publisher
	async AsyncPublisher // nil: pub can take one batch at a time
	log   *slog.Logger
	ctx   context.Context // ends when nobody waits for anything

	figures *instruments
	faults  *fault.Points
	running context.Context // ends before ctx

	order sync.Mutex // held while a batch is handed to async

	mu      sync.Mutex
	under   int               // rows that async has not answered
	quiet   *sync.Cond        // under is 0
	failed  []item            // answered with an error
	queue   []*batch          // waits for the worker
	working bool              // the worker has the lane
	blocked map[string]string // keys of which nothing is sent, and why
	told    time.Time         // that Kafka does not take it
}

func newLane(ctx context.Context, topic string, pub message.Publisher, log *slog.Logger) *lane {
	l := &lane{topic: topic, pub: pub, log: log, ctx: ctx, blocked: map[string]string{}, figures: &instruments{}}
	l.quiet = sync.NewCond(&l.mu)
	l.async, _ = pub.(AsyncPublisher)
	return l
}

const (
	workRows  = 1000 // that the worker sends at a time
	againMin  = 100 * time.Millisecond
	againMax  = time.Second
	tellEvery = 10 * time.Second
)

// hand takes a batch. It does not wait for Kafka.
func (l *lane) hand(b *batch) {
	l.order.Lock()
	defer l.order.Unlock()
	l.mu.Lock()
	if l.async == nil || l.working || len(l.failed) > 0 || len(l.blocked) > 0 {
		l.queue = append(l.queue, b)
		l.work()
		l.mu.Unlock()
		return
	}
	l.under += len(b.rows)
	l.mu.Unlock()
	messages := make([]Message, len(b.rows))
	for i := range b.rows {
		messages[i] = b.rows[i].Message
	}
	var mu sync.Mutex
	over := false     // it has returned
	var failed []item // before it did
	answered := func(i int, err error) {
		it := item{b, i}
		if l.faults != nil && err == nil {
			err = l.at(fault.ProduceAfter, it.rows[it.i])
		}
		if err == nil {
			it.answer()
			l.answered()
			return
		}
		mu.Lock()
		if !over {
			failed = append(failed, it)
			mu.Unlock()
			return
		}
		mu.Unlock()
		// Not while a later batch is handed over, which would not know of it.
		l.order.Lock()
		defer l.order.Unlock()
		l.answered(it)
	}
	if err := l.before(b.rows); err != nil {
		for i := range b.rows {
			answered(i, err)
		}
	} else {
		l.async.PublishAsync(l.topic, messages, answered)
	}
	mu.Lock()
	over = true
	mu.Unlock()
	for _, it := range failed {
		l.answered(it)
	}
}

// answered counts an answer, of a row that failed or of one that did not.
func (l *lane) answered(failed ...item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = append(l.failed, failed...)
	if l.under--; l.under == 0 {
		l.quiet.Broadcast()
	}
	if len(l.failed) > 0 {
		l.work()
	}
}

func (l *lane) before(rows []row) error {
	if l.faults == nil {
		return nil
	}
	return l.at(fault.ProduceBefore, rows...)
}

// at is a point where things may go wrong on purpose. It lets go when the relay is
// told to stop.
func (l *lane) at(point fault.Point, rows ...row) error {
	keys := make([]string, len(rows))
	for i, o := range rows {
		keys[i] = string(o.Key)
	}
	return l.faults.At(l.running, point, keys...)
}

// work starts the worker; l.mu is held.
func (l *lane) work() {
	if !l.working && l.ctx.Err() == nil {
		l.working = true
		go l.run()
	}
}

// run sends what failed, and then what came meanwhile, until nothing is left.
func (l *lane) run() {
	for {
		l.mu.Lock()
		for l.under > 0 {
			l.quiet.Wait()
		}
		items := l.failed
		l.failed = nil
		slices.SortFunc(items, func(a, b item) int { return cmp.Or(cmp.Compare(a.no, b.no), cmp.Compare(a.i, b.i)) })
		for size := 0; len(l.queue) > 0 && size < chunkSize && len(items) < workRows; l.queue = l.queue[1:] {
			for i := range l.queue[0].rows {
				items = append(items, item{l.queue[0], i})
			}
			size += l.queue[0].size
		}
		if len(items) == 0 || l.ctx.Err() != nil {
			l.working = false
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		l.insist(items)
	}
}

// insist returns when each item is sent or parked, or when the relay has ended.
func (l *lane) insist(items []item) {
	pause := againMin
	for len(items) > 0 && l.ctx.Err() == nil {
		items = slices.DeleteFunc(items, l.skip)
		errs := l.sendFaulty(items)
		var again []item
		refused, failed := -1, error(nil)
		for i, err := range errs {
			switch {
			case err == nil:
				items[i].answer()
				continue
			case errors.Is(err, ErrRefused) && refused < 0:
				refused = len(again)
			case failed == nil:
				failed = err
			}
			again = append(again, items[i])
		}
		switch {
		case refused >= 0 && len(items) == 1:
			l.refuse(items[0], errs[0])
			return
		case refused >= 0:
			// Kafka refuses a batch as a whole: alone, most of them are fine.
			l.insist(again[:refused])
			l.insist(again[refused : refused+1])
			again = again[refused+1:]
		case failed != nil:
			l.tell(len(again), failed)
			l.figures.again(l.ctx, l.topic)
			wait(l.ctx, pause)
			pause = min(2*pause, againMax)
		}
		items = again
	}
}

// skip parks an item whose key is blocked, and drops one that nobody waits for.
func (l *lane) skip(it item) bool {
	if it.gone() {
		it.answer()
		return true
	}
	l.mu.Lock()
	reason, blocked := l.blocked[string(it.rows[it.i].Key)]
	l.mu.Unlock()
	if blocked {
		it.park(it.i, reason)
	}
	return blocked
}

// refuse blocks the key, so that nothing of it is sent before a person decided.
func (l *lane) refuse(it item, err error) {
	l.block(string(it.rows[it.i].Key))
	it.park(it.i, err.Error())
}

func (l *lane) block(key string) {
	l.mu.Lock()
	l.blocked[key] = behindRefused
	l.mu.Unlock()
}

// blockOnly blocks these keys of a set of shards and frees the others.
func (l *lane) blockOnly(keys map[string]bool, shards shardSet) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key := range l.blocked {
		if shards[Shard(key)] && !keys[key] {
			delete(l.blocked, key)
		}
	}
	for key := range keys {
		l.blocked[key] = behindRefused
	}
}

// sendFaulty is send between its two points.
func (l *lane) sendFaulty(items []item) []error {
	if l.faults == nil || len(items) == 0 {
		return l.send(items)
	}
	rows := make([]row, len(items))
	for i, it := range items {
		rows[i] = it.rows[it.i]
	}
	errs := make([]error, len(items))
	err := l.before(rows)
	if err == nil {
		errs = l.send(items)
		err = l.at(fault.ProduceAfter, rows...)
	}
	for i := range errs {
		errs[i] = cmp.Or(errs[i], err)
	}
	return errs
}

// send sends items once and waits for the answers.
func (l *lane) send(items []item) []error {
	errs := make([]error, len(items))
	if l.async == nil {
		messages := make([]*message.Message, len(items))
		for i, it := range items {
			messages[i] = it.rows[it.i].watermill()
		}
		if len(items) > 0 {
			if err := l.pub.Publish(l.topic, messages...); err != nil {
				for i := range errs {
					errs[i] = err
				}
			}
		}
		return errs
	}
	messages := make([]Message, len(items))
	for i, it := range items {
		messages[i] = it.rows[it.i].Message
	}
	var wg sync.WaitGroup
	wg.Add(len(items))
	l.async.PublishAsync(l.topic, messages, func(i int, err error) {
		errs[i] = err
		wg.Done()
	})
	wg.Wait()
	return errs
}

// tell says rarely that the topic is in trouble.
func (l *lane) tell(rows int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.told) > tellEvery {
		l.told = now
		l.log.ErrorContext(l.ctx, "Kafka does not take facts; sending them again until it does", "topic", l.topic, "facts", rows, "error", fmt.Sprint(err))
	}
}
