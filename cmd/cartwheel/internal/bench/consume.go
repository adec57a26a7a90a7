package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
)

// consume reads a topic through Watermill's Router, with a handler that does
// nothing and with one that takes a millisecond. A handler also sees to it that
// the messages of a key come one after the other, in order.
func (r *runner) consume(ctx context.Context) error {
	n := r.number(200_000)
	topic, err := r.load(ctx, "consume", n)
	if err != nil {
		return err
	}
	of := func(cfg bus.Config, n int, work time.Duration) side {
		return func(ctx context.Context) (float64, error) { return r.consumed(ctx, cfg, topic, n, work) }
	}
	f, err := r.rounds(ctx,
		of(r.bus, r.number(100_000), time.Millisecond), of(stock(r.bus), r.number(20_000), time.Millisecond),
		of(r.bus, n, 0), of(stock(r.bus), n, 0))
	if err != nil {
		return err
	}
	const name, unit, reference = "consume", "messages/s", "watermill-kafka"
	r.row(name, "1 ms handler, order per key", unit, f[0], reference, f[1], Goal{AtLeast: 8})
	r.row(name, "no-op handler", unit, f[2], reference, f[3], Goal{AtLeast: 1.4})
	return nil
}

// load makes a topic with n events.
func (r *runner) load(ctx context.Context, name string, n int) (topic string, err error) {
	if topic, err = r.topic(ctx, name); err != nil {
		return "", err
	}
	pub, err := bus.NewPublisher(r.bus)
	if err != nil {
		return "", err
	}
	defer pub.Close()
	for first := 0; first < n; first += 5000 {
		if err := pub.Publish(topic, messages(samples(first, min(5000, n-first)))...); err != nil {
			return "", err
		}
	}
	return topic, nil
}

// consumed is how many messages a second a new group handles, of n, from the
// first to the last.
func (r *runner) consumed(ctx context.Context, cfg bus.Config, topic string, n int, work time.Duration) (float64, error) {
	sub, err := bus.NewSubscriber(cfg, "bench-"+unique())
	if err != nil {
		return 0, err
	}
	defer sub.Close()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	meter := newMeter(n, cancel)
	var keys keyOrder
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: 5 * time.Second}, watermill.NewSlogLogger(r.Log))
	if err != nil {
		return 0, err
	}
	router.AddConsumerHandler("bench", topic, sub, func(m *message.Message) error {
		meter.begin()
		done, err := keys.enter(m.Payload)
		if err != nil {
			return err
		}
		if work > 0 {
			time.Sleep(work)
		}
		done()
		meter.add(1)
		return nil
	})
	if err := router.Run(ctx); err != nil {
		return 0, err
	}
	if broken := keys.broken.Load(); broken > 0 {
		return 0, fmt.Errorf("%d messages did not keep the order of their key", broken)
	}
	return meter.rate()
}

// keyOrder checks that messages of a key are handled one after the other, in
// order.
type keyOrder struct {
	last   [sampleKeys]atomic.Int64 // number of the last message, plus 1
	busy   [sampleKeys]atomic.Bool
	broken atomic.Int64
}

// enter is called before a message is handled, and what it returns after that.
func (k *keyOrder) enter(payload []byte) (done func(), err error) {
	number, err := numberOf(payload)
	if err != nil {
		return nil, err
	}
	key := number % sampleKeys
	if !k.busy[key].CompareAndSwap(false, true) || k.last[key].Swap(number+1) > number {
		k.broken.Add(1)
	}
	return func() { k.busy[key].Store(false) }, nil
}

// numberOf reads the number of a sample without decoding all of it: a handler
// that does nothing should do next to nothing.
func numberOf(payload []byte) (int64, error) {
	rest, ok := bytes.CutPrefix(payload, []byte(`{"number":`))
	digits, _, found := bytes.Cut(rest, []byte(","))
	if !ok || !found {
		return 0, fmt.Errorf("%.40q is not a sample", payload)
	}
	return strconv.ParseInt(string(digits), 10, 64)
}

// meter measures from the first message to the last.
type meter struct {
	want  int64
	end   func()
	n     atomic.Int64
	first atomic.Int64 // times in nanoseconds
	last  atomic.Int64
}

func newMeter(want int, end func()) *meter { return &meter{want: int64(want), end: end} }

func (m *meter) begin() {
	if m.first.Load() == 0 {
		m.first.CompareAndSwap(0, time.Now().UnixNano())
	}
}

func (m *meter) add(n int) {
	if total := m.n.Add(int64(n)); total >= m.want && total-int64(n) < m.want {
		m.last.Store(time.Now().UnixNano())
		m.end()
	}
}

func (m *meter) rate() (float64, error) {
	if m.last.Load() == 0 {
		return 0, fmt.Errorf("%d of %d messages were handled: %w", m.n.Load(), m.want, errors.Join(errLost, context.DeadlineExceeded))
	}
	return perSecond(int(m.want), time.Duration(m.last.Load()-m.first.Load())), nil
}
