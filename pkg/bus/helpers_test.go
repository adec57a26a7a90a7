package bus

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"

	"github.com/cartwheel-shop/cartwheel/pkg/bus/bustest"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/inbox"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
	"github.com/cartwheel-shop/cartwheel/pkg/postgres"
	"github.com/cartwheel-shop/cartwheel/pkg/postgres/embedded"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if raw := os.Getenv(victimVariable); raw != "" {
		fmt.Fprintln(os.Stderr, "victim:", runVictim(raw))
		os.Exit(1)
	}
	// These tests wait more than they work; two at a time, as on a small machine,
	// would take minutes.
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("24")
	}
	otel.SetTextMapPropagator(propagation.TraceContext{}) // as a service does
	code := m.Run()
	if server.stop != nil {
		server.stop()
	}
	os.Exit(code)
}

// server is the Postgres of this test binary, started when a test needs it.
var server struct {
	once sync.Once
	url  string
	err  error
	stop func()
}

func serverURL() (string, error) {
	if url := os.Getenv("POSTGRES_URL"); url != "" {
		return url, nil
	}
	server.once.Do(func() {
		dir, err := os.MkdirTemp("", "cartwheel-bus")
		if err != nil {
			server.err = err
			return
		}
		s, err := embedded.Start(context.Background(), embedded.Config{Dir: dir, Throwaway: true, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			server.err = err
			return
		}
		server.url = s.URL()
		server.stop = func() {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			if err := s.Stop(ctx); err != nil {
				fmt.Fprintln(os.Stderr, "stop postgres:", err)
			}
			_ = os.RemoveAll(dir)
		}
	})
	return server.url, server.err
}

// database returns a fresh database with outbox, inbox and a table of effects.
func database(t *testing.T) *outbox.DB {
	t.Helper()
	url, err := serverURL()
	if err != nil {
		t.Fatal(err)
	}
	var pool *pgxpool.Pool
	name := bustest.Unique("bus")
	bustest.Await(t, func() bool { // many tests at once are more than a busy server lets in in time
		pool, err = postgres.Open(t.Context(), url, name, slog.New(slog.DiscardHandler), 8, outbox.Migrations, inbox.Migrations)
		return err == nil
	}, "a database")
	t.Cleanup(pool.Close)
	if _, err := pool.Exec(t.Context(), `CREATE TABLE effects (seq bigint GENERATED ALWAYS AS IDENTITY, key text NOT NULL, version bigint NOT NULL)`); err != nil {
		t.Fatal(err)
	}
	return outbox.Open(pool, "test")
}

func effect(ctx context.Context, tx outbox.Tx, m events.Metadata) error {
	_, err := tx.Exec(ctx, `INSERT INTO effects (key, version) VALUES ($1, $2)`, m.AggregateID, m.AggregateVersion)
	return err
}

// effects returns the versions that took effect for each key, in their order.
func effects(t *testing.T, db *outbox.DB) map[string][]int64 {
	t.Helper()
	rows, err := db.Pool().Query(t.Context(), `SELECT key, array_agg(version ORDER BY seq) FROM effects GROUP BY key`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out := map[string][]int64{}
	for rows.Next() {
		var key string
		var versions []int64
		if err := rows.Scan(&key, &versions); err != nil {
			t.Fatal(err)
		}
		out[key] = versions
	}
	if rows.Err() != nil {
		t.Fatal(rows.Err())
	}
	return out
}

func count(m map[string][]int64) (n int) {
	for v := range maps.Values(m) {
		n += len(v)
	}
	return n
}

// shop is a service under test: a broker and one topic of its own, so that tests
// may share a broker. Its consumers read that topic instead of the contract's.
type shop struct {
	t       *testing.T
	cfg     Config
	topic   string
	brokers []string
}

func newShop(t *testing.T, partitions int32) *shop {
	t.Helper()
	return newShopAt(t, bustest.Brokers(t), partitions)
}

func newShopAt(t *testing.T, brokers []string, partitions int32) *shop {
	t.Helper()
	return &shop{
		t: t, brokers: brokers, topic: bustest.Topic(t, brokers, "facts", partitions),
		cfg: Config{Brokers: brokers, Service: bustest.Unique("svc"), Log: testLog(t), Backoff: time.Millisecond, Drain: 2 * time.Second},
	}
}

// testLog shows warnings of a failing test.
func testLog(t *testing.T) *slog.Logger {
	return slog.New(minLevel{slog.NewTextHandler(t.Output(), nil), slog.LevelWarn})
}

// run starts the consumers and returns what stops them; the test's end does too.
func (s *shop) run(consumers ...Consumer) (stop func()) {
	s.t.Helper()
	for i := range consumers {
		consumers[i].topics = []string{s.topic}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, s.cfg, consumers) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				s.t.Errorf("Run: %v", err)
			}
		case <-time.After(bustest.Patience):
			s.t.Error("Run does not end")
		}
	})
	s.t.Cleanup(stop)
	return stop
}

func (s *shop) group(consumer string) string { return s.cfg.Service + "." + consumer }

// write writes events of the shop's topic, in their order.
func (s *shop) write(envs ...events.Envelope) {
	s.t.Helper()
	records := make([]*kgo.Record, len(envs))
	for i, env := range envs {
		records[i] = bustest.Record(s.t, s.topic, env)
	}
	bustest.Write(s.t, s.brokers, records...)
}

func (s *shop) writeRaw(key, value string, headers ...kgo.RecordHeader) {
	s.t.Helper()
	bustest.Write(s.t, s.brokers, &kgo.Record{Topic: s.topic, Key: []byte(key), Value: []byte(value), Headers: headers})
}

// letters waits for n dead letters of a consumer and returns them, newest first.
func (s *shop) letters(consumer string, n int) []DeadLetter {
	s.t.Helper()
	admin := s.admin()
	var list []DeadLetter
	bustest.Await(s.t, func() bool {
		var err error
		if list, err = admin.DeadLetters(s.t.Context(), Filter{Group: s.group(consumer)}); err != nil {
			s.t.Fatal(err)
		}
		return len(list) >= n
	}, "%d dead letters of %s", n, consumer)
	if len(list) != n {
		s.t.Fatalf("%d dead letters, want %d: %+v", len(list), n, list)
	}
	return list
}

func (s *shop) admin() *Admin {
	s.t.Helper()
	admin, err := NewAdmin(s.cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(admin.Close)
	return admin
}

// committed returns how many offsets of the shop's topic a group has committed.
func (s *shop) committed(consumer string) (total int64) {
	s.t.Helper()
	offsets, err := kadm.NewClient(s.admin().client).FetchOffsets(s.t.Context(), s.group(consumer))
	if errors.Is(err, kerr.GroupIDNotFound) || kerr.IsRetriable(err) {
		return 0 // it has not been joined yet, or its coordinator is not there yet
	}
	if err != nil {
		s.t.Fatal(err)
	}
	offsets.Each(func(o kadm.OffsetResponse) {
		if o.Topic == s.topic && o.At > 0 {
			total += o.At
		}
	})
	return total
}

// order is a fact to test with.
func order(t *testing.T, key string, version int64) events.Envelope {
	return bustest.Event(t, events.OrderConfirmed{OrderID: key, CustomerID: "cus_1", Channel: "web", Total: events.Money{Amount: 100, Currency: "EUR"}}, version)
}

// orders are the facts 1..n of each key, the keys taking turns.
func orders(t *testing.T, keys, n int) []events.Envelope {
	var out []events.Envelope
	for v := range n {
		for k := range keys {
			out = append(out, order(t, fmt.Sprintf("ord_%d", k), int64(v+1)))
		}
	}
	return out
}

// wantInOrder checks that each of the keys has the effects 1..n, in order.
func wantInOrder(t *testing.T, got map[string][]int64, keys, n int) {
	t.Helper()
	if len(got) != keys {
		t.Errorf("%d keys took effect, want %d", len(got), keys)
	}
	for key, versions := range got {
		for i, v := range versions {
			if v != int64(i+1) {
				t.Errorf("%s: effects %v, want 1 to %d in order, once each", key, versions, n)
				break
			}
		}
		if len(versions) != n {
			t.Errorf("%s: %d effects, want %d", key, len(versions), n)
		}
	}
}

// recorder collects what handlers saw.
type recorder struct {
	mu   sync.Mutex
	seen map[string][]int64
}

func (r *recorder) add(m events.Metadata) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil {
		r.seen = map[string][]int64{}
	}
	r.seen[m.AggregateID] = append(r.seen[m.AggregateID], m.AggregateVersion)
}

func (r *recorder) get() map[string][]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.seen)
}

func (r *recorder) count() int { return count(r.get()) }

func createOne(topic string, partitions int32) func(context.Context, *kadm.Client) error {
	return func(ctx context.Context, admin *kadm.Client) error {
		_, err := admin.CreateTopic(ctx, partitions, 1, nil, topic)
		if errors.Is(err, kerr.TopicAlreadyExists) {
			return nil
		}
		return err
	}
}

func truncation(topic string, before int64) func(context.Context, *kadm.Client) error {
	return func(ctx context.Context, admin *kadm.Client) error {
		var to kadm.Offsets
		to.AddOffset(topic, 0, before, -1)
		deleted, err := admin.DeleteRecords(ctx, to)
		if err != nil {
			return err
		}
		return deleted.Error()
	}
}
