package bus

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
)

// router is what one consumer runs with.
type router struct {
	cfg       Config
	consumer  Consumer
	group     string
	log       *slog.Logger
	publisher message.Publisher // of dead letters
	handled   metric.Int64Counter
}

// middlewares is what every message goes through, outermost first.
func (r *router) middlewares() []message.HandlerMiddleware {
	return []message.HandlerMiddleware{
		r.trace,
		r.metrics,
		r.deadLetter,
		r.decode, // never retried: the bytes stay the same
		r.retry,
		r.recover,
		// innermost, in the consumer's own handler: the inbox's transaction
	}
}

// Run consumes until ctx ends and all in flight is settled. It creates the
// topics of the contract and of the dead letters first, and waits for Kafka as
// long as it takes.
func Run(ctx context.Context, cfg Config, consumers []Consumer) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	var groups []string
	for _, c := range consumers {
		groups = append(groups, cfg.Service+"."+c.name)
	}
	if err := ensureTopics(ctx, cfg, groups); err != nil {
		return err
	}
	publisher, err := newFranzPublisher(cfg)
	if err != nil {
		return err
	}
	defer publisher.Close()
	handled, err := otel.Meter("github.com/cartwheel-shop/cartwheel/pkg/bus").Int64Counter("bus.messages",
		metric.WithDescription("messages by consumer group, event type and outcome"))
	if err != nil {
		return fmt.Errorf("bus metrics: %w", err)
	}

	errs := make(chan error, len(consumers))
	for i, c := range consumers {
		r := &router{cfg: cfg, consumer: c, group: groups[i], log: cfg.Log.With("group", groups[i]), publisher: publisher, handled: handled}
		go func() {
			if c.batch != nil {
				errs <- r.runBatches(ctx)
				return
			}
			errs <- r.run(ctx)
		}()
	}
	var first error
	for range consumers {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// run lets Watermill's router handle the consumer's topics, its own redrive
// topic among them.
func (r *router) run(ctx context.Context) error {
	wm, err := message.NewRouter(message.RouterConfig{CloseTimeout: drainFor}, watermill.NewSlogLogger(quiet(r.log)))
	if err != nil {
		return fmt.Errorf("%s: router: %w", r.group, err)
	}
	wm.AddMiddleware(r.middlewares()...)
	sub, err := NewSubscriber(r.cfg, r.group)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Close() }() // says itself what it could not do
	for _, topic := range append([]string{RedriveTopic(r.group)}, r.consumer.topics...) {
		wm.AddConsumerHandler(r.group+"/"+topic, topic, sub, r.handle)
	}
	if err := wm.Run(ctx); err != nil {
		return fmt.Errorf("%s: %w", r.group, err)
	}
	return nil
}

// handle is the innermost: the event is decoded, and its cause is in the context.
func (r *router) handle(m *message.Message) error {
	env, ok := envelopeFrom(m.Context())
	if !ok {
		return nil // of an unknown type: counted already
	}
	return r.consumer.handle(m.Context(), env)
}

// quiet hides Watermill's own notices below warnings.
func quiet(log *slog.Logger) *slog.Logger { return slog.New(minLevel{log.Handler(), slog.LevelWarn}) }

type minLevel struct {
	slog.Handler
	level slog.Level
}

// Enabled implements slog.Handler.
func (h minLevel) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= h.level && h.Handler.Enabled(ctx, l)
}

// WithAttrs implements slog.Handler.
func (h minLevel) WithAttrs(attrs []slog.Attr) slog.Handler {
	return minLevel{h.Handler.WithAttrs(attrs), h.level}
}

// WithGroup implements slog.Handler.
func (h minLevel) WithGroup(name string) slog.Handler {
	return minLevel{h.Handler.WithGroup(name), h.level}
}

// wait sleeps for d; false when ctx ends first.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
