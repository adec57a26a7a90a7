package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Record is a raw record of a topic, for readers without a group.
type Record struct {
	Topic     string
	TopicID   [16]byte
	Partition int32
	Offset    int64
	Timestamp time.Time
	Key       []byte
	Value     []byte
	Headers   map[string]string
}

func newRecord(r *kgo.Record) Record {
	out := Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp, Key: r.Key, Value: r.Value, Headers: make(map[string]string, len(r.Headers))}
	for _, h := range r.Headers {
		out.Headers[h.Key] = string(h.Value)
	}
	return out
}

// Positions are offsets to go on from, by topic and partition.
type Positions map[string]map[int32]int64

// Tail reads all partitions of topics without a group and calls fn for each
// record, in the order of each partition, until ctx ends or fn fails. It starts
// at the given positions; partitions without one start at the end, or at the
// start when fromStart is set. Outages are waited for.
func Tail(ctx context.Context, cfg Config, topics []string, from Positions, fromStart bool, fn func(Record) error) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	if err := ensureTopics(ctx, cfg, nil); err != nil {
		return err
	}
	start := kgo.NewOffset().AtEnd()
	if fromStart {
		start = kgo.NewOffset().AtStart()
	}
	client, err := kgo.NewClient(clientOptions(cfg,
		kgo.ConsumeTopics(topics...),
		kgo.ConsumeResetOffset(start),
		kgo.AdjustFetchOffsetsFn(func(_ context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
			for topic, partitions := range offsets {
				for p := range partitions {
					if at, ok := from[topic][p]; ok {
						partitions[p] = kgo.NewOffset().At(at)
					}
				}
			}
			return offsets, nil
		}),
		kgo.FetchMaxWait(500*time.Millisecond),
		kgo.WithLogger(&clientLog{log: cfg.Log, rare: &rareLog{every: 5 * time.Second}}),
	)...)
	if err != nil {
		return fmt.Errorf("tail %v: %w", topics, err)
	}
	defer client.Close()
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		for it := fetches.RecordIter(); !it.Done(); {
			if err := fn(newRecord(it.Next())); err != nil {
				return err
			}
		}
	}
	return nil
}

// ReadToEnd reads topics from the given positions (from the start where there
// is none) to what is their end at this moment, and returns the positions to go
// on from.
func ReadToEnd(ctx context.Context, cfg Config, topics []string, from Positions, fn func(Record) error) (Positions, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(clientOptions(cfg, kgo.FetchMaxWait(100*time.Millisecond))...)
	if err != nil {
		return nil, fmt.Errorf("read %v: %w", topics, err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	ends, err := admin.ListEndOffsets(ctx, topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("read %v: end offsets: %w", topics, err)
	}
	starts, err := admin.ListStartOffsets(ctx, topics...)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("read %v: start offsets: %w", topics, err)
	}

	next := Positions{}
	left := map[topicPartition]int64{}
	assign := map[string]map[int32]kgo.Offset{}
	ends.Each(func(end kadm.ListedOffset) {
		at := int64(0)
		if s, ok := starts.Lookup(end.Topic, end.Partition); ok {
			at = s.Offset
		}
		if given, ok := from[end.Topic][end.Partition]; ok {
			at = max(at, given)
		}
		if next[end.Topic] == nil {
			next[end.Topic], assign[end.Topic] = map[int32]int64{}, map[int32]kgo.Offset{}
		}
		next[end.Topic][end.Partition] = max(at, end.Offset)
		if at < end.Offset {
			left[topicPartition{end.Topic, end.Partition}] = end.Offset
			assign[end.Topic][end.Partition] = kgo.NewOffset().At(at)
		}
	})
	client.AddConsumePartitions(assign)
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("read %v: %w", topics, ctx.Err())
		}
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			tp := topicPartition{r.Topic, r.Partition}
			end, ok := left[tp]
			if !ok || r.Offset >= end {
				continue
			}
			if err := fn(newRecord(r)); err != nil {
				return nil, err
			}
			if r.Offset >= end-1 {
				delete(left, tp)
			}
		}
	}
	return next, nil
}

// BeforeEnd returns, for every partition, the position n records before its end,
// or its start when it has fewer.
func BeforeEnd(ctx context.Context, cfg Config, topics []string, n int64) (Positions, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(clientOptions(cfg)...)
	if err != nil {
		return nil, fmt.Errorf("positions of %v: %w", topics, err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	ends, err := admin.ListEndOffsets(ctx, topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("positions of %v: %w", topics, err)
	}
	starts, err := admin.ListStartOffsets(ctx, topics...)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("positions of %v: %w", topics, err)
	}
	at := Positions{}
	ends.Each(func(end kadm.ListedOffset) {
		if at[end.Topic] == nil {
			at[end.Topic] = map[int32]int64{}
		}
		first := int64(0)
		if s, ok := starts.Lookup(end.Topic, end.Partition); ok {
			first = s.Offset
		}
		at[end.Topic][end.Partition] = max(first, end.Offset-n)
	})
	return at, nil
}

// TopicIDs returns the ids of topics, which change when a topic is made anew.
func TopicIDs(ctx context.Context, cfg Config, topics []string) (map[string][16]byte, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(clientOptions(cfg)...)
	if err != nil {
		return nil, fmt.Errorf("topic ids: %w", err)
	}
	defer client.Close()
	details, err := kadm.NewClient(client).ListTopics(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("topic ids: %w", err)
	}
	out := map[string][16]byte{}
	for name, d := range details {
		if d.Err != nil {
			return nil, fmt.Errorf("topic %s: %w", name, d.Err)
		}
		out[name] = d.ID
	}
	return out, nil
}
