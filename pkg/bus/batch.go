package bus

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/inbox"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
)

// batch is a consumer that takes many events at once. It bypasses Watermill's
// router, whose goroutine for each message costs more than the message.
type batch struct {
	db     *outbox.DB
	max    int
	all    bool // events of unknown types too
	wants  func(events.Envelope) bool
	decode func(events.Envelope) error
	handle func(context.Context, outbox.Tx, []events.Envelope) error
}

// item is a record with its decoded envelope.
type item struct {
	record *kgo.Record
	env    events.Envelope
}

func (r *router) runBatches(ctx context.Context) error {
	topics := append([]string{RedriveTopic(r.group)}, r.consumer.topics...)
	client, err := kgo.NewClient(groupOptions(r.cfg, r.group, kgo.ConsumeTopics(topics...))...)
	if err != nil {
		return fmt.Errorf("%s: %w", r.group, err)
	}
	defer client.CloseAllowingRebalance()
	for ctx.Err() == nil {
		fetches := client.PollRecords(ctx, r.consumer.batch.max)
		fetches.EachError(func(topic string, p int32, err error) {
			if ctx.Err() == nil {
				r.log.Warn("kafka fetch", "topic", topic, "partition", p, "error", err)
			}
		})
		records := fetches.Records()
		if len(records) > 0 && r.take(ctx, records) == nil {
			client.MarkCommitRecords(records...)
		}
		client.AllowRebalance()
	}
	done, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainFor)
	defer cancel()
	if err := client.CommitMarkedOffsets(done); err != nil {
		r.log.Warn("offsets not committed at the end; their messages will come again", "error", err)
	}
	return nil
}

// take handles the records of a poll. An error means that ctx ended first: none
// of them is marked, and those that took effect are known to the inbox.
func (r *router) take(ctx context.Context, records []*kgo.Record) error {
	var items []item
	for _, rec := range records {
		it, wanted, f := r.open(ctx, rec)
		switch {
		case f != nil:
			if err := r.buryRecord(ctx, rec, f); err != nil {
				return err
			}
		case wanted:
			items = append(items, it)
		}
	}
	return r.halve(ctx, items)
}

// open decodes a record as far as its consumer needs.
func (r *router) open(ctx context.Context, rec *kgo.Record) (it item, wanted bool, f *failure) {
	b := r.consumer.batch
	env, err := events.Decode(rec.Value)
	env.Source = events.Source{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset}
	var unknown *events.UnknownType
	var newer *events.UnknownVersion
	switch {
	case errors.As(err, &unknown):
		r.count(ctx, env.Type, "unknown_type")
		return item{rec, env}, b.all && env.ID != "", nil
	case errors.As(err, &newer):
		return it, false, &failure{UnknownVersion, 1, err}
	case err != nil:
		return it, false, &failure{Undecodable, 1, err}
	}
	if !b.wants(env) {
		return it, false, nil
	}
	if err := b.decode(env); err != nil {
		return it, false, &failure{Undecodable, 1, err}
	}
	return item{rec, env}, true, nil
}

// halve handles items in one transaction; when that fails for good it halves
// them, so that the poisonous one ends alone in the dead letters and the others
// take effect. Their order stays.
func (r *router) halve(ctx context.Context, items []item) error {
	if len(items) == 0 {
		return nil
	}
	var err error
	if len(items) == 1 {
		err = r.attempt(ctx, func() error { return r.commit(ctx, items) })
	} else {
		err = r.once(ctx, items)
	}
	var f *failure
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case len(items) > 1:
		half := len(items) / 2
		if err := r.halve(ctx, items[:half]); err != nil {
			return err
		}
		return r.halve(ctx, items[half:])
	case errors.As(err, &f):
		return r.buryRecord(ctx, items[0].record, f)
	}
	return err
}

// once tries a batch until it fails for a reason of its own.
func (r *router) once(ctx context.Context, items []item) error {
	waited := 0
	for {
		err := r.commit(ctx, items)
		if err == nil || ctx.Err() != nil || !IsUnavailable(err) {
			return err
		}
		if waited == 0 {
			r.log.Warn("consumer waits for something that is away", "error", err)
		}
		waited++
		if !wait(ctx, min(r.cfg.Backoff<<min(waited, 10), unavailableMax)) {
			return err
		}
	}
}

// commit is the transaction: inbox, effect and new facts of all items.
func (r *router) commit(ctx context.Context, items []item) (err error) {
	defer func() {
		if v := recover(); v != nil {
			r.log.Error("handler panicked", "panic", v, "stack", string(debug.Stack()))
			err = &panicked{value: v}
		}
	}()
	b := r.consumer.batch
	ids := make([]string, len(items))
	for i, it := range items {
		ids[i] = it.env.ID
	}
	return b.db.Tx(ctx, func(tx outbox.Tx) error {
		fresh, err := inbox.Fresh(ctx, tx, r.consumer.name, ids)
		if err != nil {
			return err
		}
		envs := make([]events.Envelope, 0, len(items))
		for _, it := range items {
			if fresh[it.env.ID] {
				envs = append(envs, it.env)
				delete(fresh, it.env.ID) // a repeat within the batch
			}
		}
		if len(envs) == 0 {
			return nil
		}
		return b.handle(ctx, tx, envs)
	})
}

func (r *router) buryRecord(ctx context.Context, rec *kgo.Record, f *failure) error {
	m := newMessage(rec)
	m.SetContext(ctx)
	for {
		err := r.bury(m, f)
		if err == nil || !wait(ctx, time.Second) {
			return err
		}
	}
}
