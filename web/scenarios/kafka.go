package scenarios

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// broker is Kafka as a stranger has it, who knows nothing of ours.
type broker struct {
	client *kgo.Client
	admin  *kadm.Client
	seeds  []string
}

// place is where a record is.
type place struct {
	topic     string
	partition int32
	offset    int64
}

func (p place) String() string {
	return fmt.Sprintf("%s/%d, offset %d", p.topic, p.partition, p.offset)
}

// kafka connects for the time of the run.
func (s *stage) kafka() (*broker, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.cfg.Brokers...), kgo.ClientID("cartwheel-scenario"), kgo.RecordDeliveryTimeout(20*time.Second))
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	s.atEnd(func(context.Context) error { client.Close(); return nil })
	return &broker{client, kadm.NewClient(client), s.cfg.Brokers}, nil
}

// write produces a value under a key, which decides the partition.
func (b *broker) write(ctx context.Context, topic, key string, value []byte) (place, error) {
	return b.produce(ctx, &kgo.Record{Topic: topic, Key: []byte(key), Value: value})
}

func (b *broker) produce(ctx context.Context, r *kgo.Record) (place, error) {
	r, err := b.client.ProduceSync(ctx, r).First()
	if err != nil {
		return place{}, fmt.Errorf("write to %s: %w", r.Topic, err)
	}
	return place{r.Topic, r.Partition, r.Offset}, nil
}

// again produces the record at a place once more: its key, value and headers.
func (b *broker) again(ctx context.Context, at place) (place, error) {
	r, err := b.read(ctx, at)
	if err != nil {
		return place{}, fmt.Errorf("read %s: %w", at, err)
	}
	return b.produce(ctx, &kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value, Headers: r.Headers})
}

func (b *broker) read(ctx context.Context, at place) (*kgo.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.seeds...),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{at.topic: {at.partition: kgo.NewOffset().At(at.offset)}}))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	for {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return nil, err
		}
		for it := fetches.RecordIter(); !it.Done(); {
			if r := it.Next(); r.Offset == at.offset {
				return r, nil
			}
		}
	}
}

// passed says whether groups have read past a place.
func (b *broker) passed(ctx context.Context, at place, groups ...string) (bool, error) {
	for _, g := range groups {
		offsets, err := b.admin.FetchOffsets(ctx, g)
		if err != nil {
			return false, fmt.Errorf("offsets of %s: %w", g, err)
		}
		if o, ok := offsets.Lookup(at.topic, at.partition); !ok || o.At <= at.offset {
			return false, nil
		}
	}
	return true, nil
}
