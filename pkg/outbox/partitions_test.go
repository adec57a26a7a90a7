package outbox

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
)

const small = 10 // rows of a partition

// smallPartitions is a machine whose outbox has partitions of few rows.
func smallPartitions(t *testing.T) (*machine, *Relay) {
	t.Helper()
	db, conns := database(t, 4)
	m := newMachine(t, db, conns[:3], newOurs, conns[3])
	t.Cleanup(m.abandon)
	r := m.relay.(*ours).relay
	r.partition = small
	if _, err := db.pool.Exec(t.Context(), `DROP TABLE outbox_p0, outbox_p1`); err != nil {
		t.Fatal(err)
	}
	m.must(r.makePartitions(t.Context()))
	m.must(m.relay.share(t.Context()))
	return m, r
}

func partitions(t *testing.T, db *DB) []string {
	t.Helper()
	rows, err := db.pool.Query(t.Context(), `SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = inhrelid
		WHERE inhparent = 'outbox'::regclass ORDER BY length(relname), relname`)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestPartitionsAreMadeAhead(t *testing.T) {
	m, r := smallPartitions(t)
	for range 3 {
		for range small {
			m.publish(m.writers[0], m.order("a"), m.order("b"))
		}
		var wg sync.WaitGroup
		for range 3 { // as several relays would
			wg.Go(func() { m.must(r.makePartitions(t.Context())) })
		}
		wg.Wait()
	}
	// 60 rows are in partitions 0 to 6, and four more stand ready.
	if got := partitions(t, m.db); len(got) != 6+1+partitionsAhead {
		t.Fatalf("got %v", got)
	}
	var indexes int
	m.must(m.db.pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_inherits i JOIN pg_class c ON c.oid = inhparent WHERE c.relkind = 'I'`).Scan(&indexes))
	if want := 2 * (6 + 1 + partitionsAhead); indexes != want {
		t.Fatalf("%d indexes of partitions, want %d: late rows are found by index", indexes, want)
	}
	m.drain()
	m.verify()
}

// away is Kafka being away, for a publisher that never gives up.
type away struct{ until chan struct{} }

func (a away) Publish(string, ...*message.Message) error { <-a.until; return errors.New("closed") }
func (a away) Close() error                              { return nil }

// The shop must go on however long Kafka is away.
func TestPartitionsAreMadeWhileKafkaIsAway(t *testing.T) {
	m, _ := smallPartitions(t)
	m.publish(m.writers[0], m.order("a"))
	m.publish(m.writers[0], m.order("a"))
	if _, err := m.db.pool.Exec(t.Context(), `DROP TABLE outbox_p1, outbox_p2, outbox_p3, outbox_p4`); err != nil {
		t.Fatal(err)
	}
	kafka := away{make(chan struct{})}
	defer close(kafka.until)
	r := NewRelay(m.db, kafka, quiet)
	r.partition = small
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	until(t, "partitions", func() bool { return len(partitions(t, m.db)) == 1+partitionsAhead })
	end()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func TestPartitionsAreDroppedWhenAllIsSentAndOld(t *testing.T) {
	m, r := smallPartitions(t)
	fill := func() {
		t.Helper()
		for range small {
			m.publish(m.writers[0], m.order("a"))
		}
	}
	drop := func() []string {
		t.Helper()
		m.storeQuiet(m.relay)
		m.must(r.dropSent(t.Context()))
		return partitions(t, m.db)
	}
	has := func(names []string, name string) bool { return slices.Contains(names, name) }

	slow := m.writers[1]
	m.begin(slow, false)
	m.insert(slow, m.order("slow"))
	fill()
	if got := drop(); !has(got, "outbox_p0") {
		t.Fatalf("dropped what was not sent: %v", got)
	}
	fill()
	m.poll()
	if got := drop(); !has(got, "outbox_p0") {
		t.Fatalf("dropped what is not old: %v", got)
	}
	m.db.now = func() time.Time { return time.Now().Add(25 * time.Hour) }

	// An open transaction has a row in it; the shop's inserts go on.
	begun := time.Now()
	if got := drop(); !has(got, "outbox_p0") {
		t.Fatalf("dropped under an open transaction: %v", got)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Fatalf("waited %v for a lock", took)
	}
	m.commit(slow)
	if got := drop(); !has(got, "outbox_p0") {
		t.Fatalf("dropped a late row: %v", got)
	}
	m.poll()
	if got := drop(); has(got, "outbox_p0") {
		t.Fatalf("kept what is sent and old: %v", got)
	}
	if got := partitions(t, m.db); !has(got, "outbox_p2") {
		t.Fatalf("dropped a partition in use: %v", got)
	}
	m.drain()
	m.verify()
}

func TestAReaderIsNotWaitedFor(t *testing.T) {
	m, r := smallPartitions(t)
	for range 2 * small {
		m.publish(m.writers[0], m.order("a"))
	}
	m.poll()
	m.storeQuiet(m.relay)
	m.db.now = func() time.Time { return time.Now().Add(25 * time.Hour) }
	reader := m.writers[1]
	m.begin(reader, false)
	reader.exec(m, `SELECT count(*) FROM outbox`)
	m.must(r.dropSent(t.Context())) // ends, without an error
	if got := partitions(t, m.db); !slices.Contains(got, "outbox_p0") {
		t.Fatalf("dropped under a reader: %v", got)
	}
	m.rollback(reader)
	m.must(r.dropSent(t.Context()))
	if got := partitions(t, m.db); slices.Contains(got, "outbox_p0") {
		t.Fatalf("kept what is sent and old: %v", got)
	}
}
