// Package outboxtest shows tests what an outbox publishes, without Kafka.
//
//	log := outboxtest.Run(t, db)
//	// … something that publishes
//	sent := log.Await(t, 2) // the first two facts, in order
//
// A [Log] takes messages as Kafka does: at least once, in order per key.
package outboxtest

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/events/schemas"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
)

// Fact is a message that a relay has published.
type Fact struct {
	Topic    string
	Key      string
	Envelope events.Envelope
	Headers  map[string]string
	Raw      []byte
}

// Log is a publisher that keeps what it is given.
type Log struct {
	mu    sync.Mutex
	facts []Fact
	fail  error
	grown chan struct{} // closed and replaced with every message
}

// NewLog returns an empty log.
func NewLog() *Log { return &Log{grown: make(chan struct{})} }

// Run relays db into a log until the test ends.
func Run(t testing.TB, db *outbox.DB, opts ...outbox.RelayOption) *Log {
	t.Helper()
	l := NewLog()
	RunInto(t, db, l, opts...)
	return l
}

// RunInto relays db into a log that may hold facts already, until the test ends.
func RunInto(t testing.TB, db *outbox.DB, l *Log, opts ...outbox.RelayOption) {
	t.Helper()
	RunPublisher(t, db, l, opts...)
}

// RunPublisher relays db to a publisher until the test ends, or stop is called.
func RunPublisher(t testing.TB, db *outbox.DB, pub message.Publisher, opts ...outbox.RelayOption) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	relay := outbox.NewRelay(db, pub, slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})), opts...)
	go func() { ended <- relay.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// Publish implements message.Publisher.
func (l *Log) Publish(topic string, messages ...*message.Message) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return l.fail
	}
	for _, m := range messages {
		env, err := events.Decode(m.Payload)
		if err != nil {
			return err
		}
		l.facts = append(l.facts, Fact{Topic: topic, Key: m.Metadata[outbox.KeyMetadata], Envelope: env, Headers: m.Metadata, Raw: m.Payload})
	}
	close(l.grown)
	l.grown = make(chan struct{})
	return nil
}

// Close implements message.Publisher.
func (l *Log) Close() error { return nil }

// Fail makes Publish fail with err; nil mends it.
func (l *Log) Fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fail = err
}

// All returns what was published so far.
func (l *Log) All() []Fact {
	facts, _ := l.look()
	return facts
}

func (l *Log) look() ([]Fact, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.facts), l.grown
}

// Await waits until n facts were published and returns all.
func (l *Log) Await(t testing.TB, n int) []Fact {
	t.Helper()
	return l.Until(t, func(facts []Fact) bool { return len(facts) >= n })
}

// Until waits until a condition holds for what was published, and returns it.
func (l *Log) Until(t testing.TB, holds func([]Fact) bool) []Fact {
	t.Helper()
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	for {
		facts, grown := l.look()
		if holds(facts) {
			return facts
		}
		select {
		case <-grown:
		case <-limit.C:
			t.Fatalf("waited in vain for more than these %d facts: %v", len(facts), names(facts))
		}
	}
}

func names(facts []Fact) (out []string) {
	for _, f := range facts {
		out = append(out, f.Envelope.Type+" "+f.Key)
	}
	return out
}

// Written are all facts that stand in the outbox, in the order in which they were
// written, each held against the event contract.
func Written(t testing.TB, db *outbox.DB) []events.Envelope {
	t.Helper()
	rows, err := db.Pool().Query(t.Context(), `SELECT payload FROM outbox ORDER BY seq`)
	if err != nil {
		t.Fatal(err)
	}
	raws, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		t.Fatal(err)
	}
	list := make([]events.Envelope, len(raws))
	for i, raw := range raws {
		if err := schemas.Validate(raw); err != nil {
			t.Errorf("published %s: %v", raw, err)
		}
		if list[i], err = events.Decode(raw); err != nil {
			t.Fatal(err)
		}
	}
	return list
}
