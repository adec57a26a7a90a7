package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/postgres/postgrestest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

var quiet = slog.New(slog.DiscardHandler)

// A machine is a database with an outbox whose writers and relay are moved one
// step at a time, beside a model of what they must lead to. Nothing in it runs
// by itself, so a schedule says exactly what happens in which order.
type machine struct {
	t     rapid.TB
	ctx   context.Context
	db    *DB
	name  string // in front of all keys of this run
	relay sender
	kafka *kafka

	writers  []*writer
	prepared []*facts
	locked   map[topicKey]bool
	tokens   int
	twoPhase bool

	committed map[topicKey][]string // tokens in the order of commits
}

type topicKey struct{ topic, key string }

// facts are what a transaction has inserted.
type facts struct {
	gid  string // when prepared
	list []fact
}

type fact struct {
	topicKey
	token string
}

// writer is a connection that is in a transaction or not.
type writer struct {
	conn *pgxpool.Conn
	open bool
	done *facts // inserted, which is the last step before the end
}

// sender is a relay of ours, or a variant that does it another way.
type sender interface {
	poll(ctx context.Context) (sent int, err error)
	restart()
	noteQuiet(ctx context.Context) error
	caughtUp() bool
	chunk(rows int)
	note(always bool) // store the cursor after each chunk, or as late as can be
}

var runs atomic.Int64

func newMachine(t rapid.TB, db *DB, writers []*pgxpool.Conn, make func(*DB, *kafka, *pgxpool.Conn) sender, conn *pgxpool.Conn) *machine {
	m := &machine{
		t: t, ctx: context.Background(), db: db, name: fmt.Sprintf("run%d-", runs.Add(1)), kafka: &kafka{},
		locked: map[topicKey]bool{}, committed: map[topicKey][]string{},
	}
	m.relay = make(db, m.kafka, conn)
	for _, c := range writers {
		m.writers = append(m.writers, &writer{conn: c})
	}
	var most int
	m.must(db.pool.QueryRow(m.ctx, `SELECT current_setting('max_prepared_transactions')::int`).Scan(&most))
	m.twoPhase = most >= len(writers) // an external server may not allow it
	return m
}

func (m *machine) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatalf("%v", err)
	}
}

func (w *writer) exec(m *machine, sql string) {
	m.t.Helper()
	_, err := w.conn.Exec(m.ctx, sql)
	m.must(err)
}

// begin opens a transaction; early means that it gets its id now, and not with
// its first row.
func (m *machine) begin(w *writer, early bool) {
	m.t.Helper()
	w.exec(m, `BEGIN`)
	if early {
		w.exec(m, `SELECT pg_current_xact_id()`)
	}
	w.open = true
}

// insert does what DB.Tx does just before commit, and pauses there.
func (m *machine) insert(w *writer, keys ...topicKey) {
	m.t.Helper()
	w.done = m.write(w, keys)
	for _, f := range w.done.list {
		m.locked[f.topicKey] = true
	}
}

func (m *machine) write(w *writer, keys []topicKey) *facts {
	m.t.Helper()
	done := &facts{}
	var payloads []events.Payload
	for _, k := range keys {
		m.tokens++
		token := fmt.Sprintf("%stoken%d", m.name, m.tokens)
		payloads = append(payloads, payload(k, token))
		done.list = append(done.list, fact{k, token})
	}
	args, err := m.db.rows(m.ctx, payloads)
	m.must(err)
	_, err = w.conn.Exec(m.ctx, insertRows, args...)
	m.must(err)
	return done
}

// insertAndRollBackTo inserts in a savepoint that is rolled back.
func (m *machine) insertAndRollBackTo(w *writer, keys ...topicKey) {
	m.t.Helper()
	w.exec(m, `SAVEPOINT s`)
	m.write(w, keys)
	w.exec(m, `ROLLBACK TO SAVEPOINT s`)
}

// insertInSavepoint inserts in a savepoint that is released.
func (m *machine) insertInSavepoint(w *writer, keys ...topicKey) {
	m.t.Helper()
	w.exec(m, `SAVEPOINT s`)
	m.insert(w, keys...)
	w.exec(m, `RELEASE SAVEPOINT s`)
}

func (m *machine) commit(w *writer) {
	m.t.Helper()
	w.exec(m, `COMMIT`)
	m.end(w.done, true)
	w.open, w.done = false, nil
}

func (m *machine) rollback(w *writer) {
	m.t.Helper()
	w.exec(m, `ROLLBACK`)
	m.end(w.done, false)
	w.open, w.done = false, nil
}

// prepare is the first phase of a two-phase commit: the transaction goes on
// without its connection.
func (m *machine) prepare(w *writer) *facts {
	m.t.Helper()
	done := w.done
	if done == nil {
		done = &facts{}
	}
	m.tokens++
	done.gid = fmt.Sprintf("%stx%d", m.name, m.tokens)
	w.exec(m, `PREPARE TRANSACTION '`+done.gid+`'`)
	m.prepared = append(m.prepared, done)
	w.open, w.done = false, nil
	return done
}

func (m *machine) decide(done *facts, commit bool) {
	m.t.Helper()
	verb := "ROLLBACK"
	if commit {
		verb = "COMMIT"
	}
	_, err := m.db.pool.Exec(m.ctx, verb+` PREPARED '`+done.gid+`'`)
	m.must(err)
	m.prepared = slices.DeleteFunc(m.prepared, func(f *facts) bool { return f == done })
	m.end(done, commit)
}

func (m *machine) end(done *facts, commit bool) {
	if done == nil {
		return
	}
	for _, f := range done.list {
		delete(m.locked, f.topicKey)
		if commit {
			m.committed[f.topicKey] = append(m.committed[f.topicKey], f.token)
		}
	}
}

// publish is a whole transaction.
func (m *machine) publish(w *writer, keys ...topicKey) {
	m.t.Helper()
	m.begin(w, false)
	m.insert(w, keys...)
	m.commit(w)
}

func (m *machine) poll() int {
	m.t.Helper()
	n, err := m.relay.poll(m.ctx)
	if err != nil && !errors.Is(err, errKafka) {
		m.t.Fatalf("poll: %v", err)
	}
	return n
}

// drain ends all transactions and polls until nothing is left.
func (m *machine) drain() {
	m.t.Helper()
	for _, w := range m.writers {
		if w.open {
			m.commit(w)
		}
	}
	for len(m.prepared) > 0 {
		m.decide(m.prepared[0], true)
	}
	m.kafka.heal()
	for range 1000 {
		if m.poll() == 0 && m.relay.caughtUp() {
			return
		}
	}
	m.t.Fatalf("the relay does not come to an end")
}

// verify compares what Kafka has with what was committed.
func (m *machine) verify() {
	m.t.Helper()
	total := 0
	for k, want := range m.committed {
		total += len(want)
		if got := m.kafka.firstOf(k); !slices.Equal(got, versioned(want)) {
			m.t.Fatalf("%s of %s: Kafka has, by first appearance, %v; committed were %v", k.topic, k.key, got, versioned(want))
		}
	}
	got := m.kafka.of(m.name)
	for k, list := range got {
		for _, token := range list {
			if !slices.Contains(m.committed[k], token) {
				m.t.Fatalf("%s of %s: Kafka has %s, which was never committed", k.topic, k.key, token)
			}
		}
	}
	if n := len(slices.Concat(slices.Collect(maps.Values(got))...)); !m.kafka.failed && n != total {
		m.t.Fatalf("Kafka has %d facts and %d were committed: some were sent twice without a cause", n, total)
	}
}

// abandon frees what a failed run holds.
func (m *machine) abandon() {
	for _, w := range m.writers {
		if w.open {
			_, _ = w.conn.Exec(m.ctx, `ROLLBACK`)
		}
	}
	for _, f := range m.prepared {
		_, _ = m.db.pool.Exec(m.ctx, `ROLLBACK PREPARED '`+f.gid+`'`)
	}
}

// versioned puts the version that each token must have before it.
func versioned(tokens []string) (out []string) {
	for i, t := range tokens {
		out = append(out, fmt.Sprintf("%d:%s", i+1, t))
	}
	return out
}

func payload(k topicKey, token string) events.Payload {
	if k.topic == events.TopicOrders {
		return events.OrderConfirmed{OrderID: k.key, CustomerID: token, Channel: "web", Total: events.Money{Amount: 1, Currency: "EUR"}}
	}
	return events.InventoryReleased{OrderID: k.key, Lines: []events.Item{{SKU: "tea", Quantity: 1}}, Reason: token}
}

func (m *machine) order(key string) topicKey { return topicKey{events.TopicOrders, m.name + key} }
func (m *machine) stock(key string) topicKey { return topicKey{events.TopicInventory, m.name + key} }

// kafka keeps what is published, in its order, and fails when told to.
type kafka struct {
	mu     sync.Mutex
	log    []received
	failIn int  // Publish calls until one fails; 0 for never
	after  bool // fail after the messages were taken
	failed bool
	topics map[string]int // Publish calls by topic
}

type received struct {
	topicKey
	version int64
	token   string
}

var errKafka = errors.New("connection lost")

func (k *kafka) Publish(topic string, messages ...*message.Message) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	fail := k.failIn == 1
	k.failIn = max(0, k.failIn-1)
	k.failed = k.failed || fail
	if fail && !k.after {
		return errKafka
	}
	for _, msg := range messages {
		var env struct {
			Data struct {
				CustomerID string `json:"customer_id"`
				Reason     string `json:"reason"`
			} `json:"data"`
			Metadata events.Metadata `json:"metadata"`
		}
		if err := json.Unmarshal(msg.Payload, &env); err != nil {
			return err
		}
		k.log = append(k.log, received{
			topicKey: topicKey{topic, msg.Metadata[KeyMetadata]}, version: env.Metadata.AggregateVersion, token: env.Data.CustomerID + env.Data.Reason,
		})
	}
	if k.topics == nil {
		k.topics = map[string]int{}
	}
	k.topics[topic]++
	if fail {
		return errKafka
	}
	return nil
}

func (k *kafka) Close() error { return nil }

func (k *kafka) heal() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.failIn = 0
}

// firstOf returns the facts of a key in the order of their first appearance.
func (k *kafka) firstOf(key topicKey) (out []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range k.log {
		if s := fmt.Sprintf("%d:%s", r.version, r.token); r.topicKey == key && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// of returns all facts of keys that begin with a name.
func (k *kafka) of(name string) map[topicKey][]string {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := map[topicKey][]string{}
	for _, r := range k.log {
		if strings.HasPrefix(r.key, name) {
			out[r.topicKey] = append(out[r.topicKey], r.token)
		}
	}
	return out
}

// ours is the relay, one poll at a time.
type ours struct {
	relay *Relay
	conn  *pgxpool.Conn
	cur   *cursor
}

func newOurs(db *DB, k *kafka, conn *pgxpool.Conn) sender {
	o := &ours{relay: NewRelay(db, k, quiet), conn: conn}
	o.note(true)
	return o
}

func (o *ours) load(ctx context.Context) (err error) {
	if o.cur == nil {
		o.cur, err = o.relay.load(ctx, o.conn)
	}
	return err
}

func (o *ours) poll(ctx context.Context) (int, error) {
	if err := o.load(ctx); err != nil {
		return 0, err
	}
	n, err := o.relay.poll(ctx, o.conn, o.cur)
	if err != nil {
		o.restart()
	}
	return n, err
}

func (o *ours) restart() { o.cur = nil }

func (o *ours) noteQuiet(ctx context.Context) error {
	if err := o.load(ctx); err != nil {
		return err
	}
	return o.relay.store(ctx, o.conn, o.cur, all)
}

func (o *ours) caughtUp() bool { return o.cur != nil && o.cur.caughtUp }

func (o *ours) chunk(rows int) { WithChunk(rows)(o.relay) }

func (o *ours) note(always bool) {
	o.relay.noteEvery = time.Hour
	if always {
		o.relay.noteEvery = 0
	}
}

// database returns a fresh database and connections to it, the last for a relay.
func database(t testing.TB, connections int) (*DB, []*pgxpool.Conn) {
	t.Helper()
	db := Open(postgrestest.Open(t, Migrations), "test")
	var conns []*pgxpool.Conn
	for range connections {
		c, err := db.pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Release)
		conns = append(conns, c)
	}
	return db, conns
}

// until polls a condition.
func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	limit := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
