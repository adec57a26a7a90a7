package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox/outboxtest"
)

// Everything at once, and really concurrent: contended keys, rollbacks, a
// publisher that fails before or after it took the messages, relays that end at
// any time, and connections that are cut.
func TestUnderConcurrency(t *testing.T) {
	db := open(t)
	log := outboxtest.NewLog()
	flaky := &flaky{Log: log}
	const writers, each = 6, 60
	writing, written := context.WithCancel(t.Context())
	defer written()

	var relays sync.WaitGroup
	relaying := func() {
		for i := 0; writing.Err() == nil; i++ {
			ctx, end := context.WithCancel(t.Context())
			flaky.calls.Store(0)
			flaky.hook.Store(&hook{at: 5 + i%7, do: end}) // ends this relay in the midst of its work
			relay := outbox.NewRelay(db, flaky, quiet, outbox.WithChunk(1+i%5), outbox.WithLease(200*time.Millisecond))
			stop := context.AfterFunc(writing, end)
			if err := relay.Run(ctx); err != nil {
				t.Error(err)
			}
			stop()
			end()
		}
	}
	for range 3 {
		relays.Go(relaying)
	}

	refused := errors.New("refused")
	var committed atomic.Int64
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(7, uint64(w)))
			for range each {
				n := 1 + random.IntN(3)
				refuse := random.IntN(5) == 0
				err := db.Tx(t.Context(), func(tx outbox.Tx) error {
					for range n {
						tx.Publish(confirmed(fmt.Sprintf("ord_%d", random.IntN(5)), map[bool]string{true: "refused", false: "cus_1"}[refuse]))
					}
					if refuse {
						return refused
					}
					return nil
				})
				switch {
				case refuse && errors.Is(err, refused):
				case err != nil:
					t.Error(err)
				default:
					committed.Add(int64(n))
				}
			}
		})
	}
	wg.Wait()
	written()
	relays.Wait()

	// A last relay, which nothing disturbs, sends the rest.
	flaky.hook.Store(nil)
	last := outbox.NewRelay(db, log, quiet)
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- last.Run(ctx) }()
	facts := log.Until(t, func(facts []outboxtest.Fact) bool { return len(distinct(facts)) >= int(committed.Load()) })
	end()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	inOrder(t, facts)
	if got, want := len(distinct(facts)), int(committed.Load()); got != want {
		t.Fatalf("%d facts were sent, %d committed", got, want)
	}
	for _, f := range facts {
		if strings.Contains(string(f.Raw), "refused") {
			t.Fatalf("a fact that was rolled back was sent: %s", f.Raw)
		}
	}
}

func distinct(facts []outboxtest.Fact) map[string]bool {
	ids := map[string]bool{}
	for _, f := range facts {
		ids[f.Envelope.ID] = true
	}
	return ids
}

// flaky fails some calls, every other time after the messages were taken.
type flaky struct {
	*outboxtest.Log
	calls atomic.Int64
	hook  atomic.Pointer[hook]
}

type hook struct {
	at int
	do func()
}

func (f *flaky) Publish(topic string, messages ...*message.Message) error {
	n := f.calls.Add(1)
	if h := f.hook.Load(); h != nil && int(n) == h.at {
		h.do()
	}
	if n%6 == 2 {
		return errors.New("not taken")
	}
	if err := f.Log.Publish(topic, messages...); err != nil {
		return err
	}
	if n%6 == 5 {
		return errors.New("taken, but the answer was lost")
	}
	return nil
}

func TestTheRelayOutlivesAnOutageOfKafka(t *testing.T) {
	db := open(t)
	log := outboxtest.NewLog()
	log.Fail(errors.New("no brokers"))
	said := &warned{more: make(chan struct{}, 1)}
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- outbox.NewRelay(db, log, slog.New(said)).Run(ctx) }()
	publish(t, db, confirmed("ord_1", "a"), confirmed("ord_1", "b"))
	<-said.more // it says what is wrong
	log.Fail(nil)
	inOrder(t, log.Await(t, 2))
	end()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func TestTheRelayOutlivesALostConnection(t *testing.T) {
	db := open(t)
	log := outboxtest.Run(t, db)
	publish(t, db, confirmed("ord_1", "a"))
	log.Await(t, 1)
	n := count(t, db, `SELECT count(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid()) t`)
	if n == 0 {
		t.Fatal("the relay has no connection")
	}
	publish(t, db, confirmed("ord_1", "b"))
	inOrder(t, log.Await(t, 2))
}

// warned is a log that says when it is given an error.
type warned struct{ more chan struct{} }

func (w *warned) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelError }
func (w *warned) WithAttrs([]slog.Attr) slog.Handler           { return w }
func (w *warned) WithGroup(string) slog.Handler                { return w }
func (w *warned) Handle(context.Context, slog.Record) error {
	select {
	case w.more <- struct{}{}:
	default:
	}
	return nil
}

// stuck is Kafka being away, for a publisher that never gives up.
type stuck struct {
	entered chan struct{}
	release chan struct{}
}

func (s *stuck) Publish(string, ...*message.Message) error {
	s.entered <- struct{}{}
	<-s.release
	return errors.New("closed")
}
func (s *stuck) Close() error { return nil }

func TestTheRelayStopsWhileKafkaIsAway(t *testing.T) {
	db := open(t)
	pub := &stuck{entered: make(chan struct{}, 1), release: make(chan struct{})}
	defer close(pub.release)
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- outbox.NewRelay(db, pub, quiet).Run(ctx) }()
	publish(t, db, confirmed("ord_1", "a"))
	<-pub.entered
	end()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	// It was not acknowledged, so the next relay sends it.
	if n, err := db.Pending(t.Context()); err != nil || n != 1 {
		t.Fatalf("%d facts wait, %v; want 1", n, err)
	}
	inOrder(t, outboxtest.Run(t, db).Await(t, 1))
}

// A stop in the midst of sending waits for the acknowledgement and notes it, so
// that an orderly restart sends nothing twice.
func TestAnOrderlyStopSendsNothingTwice(t *testing.T) {
	db := open(t)
	log := outboxtest.NewLog()
	ctx, end := context.WithCancel(t.Context())
	slow := &flaky{Log: log}
	slow.calls.Store(-6) // its first calls succeed
	slow.hook.Store(&hook{at: -5, do: end})
	publish(t, db, confirmed("ord_1", "a"))
	if err := outbox.NewRelay(db, slow, quiet).Run(ctx); err != nil {
		t.Fatal(err)
	}
	if n, err := db.Pending(t.Context()); err != nil || n != 0 {
		t.Fatalf("%d facts wait, %v; want 0", n, err)
	}
	if n := len(log.All()); n != 1 {
		t.Fatalf("sent %d times", n)
	}
}

// Commits of another process do not wake the relay.
func TestFactsOfOtherProcessesAreFound(t *testing.T) {
	db := open(t)
	log := outboxtest.Run(t, db)
	other := outbox.Open(db.Pool(), "other")
	publish(t, other, confirmed("ord_1", "a"))
	if got := log.Await(t, 1)[0].Envelope.Metadata.Producer; got != "other" {
		t.Fatalf("got a fact of %s", got)
	}
}

func TestLargeFactsAreSentInChunks(t *testing.T) {
	db := open(t)
	for i := range 12 {
		publish(t, db, confirmed(fmt.Sprintf("ord_%d", i), strings.Repeat("x", 900<<10)))
	}
	sizes := &sizes{Log: outboxtest.NewLog()}
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- outbox.NewRelay(db, sizes, quiet).Run(ctx) }()
	sizes.Await(t, 12)
	end()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if most := sizes.most.Load(); most > 5<<20 {
		t.Fatalf("%d bytes at once", most)
	}
}

type sizes struct {
	*outboxtest.Log
	most atomic.Int64
}

func (s *sizes) Publish(topic string, messages ...*message.Message) error {
	var n int64
	for _, m := range messages {
		n += int64(len(m.Payload))
	}
	s.most.Store(max(s.most.Load(), n))
	return s.Log.Publish(topic, messages...)
}
