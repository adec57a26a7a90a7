package bus

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// router is what one consumer runs with.
type router struct {
	cfg      Config
	consumer Consumer
	group    string
	log      *slog.Logger
	letters  *producer
	figures  *instruments
	waiting  atomic.Int64    // messages that wait for something that is away
	stopping context.Context // the end of Run: waits end, handlers may finish
}

// middlewares is what every message goes through, outermost first.
func (r *router) middlewares() []message.HandlerMiddleware {
	return []message.HandlerMiddleware{
		r.trace,
		r.metrics,
		r.deadLetter,
		r.decode, // and upcast; never retried: the bytes stay the same
		r.retry,
		r.recover,
		// innermost, in the call that decode has made: the inbox's transaction
	}
}

// Run consumes until ctx ends and all in flight is settled. It creates the
// topics of the contract and of the dead letters first, and waits for Kafka as
// long as it takes. An error means that a consumer cannot start at all, such as
// a mistake in the list; the others are ended then.
//
// When ctx ends, no new messages are taken, those in flight have Config.Drain
// to finish and are cancelled after that, offsets are committed and the groups
// are left.
func Run(ctx context.Context, cfg Config, consumers []Consumer) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	if err := check(consumers); err != nil {
		return err
	}
	groups := groupsOf(cfg, consumers)
	if err := ensureTopics(ctx, cfg, groups); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	letters, err := newProducer(cfg, maxLetter)
	if err != nil {
		return err
	}
	defer letters.close()
	figures, err := newInstruments(cfg.Metrics)
	if err != nil {
		return err
	}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make(chan error, len(consumers))
	for i, c := range consumers {
		r := &router{cfg: cfg, consumer: c, group: groups[i], log: cfg.Log.With("group", groups[i]), letters: letters, figures: figures, stopping: ctx}
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
			cancel()
		}
	}
	return first
}

// run lets Watermill's router handle the consumer's topics, its own redrive
// topic among them.
func (r *router) run(ctx context.Context) error {
	topics := append([]string{RedriveTopic(r.group)}, r.consumer.topics...)
	sub, finish, err := r.subscriber(topics)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Close() }() // says itself what it could not do
	wm, err := message.NewRouter(message.RouterConfig{CloseTimeout: finish}, watermillLog(r.log))
	if err != nil {
		return fmt.Errorf("%s: router: %w", r.group, err)
	}
	wm.AddMiddleware(r.middlewares()...)
	for _, topic := range topics {
		wm.AddConsumerHandler(r.group+"/"+topic, topic, sub, r.handle)
	}
	if err := wm.Run(ctx); err != nil {
		return fmt.Errorf("%s: %w", r.group, err)
	}
	return nil
}

// subscriber also says how long Watermill's router should wait for handlers at
// the end: our own driver has waited already when its channels close.
func (r *router) subscriber(topics []string) (message.Subscriber, time.Duration, error) {
	if r.cfg.Driver == DriverWatermill {
		sub, err := newWatermillSubscriber(r.cfg, r.group)
		return sub, r.cfg.Drain, err
	}
	sub, err := newFranzSubscriber(r.cfg, r.group, topics...)
	return sub, abandonFor, err
}

// handle is the innermost: the event is decoded, and its cause is in the context.
func (r *router) handle(m *message.Message) error {
	handle, ok := m.Context().Value(callKey{}).(call)
	if !ok {
		return fmt.Errorf("message %s was not decoded", m.UUID) // the list of middlewares is wrong
	}
	return handle(m.Context())
}
