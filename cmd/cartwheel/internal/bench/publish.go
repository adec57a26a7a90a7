package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
)

// publish calls Watermill's Publish again and again, with 100 and with 1,000
// messages a call, as one caller does. The messages have a key and no headers. At
// best it is as fast as the client that it stands on.
func (r *runner) publish(ctx context.Context) error {
	calls := []int{100, 1000}
	var sides []side
	for _, perCall := range calls {
		list := samples(0, perCall)
		for i := range list {
			list[i].headers = nil
		}
		batch := messages(list)
		for _, cfg := range []bus.Config{r.bus, stock(r.bus)} {
			pub, err := bus.NewPublisher(cfg)
			if err != nil {
				return err
			}
			defer pub.Close()
			side, err := r.calls(ctx, perCall, func(_ context.Context, topic string) error { return pub.Publish(topic, batch...) })
			if err != nil {
				return err
			}
			sides = append(sides, side)
		}
		client, err := rawProducer(r.bus.Brokers)
		if err != nil {
			return err
		}
		defer client.Close()
		side, err := r.calls(ctx, perCall, func(ctx context.Context, topic string) error {
			records := make([]*kgo.Record, len(list))
			for i, s := range list {
				records[i] = &kgo.Record{Topic: topic, Key: []byte(s.key), Value: s.payload}
			}
			return client.ProduceSync(ctx, records...).FirstErr()
		})
		if err != nil {
			return err
		}
		sides = append(sides, side)
	}
	f, err := r.rounds(ctx, sides...)
	if err != nil {
		return err
	}
	for i, goal := range []float64{40, 100} {
		const name, unit = "publish", "messages/s"
		what, f := fmt.Sprintf("%d messages a call", calls[i]), f[3*i:]
		r.row(name, what, unit, f[0], "watermill-kafka", f[1], Goal{AtLeast: goal})
		r.row(name, what, unit, f[0], "franz-go's ProduceSync", f[2], Goal{})
	}
	return nil
}

// calls publishes to a topic of its own as long as a round is, perCall messages a
// call.
func (r *runner) calls(ctx context.Context, perCall int, publish func(ctx context.Context, topic string) error) (side, error) {
	topic, err := r.topic(ctx, "publish")
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (float64, error) {
		before, err := r.end(ctx, topic)
		if err != nil {
			return 0, err
		}
		n, began := 0, time.Now()
		for time.Since(began) < r.For && ctx.Err() == nil {
			if err := publish(ctx, topic); err != nil {
				return 0, err
			}
			n += perCall
		}
		took := time.Since(began)
		after, err := r.end(ctx, topic)
		if err != nil || after != before+int64(n) {
			return 0, fmt.Errorf("%d messages arrived, and not %d: %w", after-before, n, errors.Join(err, errLost))
		}
		return perSecond(n, took), nil
	}, nil
}
