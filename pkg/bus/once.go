package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/fault"
	"github.com/cartwheel-shop/cartwheel/pkg/inbox"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
)

// once is a consumer with a transaction for each event.
type once struct {
	db      *outbox.DB
	slots   chan struct{} // as many as connections that it may take
	open    func(events.Envelope) (txCall, error)
	inOrder bool // it parks keys
}

// parks says whether m has a key that can be parked.
func (o *once) parks(m *message.Message) bool {
	_, hasKey := m.Metadata[KeyMetadata]
	return o.inOrder && hasKey
}

// tx runs fn in a transaction when a connection may be taken.
func (o *once) tx(ctx context.Context, fn func(outbox.Tx) error) error {
	select {
	case o.slots <- struct{}{}:
		defer func() { <-o.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	return o.db.Tx(ctx, fn)
}

// once gives an event its effect, unless it had it before.
func (r *router) once(ctx context.Context, env events.Envelope, handle txCall) error {
	err := r.consumer.once.tx(ctx, func(tx outbox.Tx) error { return r.effect(ctx, tx, env, handle) })
	if err != nil {
		return err
	}
	return r.cfg.Faults.At(ctx, fault.InboxAfter, r.group, env.ID)
}

func (r *router) effect(ctx context.Context, tx outbox.Tx, env events.Envelope, handle txCall) error {
	seen, err := inbox.Seen(ctx, tx, r.consumer.name, env.ID)
	if err != nil {
		return err
	}
	if !seen {
		if err := handle(ctx, tx); err != nil {
			return err
		}
	}
	return r.cfg.Faults.At(ctx, fault.InboxBefore, r.group, env.ID)
}

// parked is what is kept of a message that is in the line of its key.
type parked struct {
	Value     []byte            `json:"value"`
	Headers   map[string][]byte `json:"headers"`
	Timestamp string            `json:"timestamp"`
	Redrives  int               `json:"redrives"`
	Reason    Reason            `json:"reason,omitempty"` // of its being given up
	Attempts  int               `json:"attempts,omitempty"`
}

func (r *router) line(m *message.Message) inbox.Line {
	return inbox.Line{Consumer: r.consumer.name, Key: []byte(m.Metadata[KeyMetadata])}
}

// waiting is a message as it stands in a line, with why it was given up; nil when
// it only waits.
func waiting(m *message.Message, f *failure) (inbox.Waiting, error) {
	p := placeOf(m)
	keep := parked{Value: m.Payload, Headers: map[string][]byte{}, Timestamp: p.timestamp, Redrives: p.redrives}
	for k, v := range ownHeaders(m) {
		keep.Headers[k] = []byte(v)
	}
	refused := ""
	if f != nil {
		keep.Reason, keep.Attempts, refused = f.reason, f.attempts, f.err.Error()
	}
	record, err := json.Marshal(keep)
	if err != nil {
		return inbox.Waiting{}, fmt.Errorf("park a message: %w", err)
	}
	return inbox.Waiting{Place: inbox.Place{Topic: p.topic, Partition: p.partition, Offset: p.offset}, Record: record, Refused: refused}, nil
}

// unpark is the message of a place in a line, as if it came from the redrives.
func (r *router) unpark(l inbox.Line, w inbox.Waiting) (*message.Message, error) {
	var kept parked
	if err := json.Unmarshal(w.Record, &kept); err != nil {
		return nil, fmt.Errorf("parked message %+v: %w", w.Place, err)
	}
	record := &kgo.Record{Topic: RedriveTopic(r.group), Key: l.Key, Value: kept.Value}
	set := func(name, value string) {
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	for k, v := range kept.Headers {
		set(k, string(v))
	}
	place{w.Topic, w.Partition, w.Offset, kept.Timestamp, kept.Redrives}.write(redrivenPlace, set)
	return newMessage(record), nil
}

func isAt(w inbox.Waiting, p place) bool {
	return w.Topic == p.topic && w.Partition == p.partition && w.Offset == p.offset
}

// behind says what a message waits for.
func behind(w inbox.Waiting) *failure {
	return &failure{Waits, 0, fmt.Errorf("waits behind the message of its key at offset %d of %s/%d: %s", w.Offset, w.Topic, w.Partition, w.Refused)}
}

// refusal is why a message that is in a line was given up.
func refusal(w inbox.Waiting) (*failure, error) {
	var kept parked
	if err := json.Unmarshal(w.Record, &kept); err != nil {
		return nil, fmt.Errorf("parked message %+v: %w", w.Place, err)
	}
	return &failure{kept.Reason, kept.Attempts, errors.New(w.Refused)}, nil
}

// inLine gives an event its effect, or puts its message into the line of its key
// when there is one. That is a *failure too: it has a dead letter to be seen by.
func (r *router) inLine(ctx context.Context, m *message.Message, env events.Envelope, handle txCall) error {
	var wait *failure
	err := r.consumer.once.tx(ctx, func(tx outbox.Tx) error {
		l := r.line(m)
		head, ok, err := l.Head(ctx, tx)
		switch {
		case err != nil:
			return err
		case !ok:
			return r.effect(ctx, tx, env, handle)
		case isAt(head, placeOf(m)) && head.Refused != "": // its letter may not have been written
			wait, err = refusal(head)
			return err
		case isAt(head, placeOf(m)):
			return errors.Join(r.effect(ctx, tx, env, handle), l.Leave(ctx, tx, head))
		}
		// After a crash it may be at its place in the line already, or have left it.
		if seen, err := inbox.Known(ctx, tx, r.consumer.name, env.ID); err != nil || seen {
			return err
		}
		w, err := waiting(m, nil)
		if err != nil {
			return err
		}
		wait = behind(head)
		return l.Join(ctx, tx, w)
	})
	switch {
	case err != nil:
		return err
	case wait != nil:
		return wait
	}
	return r.cfg.Faults.At(ctx, fault.InboxAfter, r.group, env.ID)
}

// park notes that a message is given up, so that its key waits. It stands in
// front of the dead letter: what has a letter is in the line.
func (r *router) park(ctx context.Context, m *message.Message, f *failure) error {
	o := r.consumer.once
	if o == nil || !o.parks(m) || f.reason == Waits {
		return nil
	}
	w, err := waiting(m, f)
	if err != nil {
		return err
	}
	return r.attempt(ctx, 1, func() error {
		return o.tx(ctx, func(tx outbox.Tx) error { return r.line(m).Join(ctx, tx, w) })
	})
}

// release handles a message that was redriven: when it is the head of its line,
// or what the head waited for is done, the line goes on until it ends or another
// message of it is refused. Each takes effect in a transaction of its own. Without
// handle, m is discarded: it leaves its line without an effect.
func (r *router) release(ctx context.Context, m *message.Message, env events.Envelope, handle txCall) error {
	var settled []*message.Message
	defer func() { r.settle(ctx, settled) }()
	for {
		var current *message.Message // whose turn it is
		var wait *failure
		more := false
		step := func(tx outbox.Tx) (err error) {
			current, wait, more = m, nil, false
			l, p := r.line(m), placeOf(m)
			if handle == nil {
				if err := l.Discard(ctx, tx, inbox.Place{Topic: p.topic, Partition: p.partition, Offset: p.offset}); err != nil {
					return err
				}
			}
			head, ok, err := l.Head(ctx, tx)
			if err != nil {
				return err
			}
			switch stopped := ok && head.Refused != ""; {
			case handle == nil && (!ok || stopped):
				return nil
			case !ok:
				return r.effect(ctx, tx, env, handle)
			}
			if !isAt(head, placeOf(m)) && head.Refused != "" {
				wait, err = r.rejoin(ctx, tx, l, head, m, env)
				return err
			}
			more = true
			if isAt(head, placeOf(m)) {
				if err := r.effect(ctx, tx, env, handle); err != nil {
					return err
				}
				return l.Leave(ctx, tx, head)
			}
			if current, err = r.unpark(l, head); err != nil {
				return err
			}
			next, verdict, err := r.envelope(ctx, current)
			if err == nil && verdict == wanted {
				var call txCall
				if call, err = r.consumer.once.open(next); err == nil {
					err = r.effect(events.WithCause(ctx, next), tx, next, call)
				}
			}
			if err != nil {
				return err
			}
			return l.Leave(ctx, tx, head)
		}
		err := r.attempt(ctx, r.cfg.Attempts, func() error {
			return r.guard(ctx, func() error { return r.consumer.once.tx(ctx, step) })
		})
		var f *failure
		switch {
		case errors.As(err, &f) && current != m:
			// The line stops here; what m is to do will be seen by the next step.
			if err := r.bury(ctx, current, f); err != nil {
				return err
			}
			continue
		case err != nil:
			return err
		case wait != nil:
			return wait
		case current != m:
			settled = append(settled, current)
		}
		if !more {
			return r.cfg.Faults.At(ctx, fault.InboxAfter, r.group, env.ID)
		}
	}
}

// rejoin keeps a redriven message waiting whose head was not redriven with it,
// unless it has had its effect.
func (r *router) rejoin(ctx context.Context, tx outbox.Tx, l inbox.Line, head inbox.Waiting, m *message.Message, env events.Envelope) (*failure, error) {
	if seen, err := inbox.Known(ctx, tx, r.consumer.name, env.ID); err != nil || seen {
		return nil, err
	}
	w, err := waiting(m, nil)
	if err != nil {
		return nil, err
	}
	return behind(head), l.Join(ctx, tx, w)
}

// settle notes in the redrive topic that messages left their line without having
// been redriven, so that their dead letters are not taken for such that wait.
// That is for the eye: when it fails, a redrive of them has no effect.
func (r *router) settle(ctx context.Context, left []*message.Message) {
	if len(left) == 0 {
		return
	}
	records := make([]*kgo.Record, len(left))
	for i, m := range left {
		records[i] = &kgo.Record{Topic: RedriveTopic(r.group), Headers: []kgo.RecordHeader{{Key: headSettled, Value: []byte("true")}}}
		p := placeOf(m)
		p.redrives++
		p.write(redrivenPlace, func(name, value string) {
			records[i].Headers = append(records[i].Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
		})
	}
	ctx, cancel := context.WithTimeout(ctx, redrivePatience)
	defer cancel()
	if err := r.letters.produce(ctx, records); err != nil {
		r.log.WarnContext(ctx, "messages left the line of their key, but their dead letters still say that they wait", "messages", len(left), "error", err)
	}
}

// ownHeaders are the headers that a message was published with.
func ownHeaders(m *message.Message) map[string]string {
	out := map[string]string{}
	for k, v := range m.Metadata {
		switch k {
		case KeyMetadata, topicMetadata, partitionMetadata, offsetMetadata, timestampMetadata:
		default:
			if !isRedriven(m) || !strings.HasPrefix(k, redrivenPlace) {
				out[k] = v
			}
		}
	}
	return out
}
