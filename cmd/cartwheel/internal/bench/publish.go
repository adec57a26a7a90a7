package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
)

// publish calls Watermill's Publish again and again, with 100 and with 1,000
// messages a call, as one caller does.
func (r *runner) publish(ctx context.Context) error {
	var sides []side
	calls := []int{100, 1000}
	for _, perCall := range calls {
		for _, cfg := range []bus.Config{r.bus, stock(r.bus)} {
			topic, err := r.topic(ctx, "publish")
			if err != nil {
				return err
			}
			pub, err := bus.NewPublisher(cfg)
			if err != nil {
				return err
			}
			defer pub.Close()
			sides = append(sides, func(ctx context.Context) (float64, error) {
				before, err := r.end(ctx, topic)
				if err != nil {
					return 0, err
				}
				batch := messages(samples(0, perCall))
				n, began := 0, time.Now()
				for time.Since(began) < r.For && ctx.Err() == nil {
					if err := pub.Publish(topic, batch...); err != nil {
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
			})
		}
	}
	f, err := r.rounds(ctx, sides...)
	if err != nil {
		return err
	}
	for i, goal := range []float64{40, 100} {
		r.row("publish", fmt.Sprintf("%d messages a call", calls[i]), "messages/s", f[2*i], "watermill-kafka", f[2*i+1], Goal{AtLeast: goal})
	}
	return nil
}
