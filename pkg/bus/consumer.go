package bus

import (
	"context"
	"slices"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/inbox"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
)

// Consumer is something that a service does with facts, in a group of its own.
type Consumer struct {
	name   string
	topics []string

	// one of the two
	handle func(ctx context.Context, env events.Envelope) error // of one event; the inbox is inside
	batch  *batch
}

// Handler handles events of one type, without a transaction.
type Handler struct {
	event  string
	handle func(context.Context, events.Envelope) error
}

// TxHandler handles events of one type in a transaction.
type TxHandler struct {
	event  string
	handle func(context.Context, outbox.Tx, events.Envelope) error
}

// On makes a handler of a function of one event type. The function gets the
// newest version, whatever was published.
func On[T events.Payload](fn func(context.Context, events.Of[T]) error) Handler {
	var t T
	return Handler{t.EventName(), func(ctx context.Context, env events.Envelope) error {
		e, err := events.As[T](env)
		if err != nil {
			return err
		}
		return fn(ctx, e)
	}}
}

// OnTx makes a transactional handler of a function of one event type.
func OnTx[T events.Payload](fn func(context.Context, outbox.Tx, events.Of[T]) error) TxHandler {
	var t T
	return TxHandler{t.EventName(), func(ctx context.Context, tx outbox.Tx, env events.Envelope) error {
		e, err := events.As[T](env)
		if err != nil {
			return err
		}
		return fn(ctx, tx, e)
	}}
}

// Each calls a handler at least once for each event of its type.
func Each(name string, handlers ...Handler) Consumer {
	byName := map[string]Handler{}
	for _, h := range handlers {
		byName[h.event] = h
	}
	return Consumer{name: name, topics: topicsOf(handlers, func(h Handler) string { return h.event }),
		handle: func(ctx context.Context, env events.Envelope) error {
			if h, ok := byName[eventName(env)]; ok {
				return h.handle(ctx, env)
			}
			return nil
		}}
}

// Once calls a handler for each event of its type with exactly one effect: the
// inbox row, what the handler writes and what it publishes are one transaction.
func Once(name string, db *outbox.DB, handlers ...TxHandler) Consumer {
	byName := map[string]TxHandler{}
	for _, h := range handlers {
		byName[h.event] = h
	}
	return Consumer{name: name, topics: topicsOf(handlers, func(h TxHandler) string { return h.event }),
		handle: func(ctx context.Context, env events.Envelope) error {
			h, ok := byName[eventName(env)]
			if !ok {
				return nil
			}
			return db.Tx(ctx, func(tx outbox.Tx) error {
				seen, err := inbox.Seen(ctx, tx, name, env.ID)
				if err != nil || seen {
					return err
				}
				return h.handle(ctx, tx, env)
			})
		}}
}

func eventName(env events.Envelope) string {
	name, _, _ := events.ParseType(env.Type) // decoded before
	return name
}

// topicsOf lists the topics of handlers, each once. A handler of an event
// outside the contract cannot be written: its type would not compile as a
// payload that is registered.
func topicsOf[H any](handlers []H, event func(H) string) []string {
	var out []string
	for _, h := range handlers {
		if topic, ok := events.TopicOf(event(h)); ok && !slices.Contains(out, topic) {
			out = append(out, topic)
		}
	}
	return out
}

// Batch calls fn with up to n events of one type, in the order of their
// partitions, with exactly one effect for each: one transaction and one inbox
// statement for the batch. A batch that fails is halved until only what is
// poisonous goes to the dead letters.
func Batch[T events.Payload](name string, db *outbox.DB, n int, fn func(context.Context, outbox.Tx, []events.Of[T]) error) Consumer {
	var t T
	topic, _ := events.TopicOf(t.EventName())
	return Consumer{name: name, topics: []string{topic}, batch: &batch{db: db, max: n, wants: events.Matches[T],
		decode: func(env events.Envelope) error { _, err := events.As[T](env); return err },
		handle: func(ctx context.Context, tx outbox.Tx, envs []events.Envelope) error {
			list := make([]events.Of[T], len(envs))
			for i, env := range envs {
				e, err := events.As[T](env)
				if err != nil {
					return err
				}
				list[i] = e
			}
			return fn(ctx, tx, list)
		}}}
}

// BatchAll is Batch for every event of some topics, of unknown types too, with
// their bodies undecoded: for logs of facts.
func BatchAll(name string, db *outbox.DB, n int, topics []string, fn func(context.Context, outbox.Tx, []events.Envelope) error) Consumer {
	return Consumer{name: name, topics: topics, batch: &batch{db: db, max: n, all: true,
		wants:  func(events.Envelope) bool { return true },
		decode: events.Check,
		handle: fn}}
}
