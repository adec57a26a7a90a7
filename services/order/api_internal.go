package order

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
	"github.com/cartwheel-shop/cartwheel/pkg/commands"
	"github.com/cartwheel-shop/cartwheel/pkg/figures"
	"github.com/cartwheel-shop/cartwheel/pkg/httpapi"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
	"github.com/cartwheel-shop/cartwheel/pkg/saga"
	"github.com/cartwheel-shop/cartwheel/pkg/service"
)

// registerInternal registers the calls of the edge, which are no part of the
// public interface.
func (s *Service) registerInternal(a *httpapi.API) {
	service.HandleInternal(a, s.faults, s.trail, s.figures, s.figureItems)
	service.HandleOutbox(a, "order", s.log, func() *outbox.DB { return s.store.db })
	httpapi.HandleJSON(a, "GET /internal/brokers", s.brokers)
	httpapi.HandleJSON(a, "POST /internal/readings", func(r *http.Request) (bus.ReadingsAnswer, error) { return s.admin.AnswerReadings(r, s.consumers()) })
	httpapi.HandleJSON(a, "POST /internal/orders/status", func(r *http.Request) (statusAnswer, error) {
		var q struct {
			IDs []string `json:"ids"`
		}
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			return statusAnswer{}, httpapi.Problem(http.StatusBadRequest, "not_json", err.Error())
		}
		statuses, err := s.store.StatusOf(r.Context(), q.IDs)
		return statusAnswer{statuses}, err
	})
}

type statusAnswer struct {
	Statuses map[string]Status `json:"statuses"`
}

// brokerFigures is how the saga engine's task queues stand.
type brokerFigures struct {
	TaskQueues []saga.QueueFigures `json:"task_queues"`
	Missing    []string            `json:"missing"`
}

func (s *Service) brokers(r *http.Request) (brokerFigures, error) {
	ctx, cancel := context.WithTimeout(r.Context(), 3*time.Second)
	defer cancel()
	queues, err := saga.Figures(ctx, s.engine.temporal, s.cfg.TemporalNamespace, commands.OrderQueue, commands.InventoryQueue, commands.PaymentQueue)
	if err != nil {
		s.log.WarnContext(ctx, "task queue figures", "error", err)
		return brokerFigures{Missing: []string{"temporal"}}, nil
	}
	return brokerFigures{TaskQueues: queues}, nil
}

// trail is what this service knows of an order's way.
func (s *Service) trail(ctx context.Context, orderID string) (service.Trail, error) {
	o, err := s.store.Get(ctx, orderID)
	if errors.Is(err, ErrNotFound) {
		return service.Trail{Items: []service.TrailItem{}}, nil
	}
	if err != nil {
		return service.Trail{}, err
	}
	path := "/api/orders"
	if o.Channel != Web {
		path = "/api/channel-orders"
	}
	t := service.Trail{Items: []service.TrailItem{{
		At: o.CreatedAt, Kind: service.TrailHTTP, Name: "POST " + path,
		Detail: map[string]any{"status": http.StatusAccepted, "request_id": o.RequestID},
	}}}
	if a := o.Approval; a != nil && !a.DecidedAt.IsZero() {
		verb := "reject"
		if a.Approved {
			verb = "approve"
		}
		t.Items = append(t.Items, service.TrailItem{
			At: a.DecidedAt.UTC(), Kind: service.TrailHTTP, Name: "POST /api/orders/{id}/" + verb, Detail: map[string]any{"status": http.StatusAccepted, "note": a.Note},
		})
	}
	rows, err := s.store.db.Trail(ctx, orderID)
	if err != nil {
		return t, err
	}
	return t.WithOutbox("order", rows), nil
}

// figures is this service's side of the invariants.
func (s *Service) figures(ctx context.Context) (figures.Report, error) {
	report := figures.NewReport()
	due, mails := &figures.Digest{}, &figures.Digest{}
	var open, total int64
	report.Offenders["overdue"] = []string{}
	err := s.store.eachFigure(ctx, func(f orderFigure) {
		total++
		if f.due != 0 {
			due.Add(outbox.Shard(f.id), f.due)
		}
		for _, kind := range f.mails {
			mails.Add(outbox.Shard(f.id+":"+kind), 1)
		}
		if !f.status.Terminal() {
			open++
			if f.overdue {
				report.Offenders["overdue"] = append(report.Offenders["overdue"], f.id)
			}
		}
	})
	if err != nil {
		return report, err
	}
	report.Digests["money_due"], report.Digests["mails_due"] = due, mails
	report.Values["orders_open"], report.Values["orders_total"] = open, total
	return report, s.store.db.Report(ctx, &report)
}

func (s *Service) figureItems(ctx context.Context, name string, bucket int) (figures.Items, error) {
	if name != "money_due" && name != "mails_due" {
		return s.store.db.FigureItems(ctx, name, bucket)
	}
	items := figures.Items{Items: map[string]int64{}}
	err := s.store.eachFigure(ctx, func(f orderFigure) {
		switch name {
		case "money_due":
			if f.due != 0 && outbox.Shard(f.id) == bucket {
				items.Items[f.id] = f.due
			}
		case "mails_due":
			for _, kind := range f.mails {
				if key := f.id + ":" + kind; outbox.Shard(key) == bucket {
					items.Items[key] = 1
				}
			}
		}
	})
	return items, err
}

// orderFigure is what the invariants need of an order.
type orderFigure struct {
	id      string
	status  Status
	due     int64    // money that must be captured and not refunded
	mails   []string // kinds that are due
	overdue bool
}

// overdueGrace is how long after its deadline an order may still be compensating.
const overdueGrace = 2 * time.Minute

// eachFigure streams all orders.
func (s *Store) eachFigure(ctx context.Context, fn func(orderFigure)) error {
	rows, err := s.db.Pool().Query(ctx, `
		SELECT id, status, channel, total, refunded, confirmed_at IS NOT NULL, shipped_at IS NOT NULL, shipped_at IS NULL AND deadline < $1
		FROM orders`, s.now().Add(-overdueGrace))
	if err != nil {
		return fmt.Errorf("order figures: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var f orderFigure
		var channel string
		var total, refunded int64
		var confirmed, shipped bool
		if err := rows.Scan(&f.id, &f.status, &channel, &total, &refunded, &confirmed, &shipped, &f.overdue); err != nil {
			return fmt.Errorf("order figures: %w", err)
		}
		if f.status == Shipped || f.status == Completed {
			f.due = total
		}
		if channel == Web {
			f.mails = mailsDue(f.status, confirmed, shipped, refunded)
		}
		fn(f)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("order figures: %w", err)
	}
	return nil
}

// mailsDue lists the mails of an order's outcome.
func mailsDue(status Status, confirmed, shipped bool, refunded int64) []string {
	var kinds []string
	if confirmed {
		kinds = append(kinds, "confirmed")
	}
	if shipped {
		kinds = append(kinds, "shipped")
	}
	switch {
	case status == Cancelled:
		kinds = append(kinds, "cancelled")
	case status == Rejected && refunded > 0:
		kinds = append(kinds, "refunded")
	case status == Rejected:
		kinds = append(kinds, "rejected")
	}
	return kinds
}

// StatusOf returns the statuses of orders; unknown ids are absent.
func (s *Store) StatusOf(ctx context.Context, ids []string) (map[string]Status, error) {
	rows, err := s.db.Pool().Query(ctx, `SELECT id, status FROM orders WHERE id = ANY($1)`, ids)
	if err != nil {
		return nil, fmt.Errorf("read statuses: %w", err)
	}
	out := map[string]Status{}
	var id string
	var status Status
	if _, err := pgx.ForEachRow(rows, []any{&id, &status}, func() error { out[id] = status; return nil }); err != nil {
		return nil, fmt.Errorf("read statuses: %w", err)
	}
	return out, nil
}
