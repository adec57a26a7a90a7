package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/fault"
	"github.com/cartwheel-shop/cartwheel/pkg/inbox"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
)

// batch is a consumer that takes many events at once. It bypasses Watermill's
// router, whose goroutine for each message costs more than the message, and
// its drivers, which hand out one message at a time: it reads with franz-go
// whatever Config.Driver says.
type batch struct {
	db     *outbox.DB
	max    int
	all    bool                               // events of unknown types too
	open   func(events.Envelope) (any, error) // decodes and upcasts the body
	handle func(context.Context, outbox.Tx, []item) error
}

const (
	batchBytes = 64 << 10
	batchWait  = 100 * time.Millisecond
)

// item is a record with its event, as far as that could be decoded.
type item struct {
	record  *kgo.Record
	of      *tenure
	env     events.Envelope
	body    any
	verdict verdict
	err     error // why it could not: a *failure
}

// batches is the member of the group that runs them. One goroutine polls and
// decodes, a batch ahead of the other, which handles them; the client calls
// assigned, revoked and lost from a third.
type batches struct {
	*router
	client  *kgo.Client
	commits *committer

	mu     sync.Mutex
	owned  map[topicPartition]*tenure
	flight *flight
}

// tenure is the time from a partition's coming to us until its going. Records that
// were polled in one are not handled in another: somebody else may have been there
// in between.
type tenure struct {
	leaving bool // nothing more of it is begun
	over    bool // and nothing marked
}

func (t *tenure) finish() { t.leaving, t.over = true, true }

// flight is a batch that is being handled.
type flight struct {
	parts map[topicPartition]bool
	end   context.CancelFunc
	done  chan struct{}
}

func (r *router) runBatches(ctx context.Context) error {
	b := &batches{router: r, owned: map[topicPartition]*tenure{}}
	trouble, err := newKafkaTrouble(r.cfg, r.log)
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(groupOptions(r.cfg, r.group,
		kgo.ConsumeTopics(append([]string{RedriveTopic(r.group)}, r.consumer.topics...)...),
		kgo.OnPartitionsAssigned(b.assigned), kgo.OnPartitionsRevoked(b.revoked), kgo.OnPartitionsLost(b.lost),
		// Whoever takes batches is paid for waiting a moment until there is one.
		kgo.FetchMinBytes(batchBytes), kgo.FetchMaxWait(batchWait),
	)...)
	if err != nil {
		return fmt.Errorf("%s: %w", r.group, err)
	}
	b.client, b.commits = client, newCommitter(client, r.cfg, r.group)
	go b.commits.run(ctx)
	decoded := make(chan []item)
	go func() {
		defer close(decoded)
		b.poll(ctx, decoded, trouble)
	}()
	b.handle(ctx, decoded)
	b.finish()
	return nil
}

// poll reads and decodes batches until ctx ends.
func (b *batches) poll(ctx context.Context, decoded chan<- []item, trouble *kafkaTrouble) {
	for ctx.Err() == nil {
		fetches := b.client.PollRecords(ctx, b.consumer.batch.max)
		anew := fetchTrouble(ctx, fetches, trouble)
		items := b.claim(fetches.Records())
		b.client.AllowRebalance()
		b.renew(anew)
		reread(b.client, anew)
		if len(items) == 0 {
			continue
		}
		for i := range items {
			b.decode(ctx, &items[i])
		}
		select {
		case decoded <- items:
		case <-ctx.Done():
		}
	}
}

// claim notes in which tenures records were polled, while no rebalance is allowed.
func (b *batches) claim(records []*kgo.Record) []item {
	b.mu.Lock()
	defer b.mu.Unlock()
	items := make([]item, 0, len(records))
	for _, r := range records {
		if t := b.owned[topicPartition{r.Topic, r.Partition}]; t != nil {
			items = append(items, item{record: r, of: t})
		}
	}
	return items
}

// decode reads a record's event as far as the consumer needs it.
func (b *batches) decode(ctx context.Context, it *item) {
	it.env, it.verdict, it.err = b.envelope(ctx, newMessage(it.record))
	if it.verdict == unknown && b.consumer.batch.all && it.env.ID != "" {
		it.verdict = wanted
	}
	if it.err != nil || it.verdict != wanted {
		return
	}
	var err error
	if it.body, err = b.consumer.batch.open(it.env); err != nil {
		it.err = &failure{Undecodable, 1, err}
	}
}

// handle handles batches until there are no more; none is begun after the end of ctx.
func (b *batches) handle(ctx context.Context, decoded <-chan []item) {
	for items := range decoded {
		if ctx.Err() == nil {
			b.work(ctx, items)
		}
	}
}

// work handles a batch until it took effect, is no longer ours, or the router
// stops.
func (b *batches) work(ctx context.Context, items []item) {
	for {
		mine, work, landed := b.takeOff(ctx, items)
		if len(mine) == 0 {
			landed(nil)
			return
		}
		err := b.take(work, mine)
		if err == nil {
			landed(mine)
			return
		}
		landed(nil)
		if ctx.Err() != nil {
			return
		}
		items = mine // without what was revoked meanwhile
		if work.Err() == nil && !b.pause(ctx, b.cfg.Backoff) {
			return // it cannot be a revocation: do not spin
		}
	}
}

// takeOff begins a flight with those items whose partitions are still ours. Its
// context outlives ctx by Config.Drain, so that a batch can finish at the end.
func (b *batches) takeOff(ctx context.Context, items []item) (mine []item, work context.Context, landed func(done []item)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	work, end := context.WithCancel(context.WithoutCancel(ctx))
	unhook := context.AfterFunc(ctx, func() { time.AfterFunc(b.cfg.Drain, end) })
	f := &flight{parts: map[topicPartition]bool{}, end: end, done: make(chan struct{})}
	for _, it := range items {
		if !it.of.leaving {
			f.parts[topicPartition{it.record.Topic, it.record.Partition}] = true
			mine = append(mine, it)
		}
	}
	b.flight = f
	return mine, work, func(done []item) {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, it := range done {
			if !it.of.over {
				b.client.MarkCommitRecords(it.record)
			}
		}
		b.flight = nil
		unhook()
		end()
		close(f.done)
	}
}

func (b *batches) assigned(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for tp := range flat(parts) {
		b.begin(tp)
	}
}

// begin makes a partition ours, anew when it is. The lock is held.
func (b *batches) begin(tp topicPartition) {
	if t := b.owned[tp]; t != nil {
		t.finish()
	}
	b.owned[tp] = &tenure{}
}

// renew begins new tenures of topics that were deleted and made anew, which the
// client does not always take from us in between: offsets of the old topic are not
// those of the new one.
func (b *batches) renew(topics map[string]bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for tp := range b.owned {
		if topics[tp.topic] {
			b.begin(tp)
		}
	}
}

// revoked ends a batch that is being handled, when it has records of what we
// give up, and waits for it: no other member handles them meanwhile.
func (b *batches) revoked(ctx context.Context, _ *kgo.Client, parts map[string][]int32) {
	gone, concerned := b.give(parts)
	if concerned != nil {
		select {
		case <-concerned.done:
		case <-time.After(b.cfg.Drain):
			b.log.WarnContext(ctx, "batch did not end in time; its messages come again")
		}
	}
	b.over(gone)
	b.commits.last(ctx, "of revoked partitions")
}

// lost forgets partitions that are somebody else's already.
func (b *batches) lost(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
	gone, _ := b.give(parts)
	b.over(gone)
}

// give takes partitions from those that are ours: nothing more of them is begun,
// and the flight that has records of them, if there is one, is told to end.
func (b *batches) give(parts map[string][]int32) (gone []*tenure, concerned *flight) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for tp := range flat(parts) {
		if f := b.flight; f != nil && f.parts[tp] {
			concerned = f
		}
		if t := b.owned[tp]; t != nil {
			t.leaving = true
			gone = append(gone, t)
			delete(b.owned, tp)
		}
	}
	if concerned != nil {
		concerned.end()
	}
	return gone, concerned
}

// over ends tenures: nothing more of them is marked.
func (b *batches) over(gone []*tenure) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range gone {
		t.finish()
	}
}

func flat(parts map[string][]int32) map[topicPartition]bool {
	out := map[topicPartition]bool{}
	for topic, numbers := range parts {
		for _, n := range numbers {
			out[topicPartition{topic, n}] = true
		}
	}
	return out
}

// finish commits and leaves the group.
func (b *batches) finish() {
	b.commits.last(context.Background(), "at the end")
	if !leave(b.client) {
		b.log.Warn("group not left in time; its other members may wait for our session to end")
	}
}

// take handles items. An error means that they are not done with: ctx has ended
// or the router stops. None of them is marked then, and those that took effect are
// known to the inbox.
func (b *batches) take(ctx context.Context, items []item) error {
	start := time.Now()
	defer func() { b.took(ctx, start) }()
	todo := make([]item, 0, len(items))
	for _, it := range items {
		switch {
		case it.err != nil:
			var f *failure
			if !errors.As(it.err, &f) {
				return it.err
			}
			if err := b.bury(ctx, newMessage(it.record), f); err != nil {
				return err
			}
			b.count(ctx, 1, it.env.Type, outcomeDead)
		case it.verdict == wanted:
			todo = append(todo, it)
		case it.verdict == unknown:
			b.count(ctx, 1, it.env.Type, outcomeUnknown)
		default:
			b.count(ctx, 1, it.env.Type, outcomeSkipped)
		}
	}
	return b.halve(ctx, todo)
}

// halve handles items in one transaction; when that fails for good it halves
// them, so that the poisonous one ends alone in the dead letters and the others
// take effect. Their order stays.
func (b *batches) halve(ctx context.Context, items []item) error {
	attempts := 1
	switch len(items) {
	case 0:
		return nil
	case 1:
		attempts = b.cfg.Attempts
	}
	err := b.attempt(ctx, attempts, func() error {
		return b.guard(ctx, func() error { return b.commitBatch(ctx, items) })
	})
	var f *failure
	switch {
	case err == nil:
		types := map[string]int64{}
		for _, it := range items {
			types[it.env.Type]++
		}
		for eventType, n := range types {
			b.count(ctx, n, eventType, outcomeHandled)
		}
		return nil
	case !errors.As(err, &f):
		return err
	case len(items) == 1:
		if err := b.bury(ctx, newMessage(items[0].record), f); err != nil {
			return err
		}
		b.count(ctx, 1, items[0].env.Type, outcomeDead)
		return nil
	}
	half := len(items) / 2
	b.log.DebugContext(ctx, "batch failed and is halved", "events", len(items), "error", f.err)
	if err := b.halve(ctx, items[:half]); err != nil {
		return err
	}
	return b.halve(ctx, items[half:])
}

// commitBatch is the transaction: inbox, effect and new facts of all items.
func (b *batches) commitBatch(ctx context.Context, items []item) error {
	c := b.consumer.batch
	ids := make([]string, len(items))
	for i, it := range items {
		ids[i] = it.env.ID
	}
	if len(items) == 1 { // what it publishes has one cause
		ctx = events.WithCause(ctx, items[0].env)
	}
	err := c.db.Tx(ctx, func(tx outbox.Tx) error {
		fresh, err := inbox.Fresh(ctx, tx, b.consumer.name, ids)
		if err != nil {
			return err
		}
		first := make([]item, 0, len(items))
		for _, it := range items {
			if fresh[it.env.ID] {
				first = append(first, it)
				delete(fresh, it.env.ID) // a repeat within the batch
			}
		}
		if len(first) > 0 {
			if err := c.handle(ctx, tx, first); err != nil {
				return err
			}
		}
		return b.cfg.Faults.At(ctx, fault.InboxBefore, append(ids, b.group)...)
	})
	if err != nil {
		return err
	}
	return b.cfg.Faults.At(ctx, fault.InboxAfter, append(ids, b.group)...)
}
