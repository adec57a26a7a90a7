package inventory

import (
	"context"
	"fmt"
	"net/http"
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
	service.HandleOutbox(a, "inventory", s.log, func() *outbox.DB { return s.store.db })
	httpapi.HandleJSON(a, "GET /internal/holds", func(r *http.Request) (figures.Holds, error) { return s.store.Holds(r.Context()) })
}

// trail is what this service knows of an order's way.
func (s *Service) trail(ctx context.Context, orderID string) (service.Trail, error) {
	t := service.Trail{Items: []service.TrailItem{}}
	rows, err := s.store.db.Pool().Query(ctx, `SELECT command, attempts, first_at, last_at, outcome FROM commands WHERE order_id = $1 ORDER BY first_at`, orderID)
	if err != nil {
		return t, fmt.Errorf("read commands: %w", err)
	}
	var command, outcome string
	var attempts int
	var first, last time.Time
	_, err = pgx.ForEachRow(rows, []any{&command, &attempts, &first, &last, &outcome}, func() error {
		t.Items = append(t.Items, service.Command("inventory", command, first, last, attempts, outcome))
		return nil
	})
	if err != nil {
		return t, fmt.Errorf("read commands: %w", err)
	}
	keys := []string{orderID}
	if sh, err := shipmentOf(ctx, s.store.db.Pool(), orderID); err == nil && sh != nil {
		keys = append(keys, sh.ID)
	}
	outboxRows, err := s.store.db.Trail(ctx, keys...)
	return t.WithOutbox("inventory", outboxRows), err
}

// figures is this service's side of the invariants.
func (s *Service) figures(ctx context.Context) (figures.Report, error) {
	report := figures.NewReport()
	rows, err := s.store.db.Pool().Query(ctx, `
		WITH live AS (
			SELECT l.sku, sum(l.quantity) FILTER (WHERE r.state IN ('reserved', 'allocated')) AS reserved, sum(l.quantity) FILTER (WHERE r.state = 'shipped') AS shipped
			FROM reservations r, jsonb_to_recordset(r.lines) AS l (sku text, quantity bigint) WHERE r.state IN ('reserved', 'allocated', 'shipped') GROUP BY l.sku
		)
		SELECT s.sku, format('%s: received %s, on hand %s, reserved %s (orders hold %s), shipped %s (orders got %s)',
			s.sku, received, on_hand, s.reserved, coalesce(live.reserved, 0), s.shipped, coalesce(live.shipped, 0))
		FROM stock s LEFT JOIN live USING (sku)
		WHERE on_hand + s.reserved + s.shipped <> received OR least(on_hand, s.reserved, s.shipped) < 0
			OR s.reserved <> coalesce(live.reserved, 0) OR s.shipped <> coalesce(live.shipped, 0)`)
	if err != nil {
		return report, fmt.Errorf("check stock: %w", err)
	}
	report.Offenders["stock"] = []string{}
	var sku, detail string
	if _, err := pgx.ForEachRow(rows, []any{&sku, &detail}, func() error {
		report.Offenders["stock"] = append(report.Offenders["stock"], detail)
		return nil
	}); err != nil {
		return report, fmt.Errorf("check stock: %w", err)
	}
	var received, onHand, reserved, shipped int64
	err = s.store.db.Pool().QueryRow(ctx, `SELECT sum(received)::bigint, sum(on_hand)::bigint, sum(reserved)::bigint, sum(shipped)::bigint FROM stock`).
		Scan(&received, &onHand, &reserved, &shipped)
	if err != nil {
		return report, fmt.Errorf("check stock: %w", err)
	}
	report.Values["received"], report.Values["on_hand"], report.Values["reserved"], report.Values["shipped"] = received, onHand, reserved, shipped
	return report, s.store.db.Report(ctx, &report)
}

func (s *Service) figureItems(ctx context.Context, name string, bucket int) (figures.Items, error) {
	return s.store.db.FigureItems(ctx, name, bucket)
}

// Holds lists the orders that hold stock.
func (s *Store) Holds(ctx context.Context) (figures.Holds, error) {
	rows, err := s.db.Pool().Query(ctx, `SELECT order_id FROM reservations WHERE state IN ('reserved', 'allocated')`)
	if err != nil {
		return figures.Holds{}, fmt.Errorf("list held stock: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return figures.Holds{}, fmt.Errorf("list held stock: %w", err)
	}
	return figures.Holds{OrderIDs: ids}, nil
}
