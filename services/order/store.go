package order

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
	"github.com/cartwheel-shop/cartwheel/pkg/saga"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Errors of the store that callers tell apart.
var (
	ErrNotFound  = errors.New("no such order")
	ErrNoTask    = errors.New("no such task")
	ErrKeyInUse  = errors.New("a request with this idempotency key is still in flight")
	ErrKeyReused = errors.New("the idempotency key was used for another request")
)

// Store is the order service's database. Exported methods are a transaction
// each; unexported helpers take one.
type Store struct {
	db  *outbox.DB
	now func() time.Time
}

// NewStore returns the store over an opened, migrated database.
func NewStore(db *outbox.DB, now func() time.Time) *Store { return &Store{db, now} }

// Placing is an order as it came in.
type Placing struct {
	Order     Order
	Key       string // idempotency key
	BodyHash  []byte // of the request, to tell a repeat from a reuse
	RequestID string
}

// Receipt answers a placing.
type Receipt struct {
	OrderID  string
	Total    events.Money
	Replayed bool // an earlier request with this key placed the order
}

// Placed returns the receipt of an earlier request with this key, or nil.
// The key of another request is ErrKeyReused.
func (s *Store) Placed(ctx context.Context, key string, bodyHash []byte) (*Receipt, error) {
	return placed(ctx, s.db.Pool(), key, bodyHash)
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func placed(ctx context.Context, q querier, key string, bodyHash []byte) (*Receipt, error) {
	r := Receipt{Replayed: true}
	var hash []byte
	err := q.QueryRow(ctx, `SELECT body_hash, order_id, total, currency FROM idempotency_keys WHERE key = $1`, key).
		Scan(&hash, &r.OrderID, &r.Total.Amount, &r.Total.Currency)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("look up idempotency key: %w", err)
	case !bytes.Equal(hash, bodyHash):
		return nil, ErrKeyReused
	}
	return &r, nil
}

// Place stores an order, its idempotency key and its first fact in one
// transaction. A repeat gets the receipt of the first; a request that comes
// while the first is in flight gets ErrKeyInUse.
func (s *Store) Place(ctx context.Context, p Placing) (Receipt, error) {
	o := p.Order
	receipt := Receipt{OrderID: o.ID, Total: o.Total}
	ctx = events.WithCorrelation(ctx, o.ID)
	err := s.db.Tx(ctx, func(tx outbox.Tx) error {
		var free bool
		if err := tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))`, p.Key).Scan(&free); err != nil {
			return fmt.Errorf("lock idempotency key: %w", err)
		}
		if !free {
			return ErrKeyInUse
		}
		earlier, err := placed(ctx, tx, p.Key, p.BodyHash)
		if err != nil {
			return err
		}
		if earlier != nil {
			receipt = *earlier
			return nil
		}
		if o.Customer.ID, err = upsertCustomer(ctx, tx, o.Customer, o.CreatedAt); err != nil {
			return err
		}
		if err := insertOrder(ctx, tx, o, p); err != nil {
			return err
		}
		tx.Publish(o.Created())
		return nil
	})
	return receipt, err
}

func upsertCustomer(ctx context.Context, tx pgx.Tx, c Customer, at time.Time) (id string, err error) {
	err = tx.QueryRow(ctx, `
		INSERT INTO customers (id, email, name, created_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (lower(email)) DO UPDATE SET name = excluded.name
		RETURNING id`, c.ID, c.Email, c.Name, at).Scan(&id)
	if err != nil {
		return "", fmt.Errorf("store customer: %w", err)
	}
	return id, nil
}

// recipient is how a customer stands in an order's row.
type recipient struct {
	Name    string  `json:"name"`
	Email   string  `json:"email"`
	Address Address `json:"address"`
}

func insertOrder(ctx context.Context, tx pgx.Tx, o Order, p Placing) error {
	batch := &pgx.Batch{}
	batch.Queue(`
		INSERT INTO orders (id, customer_id, channel, external_id, status, lines, total, currency, payment_token,
			recipient, request_id, ordered_at, created_at, updated_at, deadline)
		VALUES ($1, $2, $3, nullif($4, ''), $5, $6, $7, $8, $9, $10, $11, $12, $13, $13, $14)`,
		o.ID, o.Customer.ID, o.Channel, o.ExternalID, o.Status, o.Lines, o.Total.Amount, o.Total.Currency, o.PaymentToken,
		recipient{o.Customer.Name, o.Customer.Email, o.Customer.Address}, p.RequestID, o.OrderedAt, o.CreatedAt, o.Deadline)
	batch.Queue(`
		INSERT INTO idempotency_keys (key, body_hash, order_id, total, currency, created_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		p.Key, p.BodyHash, o.ID, o.Total.Amount, o.Total.Currency, o.CreatedAt)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("store order: %w", err)
	}
	return nil
}

const orderColumns = `id, customer_id, channel, coalesce(external_id, ''), status, lines, total, currency, payment_token, recipient,
	request_id, ordered_at, created_at, updated_at, deadline, approval, reason, delivered_at, steps`

// Row is an order as it is stored, with the request that placed it and the steps
// as they were last recorded.
type Row struct {
	Order
	RequestID string
	Steps     []saga.Progress
}

func scanOrder(row pgx.CollectableRow) (Row, error) {
	var o Row
	var to recipient
	var delivered *time.Time
	var lines, steps []byte
	err := row.Scan(&o.ID, &o.Customer.ID, &o.Channel, &o.ExternalID, &o.Status, &lines, &o.Total.Amount, &o.Total.Currency, &o.PaymentToken, &to,
		&o.RequestID, &o.OrderedAt, &o.CreatedAt, &o.UpdatedAt, &o.Deadline, &o.Approval, &o.Reason, &delivered, &steps)
	if err != nil {
		return o, err
	}
	o.Customer.Name, o.Customer.Email, o.Customer.Address = to.Name, to.Email, to.Address
	if delivered != nil {
		o.DeliveredAt = delivered.UTC()
	}
	o.OrderedAt, o.CreatedAt, o.UpdatedAt, o.Deadline = o.OrderedAt.UTC(), o.CreatedAt.UTC(), o.UpdatedAt.UTC(), o.Deadline.UTC()
	return o, errors.Join(json.Unmarshal(lines, &o.Lines), json.Unmarshal(steps, &o.Steps))
}

// Get returns an order, or ErrNotFound.
func (s *Store) Get(ctx context.Context, id string) (Row, error) {
	rows, err := s.db.Pool().Query(ctx, `SELECT `+orderColumns+` FROM orders WHERE id = $1`, id)
	return one(rows, err)
}

func one(rows pgx.Rows, err error) (Row, error) {
	if err != nil {
		return Row{}, fmt.Errorf("read order: %w", err)
	}
	o, err := pgx.CollectExactlyOneRow(rows, scanOrder)
	if errors.Is(err, pgx.ErrNoRows) {
		return Row{}, ErrNotFound
	}
	if err != nil {
		return Row{}, fmt.Errorf("read order: %w", err)
	}
	return o, nil
}

// Filter narrows a list of orders. Before is the key of the last order of the
// page before; zero values do not filter.
type Filter struct {
	Status     Status
	CustomerID string
	Words      string // in the id, the marketplace's number, or the customer's name or email
	BeforeTime time.Time
	BeforeID   string
	Limit      int
}

// endOfTime is where a list begins that goes backwards.
var endOfTime = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// List returns orders, newest first.
func (s *Store) List(ctx context.Context, f Filter) ([]Row, error) {
	rows, err := s.db.Pool().Query(ctx, `
		SELECT `+orderColumns+` FROM orders
		WHERE ($1 = '' OR status = $1) AND ($2 = '' OR customer_id = $2) AND (created_at, id) < ($3, $4)
			AND ($6 = '' OR strpos(lower(concat_ws(E'\n', id, external_id, recipient ->> 'name', recipient ->> 'email')), lower($6)) > 0)
		ORDER BY created_at DESC, id DESC LIMIT $5`, f.Status, f.CustomerID, cmp.Or(f.BeforeTime, endOfTime), f.BeforeID, f.Limit, f.Words)
	if err != nil {
		return nil, fmt.Errorf("list orders: %w", err)
	}
	list, err := pgx.CollectRows(rows, scanOrder)
	if err != nil {
		return nil, fmt.Errorf("list orders: %w", err)
	}
	return list, nil
}

// Record makes a transition that the saga has come to, and publishes its fact.
// Asked for again it changes nothing. What the state machine does not allow is
// dropped: the order has gone on, and a stale run of its saga is talking.
func (s *Store) Record(ctx context.Context, r Recording) error {
	t := r.Transition
	ctx = events.WithCorrelation(ctx, t.OrderID)
	return s.db.Tx(ctx, func(tx outbox.Tx) error {
		o, err := lockOrder(ctx, tx, t.OrderID)
		if err != nil {
			return err
		}
		if !r.DeliveredAt.IsZero() {
			o.DeliveredAt = r.DeliveredAt.UTC()
		}
		before := o.Status
		facts, err := o.Apply(t)
		if err != nil || o.Status == before {
			return nil //nolint:nilerr // a *StateError: see above
		}
		if err := updateOrder(ctx, tx, o.Order, t, r.Steps, s.now().UTC()); err != nil {
			return err
		}
		tx.Publish(facts...)
		return nil
	})
}

func lockOrder(ctx context.Context, tx pgx.Tx, id string) (Row, error) {
	rows, err := tx.Query(ctx, `SELECT `+orderColumns+` FROM orders WHERE id = $1 FOR UPDATE`, id)
	return one(rows, err)
}

func updateOrder(ctx context.Context, tx pgx.Tx, o Order, t Transition, steps []saga.Progress, now time.Time) error {
	_, err := tx.Exec(ctx, `
		UPDATE orders SET status = $2, reason = $3, refunded = $4, steps = $5, updated_at = $6,
			confirmed_at = CASE WHEN $2 = 'confirmed' THEN $6 ELSE confirmed_at END,
			shipped_at   = CASE WHEN $2 = 'shipped' THEN $6 ELSE shipped_at END,
			delivered_at = coalesce($7, delivered_at),
			ended_at     = CASE WHEN $8 THEN $6 ELSE ended_at END,
			approval     = $9
		WHERE id = $1`, o.ID, string(o.Status), o.Reason, t.Refunded.Amount, steps, now, nullTime(o.DeliveredAt), o.Status.Terminal(), o.Approval)
	if err != nil {
		return fmt.Errorf("update order: %w", err)
	}
	return nil
}

func nullTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// Delivered notes that the courier delivered, before the saga is told, so that
// a saga that is started anew knows. It says whether the order is known.
func (s *Store) Delivered(ctx context.Context, id string, at time.Time) (known bool, err error) {
	tag, err := s.db.Pool().Exec(ctx, `UPDATE orders SET delivered_at = coalesce(delivered_at, $2) WHERE id = $1`, id, at)
	if err != nil {
		return false, fmt.Errorf("note delivery: %w", err)
	}
	return tag.RowsAffected() == 1, nil
}

// Open returns orders that have not ended and were last touched before the given
// time, by id, from the one after the given id: the reconciler makes sure that
// each has a saga.
func (s *Store) Open(ctx context.Context, before time.Time, after string, limit int) ([]Row, error) {
	rows, err := s.db.Pool().Query(ctx, `
		SELECT `+orderColumns+` FROM orders WHERE ended_at IS NULL AND updated_at < $1 AND id > $2 ORDER BY id LIMIT $3`, before, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list open orders: %w", err)
	}
	list, err := pgx.CollectRows(rows, scanOrder)
	if err != nil {
		return nil, fmt.Errorf("list open orders: %w", err)
	}
	return list, nil
}
