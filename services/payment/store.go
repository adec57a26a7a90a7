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

// Intent is something that we have asked the provider, and have no answer to.
type Intent struct {
	Kind Kind
	Age  time.Duration // since the last attempt, by the database's clock
}

// key is the provider's idempotency key: one for an order and a command.
func key(orderID string, k Kind) string { return orderID + ":" + string(k) }

// Begin decides what a command has to do. When that is to ask the provider, the
// intent is committed before Begin returns. When an undo meets an operation whose
// answer it has to know, that open intent is returned, and has to be settled
// first; the tombstone is there, so that no new one opens meanwhile.
func (s *Store) Begin(ctx context.Context, o commands.Order, k Kind) (p Payment, m move, open *Intent, err error) {
	err = s.db.Tx(ctx, func(tx outbox.Tx) error {
		if p, err = lockPayment(ctx, tx, o); err != nil {
			return err
		}
		before := p
		m = p.next(k)
		if p != before {
			if err := updatePayment(ctx, tx, p); err != nil {
				return err
			}
		}
		if first := k.settlesFirst(); first != nil {
			if open, err = openIntent(ctx, tx, o.OrderID, first); err != nil || open != nil {
				return err
			}
		}
		return upsertIntent(ctx, tx, o.OrderID, k, m)
	})
	if err != nil {
		return p, m, nil, fmt.Errorf("begin %s of %s: %w", k, o.OrderID, err)
	}
	return p, m, open, nil
}

func lockPayment(ctx context.Context, tx pgx.Tx, o commands.Order) (Payment, error) {
	p := Payment{OrderID: o.OrderID}
	origin := events.OriginFrom(ctx)
	batch := &pgx.Batch{}
	batch.Queue(`
		INSERT INTO payments (id, order_id, amount, currency, token, state, caused_by, traceparent) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (order_id) DO NOTHING`,
		events.NewID("pay"), o.OrderID, o.Total.Amount, o.Total.Currency, o.PaymentToken, string(Fresh), origin.CausationID, origin.Traceparent)
	batch.Queue(selectPayment+` WHERE order_id = $1 FOR UPDATE`, o.OrderID).QueryRow(p.scan)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return p, fmt.Errorf("lock payment: %w", err)
	}
	return p, nil
}

// upsertIntent writes down that a command was asked for. Only one that asks the
// provider opens its intent.
func upsertIntent(ctx context.Context, tx pgx.Tx, orderID string, k Kind, m move) error {
	statement := `
		INSERT INTO intents (order_id, kind, state) VALUES ($1, $2, 'nothing')
		ON CONFLICT (order_id, kind) DO UPDATE SET attempts = intents.attempts + 1`
	if m == call {
		statement = `
		INSERT INTO intents (order_id, kind, state) VALUES ($1, $2, 'pending')
		ON CONFLICT (order_id, kind) DO UPDATE SET attempts = intents.attempts + 1, last_at = now(), state = 'pending'`
	}
	if _, err := tx.Exec(ctx, statement, orderID, string(k)); err != nil {
		return fmt.Errorf("store intent: %w", err)
	}
	return nil
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

const (
	paymentColumns = `order_id, id, amount, currency, token, state, authorize_undone, capture_undone, code, reason`
	selectPayment  = `SELECT ` + paymentColumns + ` FROM payments`
)

// columns is where paymentColumns are read into.
func (p *Payment) columns() []any {
	return []any{&p.OrderID, &p.ID, &p.Amount.Amount, &p.Amount.Currency, &p.Token, &p.State, &p.AuthorizeUndone, &p.CaptureUndone, &p.Code, &p.Reason}
}

func (p *Payment) scan(row pgx.Row) error { return row.Scan(p.columns()...) }

// readPayment returns an order's payment, or errUnknown.
func readPayment(ctx context.Context, q querier, orderID, lock string) (Payment, error) {
	var p Payment
	err := p.scan(q.QueryRow(ctx, selectPayment+` WHERE order_id = $1`+lock, orderID))
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
		UPDATE payments SET state = $2, authorize_undone = $3, capture_undone = $4, code = $5, reason = $6, updated_at = now() WHERE order_id = $1`,
		p.OrderID, string(p.State), p.AuthorizeUndone, p.CaptureUndone, p.Code, p.Reason)
	if err != nil {
		return fmt.Errorf("store payment: %w", err)
	}
	return nil
}

func openIntent(ctx context.Context, tx pgx.Tx, orderID string, kinds []Kind) (*Intent, error) {
	var in Intent
	err := tx.QueryRow(ctx, `
		SELECT kind, clock_timestamp() - last_at FROM intents WHERE order_id = $1 AND kind = ANY ($2) AND state = 'pending' ORDER BY kind LIMIT 1`,
		orderID, kinds).Scan(&in.Kind, &in.Age)
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
		if fact != nil {
			tx.Publish(fact)
		}
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

	origin events.Origin
}

// Unsettled lists intents without an answer whose last attempt is older than
// quiet and not as old as forget, those first that were not asked about for the
// longest time. The older one is, the more rarely it is listed.
func (s *Store) Unsettled(ctx context.Context, quiet, forget time.Duration) ([]Unsettled, error) {
	rows, err := s.db.Pool().Query(ctx, `
		SELECT order_id, kind, caused_by, traceparent FROM intents JOIN payments USING (order_id)
		WHERE intents.state IN ('pending', 'abandoned') AND last_at < now() - $1::interval AND last_at > now() - $2::interval
			AND checked_at <= now() - (now() - last_at) / 10
		ORDER BY checked_at LIMIT 100`, quiet, forget)
	if err != nil {
		return nil, fmt.Errorf("list unsettled intents: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (u Unsettled, err error) {
		err = row.Scan(&u.OrderID, &u.Kind, &u.origin.CausationID, &u.origin.Traceparent)
		u.origin.CorrelationID = u.OrderID
		return u, err
	})
	if err != nil {
		return nil, fmt.Errorf("list unsettled intents: %w", err)
	}
	return list, nil
}

// Checked notes that the provider is asked about an intent.
func (s *Store) Checked(ctx context.Context, u Unsettled) error {
	if _, err := s.db.Pool().Exec(ctx, `UPDATE intents SET checked_at = now() WHERE order_id = $1 AND kind = $2`, u.OrderID, string(u.Kind)); err != nil {
		return fmt.Errorf("note check of %s of %s: %w", u.Kind, u.OrderID, err)
	}
	return nil
}

// Strand is a payment that is due an undo.
type Strand struct {
	Payment

	origin events.Origin
}

// Stranded lists payments whose undo has come before the provider's answer was
// known, and that nobody has undone since for longer than quiet. What the
// provider refuses to undo is not among them: a person has to see to it.
func (s *Store) Stranded(ctx context.Context, quiet time.Duration) ([]Strand, error) {
	rows, err := s.db.Pool().Query(ctx, `SELECT `+paymentColumns+`, caused_by, traceparent FROM payments p
		WHERE (state = 'authorized' AND authorize_undone OR state = 'captured' AND capture_undone) AND updated_at < now() - $1::interval
			AND NOT EXISTS (SELECT FROM intents i WHERE i.order_id = p.order_id AND i.state = 'refused'
				AND i.kind = CASE p.state WHEN 'captured' THEN 'refund' ELSE 'void' END)
		ORDER BY updated_at LIMIT 100`, quiet)
	if err != nil {
		return nil, fmt.Errorf("list stranded payments: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (st Strand, err error) {
		err = row.Scan(append(st.columns(), &st.origin.CausationID, &st.origin.Traceparent)...)
		st.origin.CorrelationID = st.OrderID
		return st, err
	})
	if err != nil {
		return nil, fmt.Errorf("list stranded payments: %w", err)
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
