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
	TopicID   [16]byte // another one when the topic is made anew
	Partition int32
	Offset    int64
	Timestamp time.Time
	Key       []byte
	Value     []byte
	Headers   map[string]string
}

func newRecord(r *kgo.Record, id [16]byte) Record {
	out := Record{Topic: r.Topic, TopicID: id, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp, Key: r.Key, Value: r.Value, Headers: make(map[string]string, len(r.Headers))}
	for _, h := range r.Headers {
		out.Headers[h.Key] = string(h.Value)
	}
	return out
}

// Positions are offsets to go on from, by topic and partition.
type Positions map[string]map[int32]int64

func (p Positions) set(topic string, partition int32, offset int64) {
	if p[topic] == nil {
		p[topic] = map[int32]int64{}
	}
	p[topic][partition] = offset
}

// Tail reads all partitions of topics without a group and calls fn for each
// record, in the order of each partition, until ctx ends (then it returns nil)
// or fn fails. It starts at the given positions; partitions without one start at
// the end, or at the start when fromStart is set. A position that retention has
// overtaken goes on at the oldest record that is there. Topics of the contract
// that are missing are created. Outages are waited for. Partitions that are
// added to a topic later are not seen.
func Tail(ctx context.Context, cfg Config, topics []string, from Positions, fromStart bool, fn func(Record) error) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	start, ids, err := tailFrom(ctx, cfg, topics, from, fromStart)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("tail %v: %w", topics, err)
	}
	client, err := readerClient(cfg, start)
	if err != nil {
		return fmt.Errorf("tail %v: %w", topics, err)
	}
	defer client.Close()
	rare := &rareLog{every: 5 * time.Second}
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		fetches.EachError(func(topic string, p int32, err error) {
			if ctx.Err() == nil && rare.allow(time.Now()) {
				cfg.Log.WarnContext(ctx, "kafka fetch; trying again", "topic", topic, "partition", p, "error", err)
			}
		})
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			if r.Attrs.IsControl() {
				continue
			}
			if err := fn(newRecord(r, ids[r.Topic])); err != nil {
				return err
			}
		}
	}
	return nil
}

// tailFrom waits for Kafka and fixes where each partition starts.
func tailFrom(ctx context.Context, cfg Config, topics []string, from Positions, fromStart bool) (Positions, map[string][16]byte, error) {
	if err := ensureTopics(ctx, cfg, nil); err != nil {
		return nil, nil, err
	}
	var start Positions
	var ids map[string][16]byte
	err := patiently(ctx, cfg, "to read topics", func(ctx context.Context, admin *kadm.Client) error {
		first, ends, err := offsets(ctx, admin, topics)
		if err != nil {
			return err
		}
		if ids, err = topicIDs(ctx, admin, topics); err != nil {
			return err
		}
		if start = ends; fromStart {
			start = first
		}
		return nil
	})
	for topic, partitions := range start {
		for p := range partitions {
			if at, ok := from[topic][p]; ok {
				partitions[p] = at
			}
		}
	}
	return start, ids, err
}

// readerClient reads from the given positions, without a group. A position that
// is out of range goes on at the oldest record.
func readerClient(cfg Config, start Positions) (*kgo.Client, error) {
	assign := map[string]map[int32]kgo.Offset{}
	for topic, partitions := range start {
		assign[topic] = map[int32]kgo.Offset{}
		for p, at := range partitions {
			assign[topic][p] = kgo.NewOffset().At(at)
		}
	}
	return kgo.NewClient(clientOptions(cfg,
		kgo.ConsumePartitions(assign),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.KeepControlRecords(), // they too may be the last before the end
		kgo.FetchMaxWait(time.Second),
		kgo.FetchMaxBytes(8<<20),
		kgo.WithLogger(&clientLog{log: cfg.Log, rare: &rareLog{every: 5 * time.Second}}),
	)...)
}

// ReadToEnd reads topics from the given positions (from the start where there
// is none) to what is their end at this moment, and returns the positions to go
// on from, with [Tail] for example. It fails when Kafka cannot be asked for the
// ends; outages after that are waited for, as long as ctx allows.
func ReadToEnd(ctx context.Context, cfg Config, topics []string, from Positions, fn func(Record) error) (Positions, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	next, err := readToEnd(ctx, cfg, topics, from, fn)
	if err != nil {
		return nil, fmt.Errorf("read %v: %w", topics, err)
	}
	return next, nil
}

func readToEnd(ctx context.Context, cfg Config, topics []string, from Positions, fn func(Record) error) (Positions, error) {
	client, err := readerClient(cfg, nil)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	starts, ends, err := offsets(ctx, admin, topics)
	if err != nil {
		return nil, err
	}
	ids, err := topicIDs(ctx, admin, topics)
	if err != nil {
		return nil, err
	}
	next, left := Positions{}, map[topicPartition]int64{}
	assign := map[string]map[int32]kgo.Offset{}
	for topic, partitions := range ends {
		assign[topic] = map[int32]kgo.Offset{}
		for p, end := range partitions {
			at := starts[topic][p]
			if given, ok := from[topic][p]; ok {
				at = max(at, given)
			}
			next.set(topic, p, max(at, end))
			if at < end {
				left[topicPartition{topic, p}] = end
				assign[topic][p] = kgo.NewOffset().At(at)
			}
		}
	}
	client.AddConsumePartitions(assign)
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var failed error
		fetches.EachPartition(func(f kgo.FetchTopicPartition) {
			tp := topicPartition{f.Topic, f.Partition}
			end, ok := left[tp]
			if !ok || failed != nil {
				return
			}
			for _, r := range f.Records {
				if r.Offset < end && !r.Attrs.IsControl() {
					if failed = fn(newRecord(r, ids[r.Topic])); failed != nil {
						return
					}
				}
				if r.Offset >= end-1 {
					delete(left, tp)
				}
			}
			if f.LogStartOffset >= end { // retention was faster
				delete(left, tp)
			}
		})
		if failed != nil {
			return nil, failed
		}
	}
	return next, nil
}

// BeforeEnd returns, for every partition, the position n records before its end,
// or its start when it has fewer.
func BeforeEnd(ctx context.Context, cfg Config, topics []string, n int64) (Positions, error) {
	out := Positions{}
	err := withAdmin(cfg, func(_ Config, admin *kadm.Client) error {
		starts, ends, err := offsets(ctx, admin, topics)
		for topic, partitions := range ends {
			for p, end := range partitions {
				out.set(topic, p, max(starts[topic][p], end-n))
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("positions of %v: %w", topics, err)
	}
	return out, nil
}

// TopicIDs returns the ids of topics, which change when a topic is made anew.
func TopicIDs(ctx context.Context, cfg Config, topics []string) (map[string][16]byte, error) {
	var out map[string][16]byte
	err := withAdmin(cfg, func(_ Config, admin *kadm.Client) (err error) {
		out, err = topicIDs(ctx, admin, topics)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("topic ids: %w", err)
	}
	return out, nil
}

func topicIDs(ctx context.Context, admin *kadm.Client, topics []string) (map[string][16]byte, error) {
	details, err := admin.ListTopics(ctx, topics...)
	if err != nil {
		return nil, err
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

// offsets returns the first and the end offset of each partition.
func offsets(ctx context.Context, admin *kadm.Client, topics []string) (starts, ends Positions, err error) {
	list := func(ask func(context.Context, ...string) (kadm.ListedOffsets, error)) (Positions, error) {
		listed, err := ask(ctx, topics...)
		if err == nil {
			err = listed.Error()
		}
		if err != nil {
			return nil, err
		}
		out := Positions{}
		listed.Each(func(o kadm.ListedOffset) { out.set(o.Topic, o.Partition, o.Offset) })
		return out, nil
	}
	// Ends first: a record that goes meanwhile must not make a start pass its end.
	if ends, err = list(admin.ListEndOffsets); err != nil {
		return nil, nil, fmt.Errorf("end offsets: %w", err)
	}
	if starts, err = list(admin.ListStartOffsets); err != nil {
		return nil, nil, fmt.Errorf("start offsets: %w", err)
	}
	return starts, ends, nil
}
