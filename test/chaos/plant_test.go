//go:build real

package chaos

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/inbox"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
	"github.com/cartwheel-shop/cartwheel/pkg/postgres/postgrestest"
	"github.com/cartwheel-shop/cartwheel/stack/native"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

const (
	keys     = 40
	writers  = 4
	patience = 5 * time.Minute
)

// plant is everything that a fact goes through: writers, two relays, a broker
// behind a proxy, and two members of each of two consumers.
type plant struct {
	t      *testing.T
	proxy  *proxy
	broker *native.Server
	pool   *pgxpool.Pool
	cfg    bus.Config

	parts []*part

	mu        sync.Mutex
	committed map[string]int64 // facts, by key
	writing   sync.WaitGroup
	stopped   atomic.Bool
}

// part is something that can be stopped and started again.
type part struct {
	name string
	run  func(context.Context) error
	stop func()
}

func build(t *testing.T) *plant {
	t.Helper()
	p := &plant{t: t, proxy: openProxy(t), committed: map[string]int64{}}
	p.pool = postgrestest.Open(t, outbox.Migrations, inbox.Migrations)
	if _, err := p.pool.Exec(t.Context(), `CREATE TABLE effects (seq bigint GENERATED ALWAYS AS IDENTITY, consumer text, key text, version bigint, reason text)`); err != nil {
		t.Fatal(err)
	}
	p.broker = startKafka(t, p.proxy.addr())
	go p.proxy.serve(p.broker.Addr)
	p.cfg = bus.Config{Brokers: []string{p.proxy.addr()}, Service: "chaos", Log: logger(t)}
	if err := bus.EnsureTopics(t.Context(), p.cfg); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		p.start(fmt.Sprintf("relay %d", i+1), p.relay)
	}
	for i := range 2 {
		p.start(fmt.Sprintf("member %d", i+1), p.consume)
	}
	return p
}

func logger(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
}

func startKafka(t *testing.T, advertised string) *native.Server {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := native.Kafka(ctx, filepath.Join(cache, "cartwheel"), t.TempDir(), freePort(t), freePort(t), slog.New(slog.DiscardHandler),
		func(what string) { t.Log(what) }, "advertised.listeners=PLAINTEXT://"+advertised)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

func freePort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

// start runs a part until it is stopped, or the test ends.
func (p *plant) start(name string, run func(context.Context) error) {
	x := &part{name: name, run: run}
	p.parts = append(p.parts, x)
	p.resume(x)
	p.t.Cleanup(func() { x.stop() })
}

func (p *plant) resume(x *part) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- x.run(ctx) }()
	x.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			p.t.Errorf("%s ended: %v", x.name, err)
		}
	})
}

// relay is a relay as in a process of its own.
func (p *plant) relay(ctx context.Context) error {
	pub, err := bus.NewPublisher(p.cfg)
	if err != nil {
		return err
	}
	defer pub.Close()
	return outbox.NewRelay(outbox.Open(p.pool, "chaos"), pub, p.cfg.Log).Run(ctx)
}

// consume is a member of each consumer as in a process of its own.
func (p *plant) consume(ctx context.Context) error {
	db := outbox.Open(p.pool, "chaos")
	return bus.Run(ctx, p.cfg, []bus.Consumer{
		bus.Once("one", db, bus.OnTx(func(ctx context.Context, tx outbox.Tx, e events.Of[events.OrderCancelled]) error {
			return effect(ctx, tx, "one", e)
		})),
		bus.Batch("many", db, 200, func(ctx context.Context, tx outbox.Tx, list []events.Of[events.OrderCancelled]) error {
			for _, e := range list {
				if err := effect(ctx, tx, "many", e); err != nil {
					return err
				}
			}
			return nil
		}),
	})
}

func effect(ctx context.Context, tx pgx.Tx, consumer string, e events.Of[events.OrderCancelled]) error {
	_, err := tx.Exec(ctx, `INSERT INTO effects (consumer, key, version, reason) VALUES ($1, $2, $3, $4)`,
		consumer, e.Metadata.AggregateID, e.Metadata.AggregateVersion, e.Data.Reason)
	return err
}

const (
	kept       = "committed"
	rolledBack = "rolled back"
)

// write commits facts, and rolls some back, until the plant is stopped. One more
// transaction, which has a transaction id, stays open all the while.
func (p *plant) write(seed uint64) {
	open, err := p.pool.Begin(p.t.Context())
	if err == nil {
		_, err = open.Exec(p.t.Context(), `SELECT pg_current_xact_id()`)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = open.Rollback(context.Background()) })
	for i := range writers {
		p.writing.Go(func() {
			db, random := outbox.Open(p.pool, "chaos"), rand.New(rand.NewPCG(seed, uint64(i)))
			for !p.stopped.Load() {
				if err := p.transaction(db, random); err != nil {
					p.t.Errorf("a writer: %v", err)
					return
				}
				time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
			}
		})
	}
}

var errOnPurpose = fmt.Errorf("rolled back on purpose")

// transaction publishes one to three facts. One in six is rolled back, one in six
// rolls a savepoint back.
func (p *plant) transaction(db *outbox.DB, random *rand.Rand) error {
	facts := make([]events.Payload, 1+random.IntN(3))
	fate := random.IntN(6)
	for i := range facts {
		facts[i] = events.OrderCancelled{OrderID: fmt.Sprintf("ord_%02d", random.IntN(keys)), Channel: "web", Reason: kept}
	}
	lost := events.OrderCancelled{OrderID: fmt.Sprintf("ord_%02d", random.IntN(keys)), Channel: "web", Reason: rolledBack}
	err := db.Tx(context.Background(), func(tx outbox.Tx) error {
		switch fate {
		case 0:
			tx.Publish(lost)
			return errOnPurpose
		case 1:
			inner, err := tx.Begin(context.Background())
			if err != nil {
				return err
			}
			inner.(outbox.Tx).Publish(lost)
			if err := inner.Rollback(context.Background()); err != nil {
				return err
			}
		}
		tx.Publish(facts...)
		return nil
	})
	if fate == 0 && err == errOnPurpose {
		return nil
	}
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range facts {
		p.committed[f.AggregateID()]++
	}
	return nil
}

// finish stops the writers and returns how many facts were committed.
func (p *plant) finish() (n int) {
	p.stopped.Store(true)
	p.writing.Wait()
	for _, v := range p.committed {
		n += int(v)
	}
	return n
}

// signal sends the broker's process a signal.
func (p *plant) signal(sig syscall.Signal) {
	p.t.Helper()
	pid, err := p.broker.Pid()
	if err == nil {
		err = syscall.Kill(pid, sig)
	}
	if err != nil {
		p.t.Fatalf("signal %s: %v", sig, err)
	}
}
