package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
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

// item is a record with its decoded event.
type item struct {
	record *kgo.Record
	env    events.Envelope
	body   any
}

// batches is the member of the group that runs them. Polling and handling are
// one goroutine; the client calls revoked and lost from another.
type batches struct {
	*router
	client  *kgo.Client
	commits *committer

	mu     sync.Mutex
	owned  map[topicPartition]bool
	flight *flight
}

// flight is a batch that is being handled.
type flight struct {
	parts map[topicPartition]bool
	end   context.CancelFunc
	done  chan struct{}
}

func (r *router) runBatches(ctx context.Context) error {
	b := &batches{router: r, owned: map[topicPartition]bool{}}
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
	for ctx.Err() == nil {
		fetches := client.PollRecords(ctx, r.consumer.batch.max)
		anew := fetchTrouble(ctx, fetches, trouble)
		b.work(ctx, fetches.Records())
		client.AllowRebalance()
		reread(client, anew)
	}
	b.finish()
	return nil
}

// work handles what a poll returned, until it took effect, is no longer ours,
// or the router stops.
func (b *batches) work(ctx context.Context, records []*kgo.Record) {
	for {
		mine, work, landed := b.takeOff(ctx, records)
		// From here on a rebalance may go on: revoked ends the flight and waits.
		b.client.AllowRebalance()
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
		records = mine // without what was revoked meanwhile
		if work.Err() == nil && !b.pause(ctx, b.cfg.Backoff) {
			return // it cannot be a revocation: do not spin
		}
	}
}

// takeOff begins a flight with those records whose partitions are ours. Its
// context outlives ctx by Config.Drain, so that a batch can finish at the end.
func (b *batches) takeOff(ctx context.Context, records []*kgo.Record) (mine []*kgo.Record, work context.Context, landed func(done []*kgo.Record)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	work, end := context.WithCancel(context.WithoutCancel(ctx))
	unhook := context.AfterFunc(ctx, func() { time.AfterFunc(b.cfg.Drain, end) })
	f := &flight{parts: map[topicPartition]bool{}, end: end, done: make(chan struct{})}
	for _, r := range records {
		if tp := (topicPartition{r.Topic, r.Partition}); b.owned[tp] {
			f.parts[tp] = true
			mine = append(mine, r)
		}
	}
	b.flight = f
	return mine, work, func(done []*kgo.Record) {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, r := range done {
			if b.owned[topicPartition{r.Topic, r.Partition}] {
				b.client.MarkCommitRecords(r)
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
		b.owned[tp] = true
	}
}

// revoked ends a batch that is being handled, when it has records of what we
// give up, and waits for it: no other member handles them meanwhile.
func (b *batches) revoked(ctx context.Context, _ *kgo.Client, parts map[string][]int32) {
	gone := flat(parts)
	b.mu.Lock()
	f := b.flight
	concerned := false
	for tp := range gone {
		concerned = concerned || f != nil && f.parts[tp]
	}
	b.mu.Unlock()
	if concerned {
		f.end()
		select {
		case <-f.done:
		case <-time.After(b.cfg.Drain):
			b.log.WarnContext(ctx, "batch did not end in time; its messages come again")
		}
	}
	b.disown(gone)
	b.commits.last(ctx, "of revoked partitions")
}

// lost forgets partitions that are somebody else's already.
func (b *batches) lost(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
	b.disown(flat(parts))
}

func (b *batches) disown(gone map[topicPartition]bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for tp := range gone {
		delete(b.owned, tp)
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
	if !closeWithin(b.client, leaveFor) {
		b.log.Warn("group not left in time; its other members may wait for our session to end")
	}
}

// take handles records. An error means that they are not done with: ctx has
// ended or the router stops. None of them is marked then, and those that took
// effect are known to the inbox.
func (b *batches) take(ctx context.Context, records []*kgo.Record) error {
	start := time.Now()
	defer func() { b.took(ctx, start) }()
	var items []item
	for _, rec := range records {
		m := newMessage(rec)
		it, verdict, err := b.openRecord(ctx, rec, m)
		switch {
		case err != nil:
			var f *failure
			if !errors.As(err, &f) {
				return err
			}
			if err := b.bury(ctx, m, f); err != nil {
				return err
			}
			b.count(ctx, it.env.Type, outcomeDead)
		case verdict == wanted:
			items = append(items, it)
		case verdict == unknown:
			b.count(ctx, it.env.Type, outcomeUnknown)
		default:
			b.count(ctx, it.env.Type, outcomeSkipped)
		}
	}
	return b.halve(ctx, items)
}

// openRecord decodes a record as far as its consumer needs.
func (b *batches) openRecord(ctx context.Context, rec *kgo.Record, m *message.Message) (item, verdict, error) {
	env, verdict, err := b.envelope(ctx, m)
	it := item{record: rec, env: env}
	if verdict == unknown && b.consumer.batch.all && env.ID != "" {
		verdict = wanted
	}
	if err != nil || verdict != wanted {
		return it, verdict, err
	}
	if it.body, err = b.consumer.batch.open(env); err != nil {
		return it, verdict, &failure{Undecodable, 1, err}
	}
	return it, verdict, nil
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
		for _, it := range items {
			b.count(ctx, it.env.Type, outcomeHandled)
		}
		return nil
	case !errors.As(err, &f):
		return err
	case len(items) == 1:
		if err := b.bury(ctx, newMessage(items[0].record), f); err != nil {
			return err
		}
		b.count(ctx, items[0].env.Type, outcomeDead)
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
