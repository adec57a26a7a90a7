package analytics

import (
	"context"
	"strings"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/figures"
	"github.com/cartwheel-shop/cartwheel/pkg/httpapi"
	"github.com/cartwheel-shop/cartwheel/pkg/service"
)

// registerInternal registers the calls of the edge, which are no part of the
// public interface.
func (s *Service) registerInternal(a *httpapi.API) {
	service.HandleInternal(a, s.faults, s.trail, s.figures, s.figureItems)
}

// trail is where the facts of an order's way are in Kafka.
func (s *Service) trail(ctx context.Context, orderID string) (service.Trail, error) {
	t := service.Trail{Items: []service.TrailItem{}}
	list, err := s.store.FactsOf(ctx, orderID)
	for _, f := range list {
		t.Items = append(t.Items, service.TrailItem{At: f.At.UTC(), Kind: service.TrailEvent, Name: f.Type, Detail: map[string]any{
			"topic": f.Topic, "partition": f.Partition, "offset": f.Offset, "event_id": f.EventID, "trace_id": f.TraceID,
			"key": f.Key, "aggregate_version": f.Version, "causation_id": f.CausationID, "producer": f.Producer,
		}})
	}
	return t, err
}

// figures is this service's side of the invariants.
func (s *Service) figures(ctx context.Context) (figures.Report, error) {
	report := figures.NewReport()
	if err := s.store.factDigests(ctx, &report); err != nil {
		return report, err
	}
	if err := s.fold.advance(ctx); err != nil {
		report.Offenders["sales"] = []string{"the log cannot be read: " + err.Error()}
		return report, s.store.db.Report(ctx, &report)
	}
	model, err := s.store.Sales(ctx, time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC))
	if err != nil {
		return report, err
	}
	for _, d := range model {
		report.Values["sold_orders"] += d.Orders
	}
	report.Offenders["sales"] = s.fold.compare(model)
	return report, s.store.db.Report(ctx, &report)
}

func (s *Service) figureItems(ctx context.Context, name string, bucket int) (figures.Items, error) {
	if topic, ok := strings.CutPrefix(name, "facts:"); ok {
		return s.store.factKeys(ctx, topic, bucket)
	}
	return s.store.db.FigureItems(ctx, name, bucket)
}
