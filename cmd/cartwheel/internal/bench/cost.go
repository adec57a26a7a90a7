package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
)

// writers is how many clients a shop has at a time.
const writers = 16

// outboxCost runs a business transaction with and without a fact.
func (r *runner) outboxCost(ctx context.Context) error {
	f, topic, err := r.forwarding(ctx)
	if err != nil {
		return err
	}
	defer f.close()
	if _, err := f.pool.Exec(ctx, businessTables); err != nil {
		return err
	}
	pool, err := r.database(ctx, outbox.Migrations)
	if err != nil {
		return err
	}
	defer pool.Close()
	if _, err := pool.Exec(ctx, businessTables); err != nil {
		return err
	}
	db := outbox.Open(pool, "order")
	place := func(publish func(outbox.Tx, order) error) side {
		return r.repeat(func(ctx context.Context, n int64) error {
			return db.Tx(ctx, func(tx outbox.Tx) error {
				o := newOrder(n)
				return errors.Join(o.place(ctx, tx), publish(tx, o))
			})
		})
	}
	figures, err := r.rounds(ctx,
		place(func(tx outbox.Tx, o order) error { tx.Publish(o.created()); return nil }),
		place(func(outbox.Tx, order) error { return nil }),
		r.repeat(func(ctx context.Context, n int64) error {
			return pgx.BeginFunc(ctx, f.pool, func(tx pgx.Tx) error {
				o := newOrder(n)
				if err := o.place(ctx, tx); err != nil {
					return err
				}
				raw, err := json.Marshal(o.created())
				if err != nil {
					return err
				}
				return f.write(tx, topic, message.NewMessage(events.NewEventID(), raw))
			})
		}))
	if err != nil {
		return err
	}
	const name, what, unit = "outbox-cost", "a business transaction with one event", "tx/s"
	r.row(name, what, unit, figures[0], "the same without", figures[1], Goal{AtLeast: 0.9})
	r.row(name, what, unit, figures[0], "the same with watermill-sql", figures[2], Goal{})
	return nil
}

// numbers makes every order of a run a new one.
var numbers atomic.Int64

// repeat is how many times a second clients do something, all as fast as they
// can.
func (r *runner) repeat(do func(ctx context.Context, n int64) error) side {
	return func(ctx context.Context) (float64, error) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		var failed error
		var done atomic.Int64
		began := time.Now()
		for range writers {
			wg.Go(func() {
				for time.Since(began) < r.For && ctx.Err() == nil {
					if err := do(ctx, numbers.Add(1)); err != nil {
						mu.Lock()
						failed = errors.Join(failed, err)
						mu.Unlock()
						return
					}
					done.Add(1)
				}
			})
		}
		wg.Wait()
		return perSecond(int(done.Load()), time.Since(began)), failed
	}
}

// businessTables are the order service's, as far as an order that is placed
// touches them.
const businessTables = `
CREATE TABLE customers (id text PRIMARY KEY, email text NOT NULL, name text NOT NULL, created_at timestamptz NOT NULL);
CREATE UNIQUE INDEX customers_email ON customers (lower(email));
CREATE TABLE orders (id text PRIMARY KEY, customer_id text NOT NULL REFERENCES customers, status text NOT NULL, lines jsonb NOT NULL,
	total bigint NOT NULL CHECK (total >= 0), recipient jsonb NOT NULL, created_at timestamptz NOT NULL);
CREATE INDEX orders_created ON orders (created_at DESC, id DESC);
CREATE INDEX orders_status ON orders (status, created_at DESC, id DESC);
CREATE INDEX orders_customer ON orders (customer_id, created_at DESC, id DESC);
CREATE TABLE idempotency_keys (key text PRIMARY KEY, body_hash bytea NOT NULL, order_id text NOT NULL, created_at timestamptz NOT NULL);`

// order is one that is placed in the way of the order service's Store.Place, with
// its five statements in four round trips.
type order struct {
	n            int64
	id, customer string
	at           time.Time
	lines        []events.Line
}

func newOrder(n int64) order {
	price := events.Money{Amount: 1999, Currency: "EUR"}
	return order{
		n: n, id: fmt.Sprintf("ord_%021d", n), customer: fmt.Sprintf("cus_%021d", n%500), at: time.Now().UTC(),
		lines: []events.Line{{SKU: "coffee", Quantity: 1, Total: price}},
	}
}

func (o order) place(ctx context.Context, tx pgx.Tx) error {
	key := "key-" + o.id
	var free bool
	if err := tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))`, key).Scan(&free); err != nil {
		return err
	}
	var earlier string
	if err := tx.QueryRow(ctx, `SELECT order_id FROM idempotency_keys WHERE key = $1`, key).Scan(&earlier); !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("order %s is not new: %w", o.id, err)
	}
	// A customer of its own, so that no two writers wait for each other.
	var customer string
	err := tx.QueryRow(ctx, `
		INSERT INTO customers VALUES ($1, $2, 'Ada', $3) ON CONFLICT (lower(email)) DO UPDATE SET name = excluded.name RETURNING id`,
		"cus_"+o.id, o.id+"@example.com", o.at).Scan(&customer)
	if err != nil {
		return err
	}
	batch := &pgx.Batch{}
	batch.Queue(`INSERT INTO orders VALUES ($1, $2, 'pending', $3, $4, $5, $6)`, o.id, customer, o.lines, o.lines[0].Total.Amount, map[string]string{"name": "Ada", "city": "Berlin"}, o.at)
	batch.Queue(`INSERT INTO idempotency_keys VALUES ($1, $2, $3, $4)`, key, []byte(o.id), o.id, o.at)
	return tx.SendBatch(ctx, batch).Close()
}

func (o order) created() events.OrderCreated {
	return events.OrderCreated{OrderID: o.id, CustomerID: o.customer, Channel: "web", OrderedAt: o.at, Lines: o.lines, Total: o.lines[0].Total}
}
