package outbox

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/fault"
	"github.com/cartwheel-shop/cartwheel/pkg/postgres"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations is the outbox's tables.
var Migrations = postgres.Embedded("outbox", files)

// Shards is the number of shards that keys are spread over.
const Shards = 64

// Shard is the shard of a key: FNV-1a, modulo Shards.
func Shard(key string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key)) // cannot fail
	return int(h.Sum32() % Shards)
}

// Tx is a transaction that also publishes facts. Its Commit and Rollback fail:
// the transaction ends when the function that was given it returns.
type Tx interface {
	pgx.Tx
	// Publish adds facts to the transaction. They are kept in memory, in this
	// order, and inserted in one statement just before commit. What was published
	// since a Begin is forgotten when that savepoint is rolled back. A fact that
	// cannot be encoded or sent fails the transaction at its end.
	Publish(payloads ...events.Payload)
}

// DB is a service's database with its outbox.
type DB struct {
	pool     *pgxpool.Pool
	producer string
	now      func() time.Time
	wake     chan struct{} // a commit has published something
	faults   *fault.Points
}

// Option changes a DB.
type Option func(*DB)

// WithClock sets the clock of the facts' timestamps.
func WithClock(now func() time.Time) Option { return func(db *DB) { db.now = now } }

// WithFaults lets things go wrong on purpose, at commits and in relays.
func WithFaults(points *fault.Points) Option { return func(db *DB) { db.faults = points } }

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

// Tx runs fn in a transaction, inserts what fn has published, and commits; the
// insert travels with the COMMIT. An error or panic of fn rolls back.
//
// An error of the commit itself leaves open whether it happened, as with any
// database: the connection may have broken after it.
func (db *DB) Tx(ctx context.Context, fn func(Tx) error) (err error) {
	conn, err := db.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Release()
	inner, err := conn.Begin(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	t := &tx{Tx: inner}
	defer func() {
		t.ended = true
		if conn.Conn().PgConn().TxStatus() == idle {
			return
		}
		// A cancelled ctx must not keep the connection in a transaction.
		if rollback := inner.Rollback(context.WithoutCancel(ctx)); rollback != nil && !errors.Is(rollback, pgx.ErrTxClosed) {
			err = errors.Join(err, fmt.Errorf("rollback: %w", rollback))
		}
	}()
	if err := fn(t); err != nil {
		return err
	}
	t.ended = true
	if err := db.at(ctx, fault.CommitBefore, t.pending); err != nil {
		return err
	}
	if err := db.commit(ctx, inner, t.pending); err != nil {
		return err
	}
	if err := db.at(ctx, fault.CommitAfter, t.pending); err != nil {
		return err
	}
	if len(t.pending) > 0 {
		signal(db.wake)
	}
	return nil
}

// at is a point of a commit with facts.
func (db *DB) at(ctx context.Context, point fault.Point, facts []events.Payload) error {
	if db.faults == nil || len(facts) == 0 {
		return nil
	}
	keys := make([]string, len(facts))
	for i, f := range facts {
		keys[i] = f.AggregateID()
	}
	return db.faults.At(ctx, point, keys...)
}

// idle is the status of a connection outside a transaction.
const idle = 'I'

type tx struct {
	pgx.Tx
	pending []events.Payload
	ended   bool
}

// Publish panics after the end: the facts would be lost without a word.
func (t *tx) Publish(payloads ...events.Payload) {
	if t.ended {
		panic("outbox: Publish after the end of the transaction")
	}
	t.pending = append(t.pending, payloads...)
}

var errEnd = errors.New("outbox: the transaction is ended by its function's return: nil commits, an error rolls back")

// Commit would commit without the facts.
func (t *tx) Commit(context.Context) error { return errEnd }

func (t *tx) Rollback(context.Context) error { return errEnd }

func (t *tx) Begin(ctx context.Context) (pgx.Tx, error) { return t.savepoint(ctx, t.Tx) }

func (t *tx) savepoint(ctx context.Context, in pgx.Tx) (pgx.Tx, error) {
	inner, err := in.Begin(ctx)
	if err != nil {
		return nil, err
	}
	return &savepoint{Tx: inner, outer: t, mark: len(t.pending)}, nil
}

// savepoint forgets what was published since its begin when it is rolled back.
type savepoint struct {
	pgx.Tx
	outer *tx
	mark  int
}

// Publish makes a savepoint a Tx too.
func (s *savepoint) Publish(payloads ...events.Payload) { s.outer.Publish(payloads...) }

func (s *savepoint) Begin(ctx context.Context) (pgx.Tx, error) { return s.outer.savepoint(ctx, s.Tx) }

func (s *savepoint) Rollback(ctx context.Context) error {
	err := s.Tx.Rollback(ctx)
	if err == nil && len(s.outer.pending) > s.mark {
		s.outer.pending = s.outer.pending[:s.mark]
	}
	return err
}
