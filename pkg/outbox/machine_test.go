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
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/postgres/postgrestest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

var quiet = slog.New(slog.DiscardHandler)

// A machine is a database with an outbox whose writers and relays are moved one
// step at a time, beside a model of what they must lead to. Nothing in it runs
// by itself, so a schedule says exactly what happens in which order.
type machine struct {
	t      rapid.TB
	ctx    context.Context
	db     *DB
	name   string // in front of all keys of this run
	relay  sender // the first of the relays
	relays []sender
	kafka  *kafka

	writers  []*writer
	prepared []*facts
	locked   map[topicKey]bool
	tokens   int
	twoPhase bool

	committed map[topicKey][]string // tokens in the order of commits
	stored    [Shards]place

	rolledBack int // rows
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
	// share takes, keeps or gives up shards, and begins anew with what is stored.
	share(ctx context.Context) error
	// poll hands over what is unsent.
	poll(ctx context.Context) (handed int, err error)
	// store stores what is answered.
	store(ctx context.Context) error
	// storeQuiet stores the places of all shards, also of those of which nothing was sent.
	storeQuiet(ctx context.Context) error
	// kill forgets what is not stored. What is under way is lost; the lease is over
	// when the connection is.
	kill(ctx context.Context, connectionToo bool) error
	// leave is an orderly stop.
	leave(ctx context.Context) error
	up() bool
	caughtUp() bool
	chunk(rows int)
	room(rows int)
	wire() *wire
}

type maker func(*DB, *kafka, *pgxpool.Conn) sender

var runs atomic.Int64

// newMachine returns a machine with a relay for each of the connections given.
func newMachine(t rapid.TB, db *DB, writers []*pgxpool.Conn, make maker, relays ...*pgxpool.Conn) *machine {
	m := &machine{
		t: t, ctx: context.Background(), db: db, name: fmt.Sprintf("run%d-", runs.Add(1)), kafka: &kafka{},
		locked: map[topicKey]bool{}, committed: map[topicKey][]string{},
	}
	for _, c := range writers {
		m.writers = append(m.writers, &writer{conn: c})
	}
	var most int
	m.must(db.pool.QueryRow(m.ctx, `SELECT current_setting('max_prepared_transactions')::int`).Scan(&most))
	m.twoPhase = most >= len(writers)                          // an external server may not allow it
	_, err := db.pool.Exec(m.ctx, `DELETE FROM outbox_relays`) // of the run before
	m.must(err)
	for _, conn := range relays {
		m.relays = append(m.relays, make(db, m.kafka, conn))
	}
	m.relay = m.relays[0]
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
	batch := &pgx.Batch{}
	m.must(m.db.queue(m.ctx, batch, payloads))
	m.must(w.conn.SendBatch(m.ctx, batch).Close())
	return done
}

// insertAndRollBackTo inserts in a savepoint that is rolled back.
func (m *machine) insertAndRollBackTo(w *writer, keys ...topicKey) {
	m.t.Helper()
	w.exec(m, `SAVEPOINT s`)
	m.write(w, keys)
	w.exec(m, `ROLLBACK TO SAVEPOINT s`)
	m.rolledBack += len(keys)
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
	if !commit {
		m.rolledBack += len(done.list)
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

// poll has the first relay send all that it finds, and store it.
func (m *machine) poll() int {
	m.t.Helper()
	n := m.look(m.relay)
	m.settle(m.relay)
	return n
}

// look has a relay poll, which is started when it is not running.
func (m *machine) look(r sender) int {
	m.t.Helper()
	if !r.up() {
		m.must(r.share(m.ctx))
	}
	n, err := r.poll(m.ctx)
	m.must(err)
	return n
}

// settle has all arrive and be answered that a relay has under way, and stored.
func (m *machine) settle(r sender) {
	m.t.Helper()
	r.wire().arrive(all)
	r.wire().answer(all)
	m.store(r)
}

// readmit has a relay go on until no topic is set aside: it would begin anew before
// that.
func (m *machine) readmit(r sender) {
	m.t.Helper()
	o, ours := r.(interface{ setAside() bool })
	for round := 0; ours && o.setAside(); round++ {
		m.look(r)
		m.settle(r)
		if round > 1000 {
			m.t.Fatalf("a topic stays aside")
		}
	}
}

// store has a relay store. One that is fenced stores nothing and begins anew.
func (m *machine) store(r sender) {
	m.t.Helper()
	m.afterStore(r, r.store(m.ctx))
}

func (m *machine) storeQuiet(r sender) {
	m.t.Helper()
	m.afterStore(r, r.storeQuiet(m.ctx))
}

func (m *machine) afterStore(r sender, err error) {
	m.t.Helper()
	if errors.Is(err, errFenced) {
		m.kafka.failed = true // what it had sent is sent by another too
		err = r.share(m.ctx)
	}
	m.must(err)
	m.noStepBack()
}

// restart kills the first relay and starts it again.
func (m *machine) restart() {
	m.t.Helper()
	m.must(m.relay.kill(m.ctx, true))
	m.must(m.relay.share(m.ctx))
}

// expire ends a relay's lease without its knowledge.
func (m *machine) expire(r sender) {
	m.t.Helper()
	if o, ours := r.(interface{ leased() *lease }); ours {
		_, err := m.db.pool.Exec(m.ctx, `UPDATE outbox_relays SET until = clock_timestamp() - interval '1 second' WHERE relay = $1`, o.leased().relay)
		m.must(err)
	}
}

// noStepBack checks that no stored position has moved back: only a relay that has
// lost a shard could do that.
func (m *machine) noStepBack() {
	m.t.Helper()
	rows, err := m.db.pool.Query(m.ctx, `SELECT shard, hi, pg_snapshot_xmax(snapshot)::text::bigint, system FROM outbox_cursors`)
	m.must(err)
	var shard int
	var at place
	_, err = pgx.ForEachRow(rows, []any{&shard, &at.hi, &at.xmax, &at.system}, func() error {
		if was := m.stored[shard]; at.hi < was.hi || at.xmax < was.xmax && at.system == was.system {
			m.t.Fatalf("the cursor of shard %d went back from %+v to %+v", shard, was, at)
		}
		m.stored[shard] = at
		return nil
	})
	m.must(err)
}

type place struct{ hi, xmax, system int64 }

// arriveAll has all relays that are up send everything that is committed, and
// checks it. Transactions that are open stay open.
func (m *machine) arriveAll() {
	m.t.Helper()
	live := []string{}
	for _, r := range m.relays {
		if o, ours := r.(interface{ leased() *lease }); ours && r.up() {
			live = append(live, o.leased().relay)
		}
	}
	_, err := m.db.pool.Exec(m.ctx, `UPDATE outbox_relays SET until = clock_timestamp() - interval '1 second' WHERE relay <> ALL ($1)`, live)
	m.must(err)
	for round := 0; ; round++ {
		quiet := true
		for range m.relays { // shards are given up in one round and taken in the next
			for _, r := range m.relays {
				if r.up() {
					m.settle(r)
					m.readmit(r)
					m.must(r.share(m.ctx))
				}
			}
		}
		for _, r := range m.relays {
			if r.up() {
				n := m.look(r)
				m.settle(r)
				quiet = quiet && n == 0 && r.caughtUp()
			}
		}
		if quiet {
			break
		}
		if round > 100 {
			m.t.Fatalf("the relays do not come to an end")
		}
	}
	m.verify()
}

// drain ends all transactions and has everything sent, by all relays.
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
	if !m.relay.up() {
		m.must(m.relay.share(m.ctx))
	}
	m.arriveAll()
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

// kafka keeps what arrives, in its order.
type kafka struct {
	mu     sync.Mutex
	log    []received
	failed bool // something happened that may lead to repeats
	taken  bool // by a relay of a rule that knows only one
}

type received struct {
	topicKey
	version int64
	token   string
}

// wire is a relay's way to Kafka. Nothing arrives, and nothing is answered, before
// the schedule says so. Messages of a key arrive in order; answers have none.
type wire struct {
	kafka *kafka
	mu    sync.Mutex
	sent  []*sent
}

type sent struct {
	topicKey
	payload []byte
	arrived bool
	answer  func(error)
}

// all is more than there are.
const all = 1 << 30

func (w *wire) PublishAsync(topic string, messages []Message, answered func(int, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, m := range messages {
		w.sent = append(w.sent, &sent{topicKey{topic, string(m.Key)}, m.Payload, false, func(err error) { answered(i, err) }})
	}
}

func (w *wire) Publish(string, ...*message.Message) error { return errors.New("not used") }
func (w *wire) Close() error                              { return nil }

// keys of what has arrived or not, as they first stand on the wire.
func (w *wire) keys(arrived bool) (out []topicKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.sent {
		if s.arrived == arrived && !slices.Contains(out, s.topicKey) {
			out = append(out, s.topicKey)
		}
	}
	return out
}

// arrive has up to n messages arrive, of these keys or of any.
func (w *wire) arrive(n int, keys ...topicKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.sent {
		if s.arrived || len(keys) > 0 && !slices.Contains(keys, s.topicKey) {
			continue
		}
		if n--; n < 0 {
			return
		}
		s.arrived = true
		w.kafka.take(s.topicKey, s.payload)
	}
}

// answer answers up to n messages that have arrived.
func (w *wire) answer(n int, keys ...topicKey) {
	w.mu.Lock()
	var now, left []*sent
	for _, s := range w.sent {
		if s.arrived && (len(keys) == 0 || slices.Contains(keys, s.topicKey)) && len(now) < n {
			now = append(now, s)
		} else {
			left = append(left, s)
		}
	}
	w.sent = left
	w.mu.Unlock()
	for _, s := range now {
		s.answer(nil)
	}
}

// cut loses what is under way.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = nil
}

func (k *kafka) take(key topicKey, payload []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var env struct {
		Data struct {
			CustomerID string `json:"customer_id"`
			Reason     string `json:"reason"`
		} `json:"data"`
		Metadata events.Metadata `json:"metadata"`
	}
	if err := json.Unmarshal(payload, &env); err != nil {
		panic(err)
	}
	k.log = append(k.log, received{topicKey: key, version: env.Metadata.AggregateVersion, token: env.Data.CustomerID + env.Data.Reason})
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

// ours is the relay, one step at a time.
type ours struct {
	relay *Relay
	conn  *pgxpool.Conn
	way   *wire
	lease *lease
	pipe  *pipe // nil: it is not running
}

func newOurs(db *DB, k *kafka, conn *pgxpool.Conn) sender { return oursOf(db, k, conn) }

func oursOf(db *DB, k *kafka, conn *pgxpool.Conn) *ours {
	way := &wire{kafka: k}
	return &ours{relay: NewRelay(db, way, quiet, WithLease(time.Hour)), conn: conn, way: way}
}

func (o *ours) share(ctx context.Context) error {
	if o.lease == nil {
		if err := o.relay.adopt(ctx, o.conn); err != nil {
			return err
		}
		o.lease = &lease{relay: o.relay.name, length: o.relay.lease}
	}
	if err := o.lease.join(ctx, o.conn); err != nil {
		return err
	}
	if o.pipe != nil {
		o.pipe.over.Store(true)
	}
	if err := o.lease.rebalance(ctx, o.conn); err != nil {
		return err
	}
	c, err := o.relay.load(ctx, o.conn, o.lease)
	if err != nil {
		return err
	}
	o.pipe = newPipe(o.relay, o.conn, c)
	return o.relay.block(ctx, o.conn, c)
}

func (o *ours) poll(ctx context.Context) (int, error) { return o.pipe.poll(ctx) }

func (o *ours) store(ctx context.Context) error { return o.pipe.store(ctx) }

func (o *ours) storeQuiet(ctx context.Context) error {
	o.pipe.flight.touch(o.pipe.cur.ours)
	return o.store(ctx)
}

func (o *ours) kill(ctx context.Context, connectionToo bool) error {
	old := o.relay
	o.way.cut()
	o.relay = NewRelay(old.db, o.way, quiet, WithLease(old.lease), WithChunk(old.chunkRows))
	o.relay.perShard, o.relay.partition = old.perShard, old.partition
	o.relay.budget.maxRows, o.relay.patience = old.budget.maxRows, old.patience
	o.pipe, o.lease = nil, nil
	if !connectionToo {
		return nil
	}
	_, err := o.relay.db.pool.Exec(ctx, `UPDATE outbox_relays SET pid = 0 WHERE relay = $1`, old.name)
	return err
}

func (o *ours) leave(ctx context.Context) error {
	if err := o.store(ctx); err != nil && !errors.Is(err, errFenced) {
		return err
	}
	if err := o.lease.leave(ctx, o.relay.db.pool); err != nil {
		return err
	}
	return o.kill(ctx, false)
}

func (o *ours) leased() *lease { return o.lease }
func (o *ours) up() bool       { return o.pipe != nil }
func (o *ours) caughtUp() bool { return o.pipe.caughtUp() }
func (o *ours) chunk(rows int) { WithChunk(rows)(o.relay) }

func (o *ours) setAside() bool { return o.pipe != nil && len(o.pipe.asides) > 0 }

// room makes the memory so small, and the patience none: a topic with rows that are
// not answered is set aside when there is no room for others.
func (o *ours) room(rows int) { o.relay.budget.maxRows, o.relay.patience = rows, 0 }
func (o *ours) wire() *wire   { return o.way }

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

// vacuum returns how many dead rows the outbox has.
func vacuum(t *testing.T, db *DB) (dead int) {
	t.Helper()
	cfg := db.pool.Config().ConnConfig.Copy()
	cfg.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		if !strings.Contains(n.Message, `.public.outbox_p`) {
			return
		}
		if _, counts, ok := strings.Cut(n.Message, "\ntuples: "); ok {
			var removed, remain, notYet int
			if _, err := fmt.Sscanf(counts, "%d removed, %d remain, %d are dead", &removed, &remain, &notYet); err != nil {
				t.Errorf("%v: %s", err, n.Message)
			}
			dead += removed + notYet
		}
	}
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), `VACUUM (VERBOSE) outbox`); err != nil {
		t.Fatal(err)
	}
	return dead
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
