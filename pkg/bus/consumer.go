package bus

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
)

// Consumer is something that a service does with facts, in a group of its own.
type Consumer struct {
	name   string
	topics []string
	events []string // names that it handles; nil: all
	err    error    // a mistake in the list, which Run reports

	// one of the three
	each  func(events.Envelope) (call, error) // decodes and upcasts the body
	once  *once
	batch *batch
}

// call handles an event that is decoded; txCall does in a transaction.
type (
	call   func(context.Context) error
	txCall func(context.Context, outbox.Tx) error
)

// wants says whether the consumer handles events of this name.
func (c Consumer) wants(eventType string) bool {
	if c.events == nil {
		return true
	}
	name, _, err := events.ParseType(eventType)
	return err == nil && slices.Contains(c.events, name)
}

// Handler handles events of one type, without a transaction.
type Handler struct {
	event string
	open  func(events.Envelope) (call, error)
}

// TxHandler handles events of one type in a transaction.
type TxHandler struct {
	event string
	open  func(events.Envelope) (txCall, error)
}

// On makes a handler of a function of one event type. The function gets the
// newest version, whatever was published.
func On[T events.Payload](fn func(context.Context, events.Of[T]) error) Handler {
	var t T
	return Handler{t.EventName(), func(env events.Envelope) (call, error) {
		e, err := events.As[T](env)
		return func(ctx context.Context) error { return fn(ctx, e) }, err
	}}
}

// OnTx makes a transactional handler of a function of one event type.
func OnTx[T events.Payload](fn func(context.Context, outbox.Tx, events.Of[T]) error) TxHandler {
	var t T
	return TxHandler{t.EventName(), func(env events.Envelope) (txCall, error) {
		e, err := events.As[T](env)
		return func(ctx context.Context, tx outbox.Tx) error { return fn(ctx, tx, e) }, err
	}}
}

// Each calls a handler at least once for each event of its type.
func Each(name string, handlers ...Handler) Consumer {
	byName := map[string]Handler{}
	c := newConsumer(name)
	for _, h := range handlers {
		c.add(h.event)
		byName[h.event] = h
	}
	c.each = func(env events.Envelope) (call, error) { return byName[eventName(env)].open(env) }
	return c
}

// Once calls a handler for each event of its type with exactly one effect: the
// inbox row, what the handler writes and what it publishes are one transaction.
// It takes half of the database's connections at most, so that requests find one
// however many messages wait.
func Once(name string, db *outbox.DB, handlers ...TxHandler) Consumer {
	byName := map[string]TxHandler{}
	c := newConsumer(name)
	for _, h := range handlers {
		c.add(h.event)
		byName[h.event] = h
	}
	c.once = &once{
		db: db, slots: make(chan struct{}, max(1, db.Pool().Config().MaxConns/2)),
		open: func(env events.Envelope) (txCall, error) { return byName[eventName(env)].open(env) },
	}
	return c
}

// InOrder makes a consumer made by [Once] park keys: when a message becomes a
// dead letter, later ones of its key wait behind it instead of taking effect, and
// when it is redriven they follow, all in their order. See "Parked keys".
func (c Consumer) InOrder() Consumer {
	if c.once == nil {
		c.err = errors.Join(c.err, fmt.Errorf("consumer %s: only Once keeps the order of a key behind a dead letter, in its database", c.name))
		return c
	}
	parking := *c.once
	parking.inOrder = true
	c.once = &parking
	return c
}

// Batch calls fn with up to n events of one type, in the order of their
// partitions, with exactly one effect for each: one transaction and one inbox
// statement for the batch. A batch that fails is halved until only what is
// poisonous goes to the dead letters.
func Batch[T events.Payload](name string, db *outbox.DB, n int, fn func(context.Context, outbox.Tx, []events.Of[T]) error) Consumer {
	var t T
	c := newConsumer(name)
	c.add(t.EventName())
	c.setBatch(&batch{db: db, max: n,
		open: func(env events.Envelope) (any, error) { return events.As[T](env) },
		handle: func(ctx context.Context, tx outbox.Tx, items []item) error {
			list := make([]events.Of[T], len(items))
			for i, it := range items {
				list[i] = it.body.(events.Of[T]) // open made it
			}
			return fn(ctx, tx, list)
		}})
	return c
}

// BatchAll is Batch for every event of some topics, of unknown types too, with
// their bodies checked but not decoded: for logs of facts.
func BatchAll(name string, db *outbox.DB, n int, topics []string, fn func(context.Context, outbox.Tx, []events.Envelope) error) Consumer {
	c := newConsumer(name)
	c.topics, c.events = topics, nil
	c.setBatch(&batch{db: db, max: n, all: true,
		open: func(env events.Envelope) (any, error) { return nil, events.Check(env) },
		handle: func(ctx context.Context, tx outbox.Tx, items []item) error {
			list := make([]events.Envelope, len(items))
			for i, it := range items {
				list[i] = it.env
			}
			return fn(ctx, tx, list)
		}})
	return c
}

func newConsumer(name string) Consumer { return Consumer{name: name, events: []string{}} }

// add notes that the consumer handles events of a name, and where they are.
func (c *Consumer) add(event string) {
	topic, ok := events.TopicOf(event)
	switch {
	case !ok:
		c.err = errors.Join(c.err, fmt.Errorf("consumer %s: %s is not an event of the contract", c.name, event))
	case slices.Contains(c.events, event):
		c.err = errors.Join(c.err, fmt.Errorf("consumer %s: two handlers for %s", c.name, event))
	case !slices.Contains(c.topics, topic):
		c.topics = append(c.topics, topic)
	}
	c.events = append(c.events, event)
}

func (c *Consumer) setBatch(b *batch) {
	c.batch = b
	if b.max < 1 {
		c.err = errors.Join(c.err, fmt.Errorf("consumer %s: a batch has at least 1 event, not %d", c.name, b.max))
	}
}

var consumerName = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

// check finds mistakes in a service's list.
func check(consumers []Consumer) error {
	var err error
	seen := map[string]bool{}
	for _, c := range consumers {
		err = errors.Join(err, c.err)
		switch {
		case !consumerName.MatchString(c.name):
			err = errors.Join(err, fmt.Errorf("consumer %q: a name is lower case letters, digits and hyphens; it is part of topics", c.name))
		case seen[c.name]:
			err = errors.Join(err, fmt.Errorf("consumer %s is there twice", c.name))
		case len(c.topics) == 0:
			err = errors.Join(err, fmt.Errorf("consumer %s handles nothing", c.name))
		}
		seen[c.name] = true
	}
	return err
}

func eventName(env events.Envelope) string {
	name, _, _ := events.ParseType(env.Type) // decoded before
	return name
}
