package analytics

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
	"github.com/cartwheel-shop/cartwheel/pkg/figures"
	"github.com/cartwheel-shop/cartwheel/pkg/httpapi"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
	"github.com/cartwheel-shop/cartwheel/pkg/service"
)

// registerInternal registers the calls of the edge, which are no part of the
// public interface.
func (s *Service) registerInternal(a *httpapi.API) {
	service.HandleInternal(a, s.faults, s.trail, s.figures, s.figureItems)
	service.HandleOutbox(a, "analytics", s.log, func() *outbox.DB { return s.store.db })
	httpapi.HandleJSON(a, "GET /internal/brokers", s.brokers)
	httpapi.HandleJSON(a, "POST /internal/readings", func(r *http.Request) (bus.ReadingsAnswer, error) { return s.admin.AnswerReadings(r, s.consumers()) })
}

// StreamFigures is how a JetStream stream stands.
type StreamFigures struct {
	Name     string `json:"name"`
	Messages uint64 `json:"messages"`
	Bytes    uint64 `json:"bytes"`
	LastSeq  uint64 `json:"last_seq"`
}

// brokerFigures is how Kafka and JetStream stand. One that does not answer is
// named, and costs the other nothing.
type brokerFigures struct {
	Topics  []bus.TopicFigures `json:"topics"`
	Groups  []bus.GroupFigures `json:"groups"`
	Streams []StreamFigures    `json:"streams"`
	Missing []string           `json:"missing"`
}

func (s *Service) brokers(r *http.Request) (brokerFigures, error) {
	ctx, cancel := context.WithTimeout(r.Context(), 3*time.Second)
	defer cancel()
	var out brokerFigures
	var err error
	if out.Topics, out.Groups, err = s.admin.Figures(ctx); err != nil {
		s.log.WarnContext(ctx, "kafka figures", "error", err)
		out.Missing = append(out.Missing, "kafka")
	}
	js, err := jetstream.New(s.nats)
	if err != nil {
		return out, err
	}
	streams := js.ListStreams(ctx)
	for info := range streams.Info() {
		out.Streams = append(out.Streams, StreamFigures{Name: info.Config.Name, Messages: info.State.Msgs, Bytes: info.State.Bytes, LastSeq: info.State.LastSeq})
	}
	if err := streams.Err(); err != nil {
		s.log.WarnContext(ctx, "stream figures", "error", err)
		out.Missing = append(out.Missing, "nats")
	}
	return out, nil
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
	products, err := s.store.products(ctx)
	if err != nil {
		return report, err
	}
	report.Offenders["sales"] = s.fold.compare(model, products)
	return report, s.store.db.Report(ctx, &report)
}

func (s *Service) figureItems(ctx context.Context, name string, bucket int) (figures.Items, error) {
	if topic, ok := strings.CutPrefix(name, "facts:"); ok {
		return s.store.factKeys(ctx, topic, bucket)
	}
	return s.store.db.FigureItems(ctx, name, bucket)
}
