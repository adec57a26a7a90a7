package payment

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cartwheel-shop/cartwheel/pkg/commands"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
)

//go:embed migrations/*.sql
var migrations embed.FS

// errUnknown says that an order has no payment.
var errUnknown = errors.New("no payment for this order")

// Store is the payment service's database. Exported methods are a transaction
// each; unexported helpers take one.
type Store struct {
	db *outbox.DB
}

// NewStore returns the store over an opened, migrated database.
func NewStore(db *outbox.DB) *Store { return &Store{db} }

// Intent is something that we ask the provider.
type Intent struct {
	Kind   Kind
	State  string
	LastAt time.Time
}

// key is the provider's idempotency key: one for an order and a command.
func key(orderID string, k Kind) string { return orderID + ":" + string(k) }

// Begin decides what a command has to do. When that is to ask the provider, the
// intent is committed before Begin returns. When an undo meets a do whose answer
// is not known, that open intent is returned, and has to be settled first.
func (s *Store) Begin(ctx context.Context, o commands.Order, k Kind) (p Payment, m move, open *Intent, err error) {
	err = s.db.Tx(ctx, func(tx outbox.Tx) error {
		if p, err = lockPayment(ctx, tx, o); err != nil {
			return err
		}
		m = p.next(k)
		if err := updatePayment(ctx, tx, p); err != nil {
			return err
		}
		if do, ok := k.undoes(); ok {
			if open, err = openIntent(ctx, tx, o.OrderID, do); err != nil || open != nil {
				return err
			}
		}
		if m != call {
			return nil
		}
		_, err := tx.Exec(ctx, `
			INSERT INTO intents (order_id, kind, state) VALUES ($1, $2, 'pending')
			ON CONFLICT (order_id, kind) DO UPDATE SET attempts = intents.attempts + 1, last_at = now(), state = 'pending'`, o.OrderID, k)
		return err
	})
	if err != nil {
		return p, m, nil, fmt.Errorf("begin %s of %s: %w", k, o.OrderID, err)
	}
	return p, m, open, nil
}

func lockPayment(ctx context.Context, tx pgx.Tx, o commands.Order) (Payment, error) {
	_, err := tx.Exec(ctx, `
		INSERT INTO payments (id, order_id, amount, currency, token, state) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (order_id) DO NOTHING`,
		events.NewID("pay"), o.OrderID, o.Total.Amount, o.Total.Currency, o.PaymentToken, Fresh)
	if err != nil {
		return Payment{}, fmt.Errorf("make payment: %w", err)
	}
	return readPayment(ctx, tx, o.OrderID, ` FOR UPDATE`)
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func readPayment(ctx context.Context, q querier, orderID, lock string) (Payment, error) {
	p := Payment{OrderID: orderID}
	err := q.QueryRow(ctx, `
		SELECT id, amount, currency, token, state, authorize_undone, capture_undone, code, reason FROM payments WHERE order_id = $1`+lock, orderID).
		Scan(&p.ID, &p.Amount.Amount, &p.Amount.Currency, &p.Token, &p.State, &p.AuthorizeUndone, &p.CaptureUndone, &p.Code, &p.Reason)
	if errors.Is(err, pgx.ErrNoRows) {
		return p, errUnknown
	}
	if err != nil {
		return p, fmt.Errorf("read payment: %w", err)
	}
	return p, nil
}

func updatePayment(ctx context.Context, tx pgx.Tx, p Payment) error {
	_, err := tx.Exec(ctx, `
		UPDATE payments SET state = $2, authorize_undone = $3, capture_undone = $4, code = $5, reason = $6, updated_at = now()
		WHERE order_id = $1 AND (state, authorize_undone, capture_undone, code) IS DISTINCT FROM ($2, $3, $4, $5)`,
		p.OrderID, string(p.State), p.AuthorizeUndone, p.CaptureUndone, p.Code, p.Reason)
	if err != nil {
		return fmt.Errorf("store payment: %w", err)
	}
	return nil
}

func openIntent(ctx context.Context, tx pgx.Tx, orderID string, k Kind) (*Intent, error) {
	in := Intent{Kind: k}
	err := tx.QueryRow(ctx, `SELECT state, last_at FROM intents WHERE order_id = $1 AND kind = $2 AND state = 'pending'`, orderID, k).Scan(&in.State, &in.LastAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read intent: %w", err)
	}
	return &in, nil
}

// Settle records the provider's answer: state, ledger, fact and intent in one
// transaction. An answer that was recorded before changes nothing.
func (s *Store) Settle(ctx context.Context, orderID string, k Kind, o Outcome) (Payment, error) {
	var p Payment
	ctx = events.WithCorrelation(ctx, orderID)
	err := s.db.Tx(ctx, func(tx outbox.Tx) error {
		var err error
		if p, err = readPayment(ctx, tx, orderID, ` FOR UPDATE`); err != nil {
			return err
		}
		state := "done"
		if o.Refused != "" {
			state = "refused"
		}
		tag, err := tx.Exec(ctx, `UPDATE intents SET state = $3, last_at = now() WHERE order_id = $1 AND kind = $2 AND state IN ('pending', 'abandoned')`, orderID, k, state)
		if err != nil {
			return fmt.Errorf("settle intent: %w", err)
		}
		if tag.RowsAffected() == 0 {
			return nil
		}
		postings, fact := p.settle(k, o)
		if err := post(ctx, tx, p, k, postings); err != nil {
			return err
		}
		tx.Publish(fact)
		return updatePayment(ctx, tx, p)
	})
	if err != nil {
		return p, fmt.Errorf("settle %s of %s: %w", k, orderID, err)
	}
	return p, nil
}

// post writes a journal entry.
func post(ctx context.Context, tx pgx.Tx, p Payment, k Kind, postings []Posting) error {
	if len(postings) == 0 {
		return nil
	}
	accounts, amounts := make([]string, len(postings)), make([]int64, len(postings))
	for i, l := range postings {
		accounts[i], amounts[i] = string(l.Account), l.Amount
	}
	_, err := tx.Exec(ctx, `
		WITH j AS (INSERT INTO journal (order_id, kind) VALUES ($1, $2) RETURNING id)
		INSERT INTO postings (journal_id, order_id, account, amount, currency)
		SELECT j.id, $1, l.account, l.amount, $3 FROM j, unnest($4::text[], $5::bigint[]) AS l (account, amount)`,
		p.OrderID, k, p.Amount.Currency, accounts, amounts)
	if err != nil {
		return fmt.Errorf("post %s: %w", k, err)
	}
	return nil
}

// Abandon notes that the provider has never heard of an intent, so that its undo
// may go on. The sweeper goes on asking.
func (s *Store) Abandon(ctx context.Context, orderID string, k Kind) error {
	_, err := s.db.Pool().Exec(ctx, `UPDATE intents SET state = 'abandoned', last_at = now() WHERE order_id = $1 AND kind = $2 AND state = 'pending'`, orderID, k)
	if err != nil {
		return fmt.Errorf("abandon %s of %s: %w", k, orderID, err)
	}
	return nil
}

// Unsettled is an intent without a recorded answer.
type Unsettled struct {
	OrderID string
	Kind    Kind
	State   string
}

// Unsettled lists intents without an answer whose last attempt is between the
// given times.
func (s *Store) Unsettled(ctx context.Context, after, before time.Time) ([]Unsettled, error) {
	rows, err := s.db.Pool().Query(ctx, `
		SELECT order_id, kind, state FROM intents WHERE state IN ('pending', 'abandoned') AND last_at > $1 AND last_at < $2 ORDER BY last_at LIMIT 100`, after, before)
	if err != nil {
		return nil, fmt.Errorf("list unsettled intents: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Unsettled])
	if err != nil {
		return nil, fmt.Errorf("list unsettled intents: %w", err)
	}
	return list, nil
}

// Entry is a line of the ledger with the account's balance for this order.
type Entry struct {
	ID        int64
	PaymentID string
	OrderID   string
	Kind      Kind
	Account   Account
	Amount    events.Money
	Balance   int64
	At        time.Time
}

// Entries lists the ledger of an order, oldest first, after the given id.
func (s *Store) Entries(ctx context.Context, orderID string, after int64, limit int) ([]Entry, error) {
	rows, err := s.db.Pool().Query(ctx, `
		SELECT * FROM (
			SELECT l.id, p.id, l.order_id, j.kind, l.account, l.amount, l.currency, sum(l.amount) OVER (PARTITION BY l.account ORDER BY l.id)::bigint, j.at
			FROM postings l JOIN journal j ON j.id = l.journal_id JOIN payments p ON p.order_id = l.order_id WHERE l.order_id = $1
		) e (id, payment_id, order_id, kind, account, amount, currency, balance, at) WHERE id > $2 ORDER BY id LIMIT $3`, orderID, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list ledger entries: %w", err)
	}
	var list []Entry
	var e Entry
	_, err = pgx.ForEachRow(rows, []any{&e.ID, &e.PaymentID, &e.OrderID, &e.Kind, &e.Account, &e.Amount.Amount, &e.Amount.Currency, &e.Balance, &e.At}, func() error {
		list = append(list, e)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list ledger entries: %w", err)
	}
	return list, nil
}
