package payment

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cartwheel-shop/cartwheel/pkg/figures"
	"github.com/cartwheel-shop/cartwheel/pkg/httpapi"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
	"github.com/cartwheel-shop/cartwheel/pkg/service"
)

// registerInternal registers the calls of the edge, which are no part of the
// public interface.
func (s *Service) registerInternal(a *httpapi.API) {
	service.HandleInternal(a, s.faults, s.trail, s.figures, s.figureItems)
	service.HandleOutbox(a, "payment", s.log, func() *outbox.DB { return s.store.db })
	httpapi.HandleJSON(a, "GET /internal/holds", func(r *http.Request) (figures.Holds, error) { return s.store.Holds(r.Context()) })
}

// trail is what this service knows of an order's way.
func (s *Service) trail(ctx context.Context, orderID string) (service.Trail, error) {
	t := service.Trail{Items: []service.TrailItem{}}
	rows, err := s.store.db.Pool().Query(ctx, `SELECT kind, state, attempts, first_at, last_at FROM intents WHERE order_id = $1 ORDER BY first_at`, orderID)
	if err != nil {
		return t, fmt.Errorf("read intents: %w", err)
	}
	var kind, state string
	var attempts int
	var first, last time.Time
	_, err = pgx.ForEachRow(rows, []any{&kind, &state, &attempts, &first, &last}, func() error {
		t.Items = append(t.Items, service.Command("payment", "payment."+kind, first, last, attempts, state))
		return nil
	})
	if err != nil {
		return t, fmt.Errorf("read intents: %w", err)
	}
	p, err := readPayment(ctx, s.store.db.Pool(), orderID, "")
	if errors.Is(err, errUnknown) {
		return t, nil
	}
	if err != nil {
		return t, err
	}
	outboxRows, err := s.store.db.Trail(ctx, p.ID)
	return t.WithOutbox("payment", outboxRows), err
}

// figures is this service's side of the invariants.
func (s *Service) figures(ctx context.Context) (figures.Report, error) {
	report := figures.NewReport()
	held := &figures.Digest{}
	report.Digests["money_held"] = held
	var ours BookTotals
	accounts, err := s.store.accounts(ctx)
	if err != nil {
		return report, err
	}
	for _, a := range accounts {
		ours.Authorized, ours.Captured, ours.Refunded = ours.Authorized+a.Authorized, ours.Captured+a.Captured, ours.Refunded+a.Refunded
		if n := a.Captured - a.Refunded; n != 0 {
			held.Add(outbox.Shard(a.Reference), n)
		}
	}
	report.Values["captured"], report.Values["refunded"], report.Values["authorized"] = ours.Captured, ours.Refunded, ours.Authorized
	if report.Offenders["ledger"], err = s.store.unbalanced(ctx); err != nil {
		return report, err
	}
	if report.Offenders["provider"], err = s.compareBooks(ctx, ours, accounts); err != nil {
		report.Offenders["provider"] = []string{"the provider's books cannot be read: " + err.Error()}
	}
	return report, s.store.db.Report(ctx, &report)
}

// compareBooks compares ours with the provider's, sums first.
func (s *Service) compareBooks(ctx context.Context, ours BookTotals, accounts []BookAccount) ([]string, error) {
	theirs, err := s.provider.Totals(ctx)
	if err != nil || theirs == ours {
		return []string{}, err
	}
	books, err := s.provider.Books(ctx)
	if err != nil {
		return nil, err
	}
	theirBooks := map[string]BookAccount{}
	for _, b := range books {
		theirBooks[b.Reference] = b
	}
	offenders := []string{}
	compare := func(reference string, a, b BookAccount) {
		if a.Authorized != b.Authorized || a.Captured != b.Captured || a.Refunded != b.Refunded {
			offenders = append(offenders, fmt.Sprintf("%s: ours authorized %d, captured %d, refunded %d; the provider's %d, %d, %d",
				reference, a.Authorized, a.Captured, a.Refunded, b.Authorized, b.Captured, b.Refunded))
		}
	}
	for _, a := range accounts {
		compare(a.Reference, a, theirBooks[a.Reference])
		delete(theirBooks, a.Reference)
	}
	for _, b := range theirBooks {
		compare(b.Reference, BookAccount{}, b)
	}
	slices.Sort(offenders)
	return offenders, nil
}

func (s *Service) figureItems(ctx context.Context, name string, bucket int) (figures.Items, error) {
	if name != "money_held" {
		return s.store.db.FigureItems(ctx, name, bucket)
	}
	items := figures.Items{Items: map[string]int64{}}
	accounts, err := s.store.accounts(ctx)
	for _, a := range accounts {
		if n := a.Captured - a.Refunded; n != 0 && outbox.Shard(a.Reference) == bucket {
			items.Items[a.Reference] = n
		}
	}
	return items, err
}

// accounts are our books in the shape of the provider's.
func (s *Store) accounts(ctx context.Context) ([]BookAccount, error) {
	rows, err := s.db.Pool().Query(ctx, `
		SELECT l.order_id, coalesce(sum(l.amount) FILTER (WHERE l.account = 'card_holds'), 0)::bigint,
			coalesce(sum(l.amount) FILTER (WHERE l.account = 'provider_balance' AND l.amount > 0), 0)::bigint,
			coalesce(-sum(l.amount) FILTER (WHERE l.account = 'provider_balance' AND l.amount < 0), 0)::bigint
		FROM postings l GROUP BY l.order_id`)
	if err != nil {
		return nil, fmt.Errorf("sum up the ledger: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[BookAccount])
	if err != nil {
		return nil, fmt.Errorf("sum up the ledger: %w", err)
	}
	return list, nil
}

// unbalanced lists journal entries that do not sum to zero.
func (s *Store) unbalanced(ctx context.Context) ([]string, error) {
	rows, err := s.db.Pool().Query(ctx, `
		SELECT order_id || ', entry ' || journal_id FROM postings GROUP BY order_id, journal_id, currency HAVING sum(amount) <> 0 ORDER BY 1 LIMIT 100`)
	if err != nil {
		return nil, fmt.Errorf("check the ledger: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("check the ledger: %w", err)
	}
	return list, nil
}

// Holds lists the orders with money set aside, or with an answer not known.
func (s *Store) Holds(ctx context.Context) (figures.Holds, error) {
	rows, err := s.db.Pool().Query(ctx, `
		SELECT order_id FROM payments WHERE state = 'authorized' UNION SELECT order_id FROM intents WHERE state = 'pending'`)
	if err != nil {
		return figures.Holds{}, fmt.Errorf("list held money: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return figures.Holds{}, fmt.Errorf("list held money: %w", err)
	}
	return figures.Holds{OrderIDs: ids}, nil
}
