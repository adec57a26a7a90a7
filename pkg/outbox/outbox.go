package outbox

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/postgres"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations is the outbox's tables.
var Migrations = postgres.Migrations{Name: "outbox", FS: must(fs.Sub(files, "migrations"))}

func must(fsys fs.FS, err error) fs.FS {
	if err != nil {
		panic(err) // the directory is embedded at compile time
	}
	return fsys
}

// Shards is the number of shards that keys are spread over.
const Shards = 64

// Shard is the shard of a key: FNV-1a, modulo Shards.
func Shard(key string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key)) // cannot fail
	return int(h.Sum32() % Shards)
}

// MaxPayload is the largest envelope in bytes. Kafka takes 1 MiB with headers.
const MaxPayload = 1<<20 - 1<<14

// TooLargeError is a fact that Kafka would never take; it fails the transaction
// that publishes it.
type TooLargeError struct {
	Type string
	Key  string
	Size int
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%s of %s has %d bytes, and a fact may have %d: put the bulk elsewhere and publish a reference", e.Type, e.Key, e.Size, MaxPayload)
}

// UnknownEventError is a fact outside the contract; it fails the transaction
// that publishes it.
type UnknownEventError struct{ Type string }

func (e *UnknownEventError) Error() string {
	return e.Type + " has no topic: it is not registered in package events"
}

// Tx is a transaction that also publishes facts.
type Tx interface {
	pgx.Tx
	// Publish adds facts to the transaction. They are kept in memory, in this
	// order, and inserted in one statement just before commit.
	Publish(payloads ...events.Payload)
}

// DB is a service's database with its outbox.
type DB struct {
	pool     *pgxpool.Pool
	producer string
	now      func() time.Time
	wake     chan struct{} // a commit has published something
}

// Option changes a DB.
type Option func(*DB)

// WithClock sets the clock of the facts' timestamps.
func WithClock(now func() time.Time) Option { return func(db *DB) { db.now = now } }

// Open returns the outbox of a migrated database. Producer is the service's
// name, as it stands in metadata.producer.
func Open(pool *pgxpool.Pool, producer string, opts ...Option) *DB {
	db := &DB{pool: pool, producer: producer, now: time.Now, wake: make(chan struct{}, 1)}
	for _, o := range opts {
		o(db)
	}
	return db
}

// Pool is the database's pool, for reading.
func (db *DB) Pool() *pgxpool.Pool { return db.pool }

type tx struct {
	pgx.Tx
	pending []events.Payload
	ended   bool
}

// Publish implements Tx. Publishing after the transaction's function has
// returned is a programming error and panics: the facts would be lost.
func (t *tx) Publish(payloads ...events.Payload) {
	if t.ended {
		panic("outbox: Publish after the end of the transaction")
	}
	t.pending = append(t.pending, payloads...)
}

// Tx runs fn in a transaction, inserts what fn has published, and commits. An
// error or panic of fn rolls back. fn must not commit by itself.
func (db *DB) Tx(ctx context.Context, fn func(Tx) error) (err error) {
	inner, err := db.pool.Begin(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	t := &tx{Tx: inner}
	defer func() {
		t.ended = true
		// After a commit this does nothing; a cancelled ctx must not keep the
		// connection in a transaction.
		if rollback := inner.Rollback(context.WithoutCancel(ctx)); rollback != nil && !errors.Is(rollback, pgx.ErrTxClosed) {
			err = errors.Join(err, fmt.Errorf("rollback: %w", rollback))
		}
	}()
	if err := fn(t); err != nil {
		return err
	}
	t.ended = true
	if err := db.insert(ctx, inner, t.pending); err != nil {
		return err
	}
	if err := inner.Commit(ctx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if len(t.pending) > 0 {
		select {
		case db.wake <- struct{}{}:
		default: // the relay is about to look anyway
		}
	}
	return nil
}

// insertRows takes the lock of each key's counter, in order, and draws sequence
// numbers only after all of them: the sort needs every row of bumped first. The
// version is spliced into the envelope here, so that one round trip is enough.
const insertRows = `
WITH input AS (
    SELECT * FROM unnest($1::int[], $2::smallint[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::bytea[], $8::bytea[])
        AS i (ord, shard, event_id, topic, key, headers, prefix, suffix)
), bumped AS (
    INSERT INTO outbox_keys AS k (topic, key, shard, version)
    SELECT topic, key, min(shard), count(*) FROM input GROUP BY topic, key ORDER BY topic, key
    ON CONFLICT (topic, key) DO UPDATE SET version = k.version + excluded.version
    RETURNING topic, key, version
), numbered AS (
    SELECT i.*, b.version - count(*) OVER (PARTITION BY topic, key)
        + row_number() OVER (PARTITION BY topic, key ORDER BY ord) AS version
    FROM input i JOIN bumped b USING (topic, key)
)
INSERT INTO outbox (shard, event_id, topic, key, headers, payload)
SELECT shard, event_id, topic, key, headers, prefix || convert_to(version::text, 'UTF8') || suffix
FROM numbered ORDER BY ord`

func (db *DB) insert(ctx context.Context, inner pgx.Tx, payloads []events.Payload) error {
	if len(payloads) == 0 {
		return nil
	}
	n := len(payloads)
	ords, shards := make([]int32, n), make([]int16, n)
	ids, topics, keys := make([]string, n), make([]string, n), make([]string, n)
	headers := make([]string, n)
	prefixes, suffixes := make([][]byte, n), make([][]byte, n)
	for i, p := range payloads {
		topic, ok := events.TopicOf(p.EventName())
		if !ok {
			return &UnknownEventError{events.Type(p)}
		}
		env, err := db.envelope(ctx, p)
		if err != nil {
			return err
		}
		raw, err := json.Marshal(env)
		if err != nil {
			return fmt.Errorf("encode %s: %w", env.Type, err)
		}
		if len(raw) > MaxPayload {
			return &TooLargeError{Type: env.Type, Key: p.AggregateID(), Size: len(raw)}
		}
		head, err := json.Marshal(headersOf(ctx, env))
		if err != nil {
			return fmt.Errorf("encode headers of %s: %w", env.Type, err)
		}
		ords[i], shards[i] = int32(i), int16(Shard(p.AggregateID()))
		ids[i], topics[i], keys[i], headers[i] = env.ID, topic, p.AggregateID(), string(head)
		prefixes[i] = bytes.TrimSuffix(raw, versionPlace)
		suffixes[i] = versionPlace[1:]
	}
	if _, err := inner.Exec(ctx, insertRows, ords, shards, ids, topics, keys, headers, prefixes, suffixes); err != nil {
		return fmt.Errorf("insert outbox rows: %w", err)
	}
	return nil
}

// versionPlace is how every encoded envelope ends: aggregate_version is the last
// field of metadata, metadata the last of the envelope, and it is 0 until the
// database assigns it.
var versionPlace = []byte(`0}}`)

func (db *DB) envelope(ctx context.Context, p events.Payload) (events.Envelope, error) {
	data, err := json.Marshal(p)
	if err != nil {
		return events.Envelope{}, fmt.Errorf("encode %s: %w", events.Type(p), err)
	}
	cause := events.CauseFrom(ctx)
	env := events.Envelope{
		Type: events.Type(p), ID: events.NewEventID(), Timestamp: db.now().UTC(),
		Version: strconv.Itoa(p.EventVersion()) + ".0", Data: data,
		Metadata: events.Metadata{
			Producer: db.producer, CorrelationID: cause.CorrelationID, CausationID: cause.CausationID, AggregateID: p.AggregateID(),
		},
	}
	if span := trace.SpanContextFromContext(ctx); span.HasTraceID() {
		env.Metadata.TraceID = span.TraceID().String()
	}
	return env, nil
}

// headersOf are CloudEvents attributes (binary mode, Kafka binding) and the W3C
// trace context.
func headersOf(ctx context.Context, env events.Envelope) map[string]string {
	h := map[string]string{
		"ce_specversion": "1.0", "ce_id": env.ID, "ce_type": env.Type, "ce_source": "/" + env.Metadata.Producer,
		"ce_time": env.Timestamp.Format(time.RFC3339Nano), "ce_subject": env.Metadata.AggregateID, "content-type": "application/json",
	}
	otel.GetTextMapPropagator().Inject(ctx, propagation.MapCarrier(h))
	return h
}
