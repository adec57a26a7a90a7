package push

import (
	"context"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
)

// Kafka is the source of a real hub: every partition, without a group.
type Kafka struct{ Config bus.Config }

// Start implements Source.
func (k Kafka) Start(ctx context.Context, topics []string, before int64) (map[string][16]byte, bus.Positions, error) {
	if err := bus.EnsureTopics(ctx, k.Config); err != nil {
		return nil, nil, err
	}
	ids, err := bus.TopicIDs(ctx, k.Config, topics)
	if err != nil {
		return nil, nil, err
	}
	from, err := bus.BeforeEnd(ctx, k.Config, topics, before)
	return ids, from, err
}

// Tail implements Source.
func (k Kafka) Tail(ctx context.Context, topics []string, from bus.Positions, fn func(bus.Record) error) error {
	return bus.Tail(ctx, k.Config, topics, from, true, fn)
}
