package analytics

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/httpapi"
)

// api returns the service's HTTP interface.
func (s *Service) api() *httpapi.API {
	a := httpapi.New("Analytics", s.cfg.API(s.log))
	huma.Register(a.Huma(), huma.Operation{
		OperationID: "sales", Method: http.MethodGet, Path: "/api/sales", Summary: "Shipped and completed orders by the day they were placed", Tags: []string{"analytics"},
	}, s.sales)
	huma.Register(a.Huma(), huma.Operation{
		OperationID: "sensors", Method: http.MethodGet, Path: "/api/sensors", Summary: "Sensors with their newest minutes and anomalies", Tags: []string{"analytics"},
	}, s.sensors)
	s.registerDeadLetters(a)
	s.registerInternal(a)
	return a
}

type salesInput struct {
	From  string `query:"from" required:"true" format:"date" doc:"first day, YYYY-MM-DD"`
	To    string `query:"to" required:"true" format:"date" doc:"last day, included"`
	Group string `query:"group" enum:"day" default:"day"`
}

type saleBody struct {
	Day     string       `json:"day" format:"date"`
	Orders  int64        `json:"orders"`
	Units   int64        `json:"units"`
	Revenue events.Money `json:"revenue"`
}

type salesOutput struct {
	Body struct {
		Items []saleBody `json:"items" nullable:"false"`
	}
}

func (s *Service) sales(ctx context.Context, in *salesInput) (*salesOutput, error) {
	from, err := time.Parse(dayFormat, in.From)
	if err != nil {
		return nil, httpapi.Internal(ctx, s.log, err) // the schema takes nothing else
	}
	to, err := time.Parse(dayFormat, in.To)
	if err != nil {
		return nil, httpapi.Internal(ctx, s.log, err)
	}
	if to.Before(from) {
		return nil, httpapi.Invalid([]httpapi.FieldError{{Pointer: "to", Detail: "is before from"}})
	}
	days, err := s.store.Sales(ctx, from, to)
	if err != nil {
		return nil, httpapi.Internal(ctx, s.log, err)
	}
	out := &salesOutput{}
	out.Body.Items = []saleBody{}
	for _, k := range sortedSales(days) {
		d := days[k]
		out.Body.Items = append(out.Body.Items, saleBody{Day: k.day, Orders: d.Orders, Units: d.Units, Revenue: events.Money{Amount: d.Revenue, Currency: k.currency}})
	}
	return out, nil
}

type sensorsOutput struct {
	Body struct {
		Items     []SensorView `json:"items" nullable:"false"`
		BadFrames int64        `json:"bad_frames" doc:"dropped since the service started"`
	}
}

func (s *Service) sensors(ctx context.Context, _ *struct{}) (*sensorsOutput, error) {
	list, err := s.store.Sensors(ctx)
	if err != nil {
		return nil, httpapi.Internal(ctx, s.log, err)
	}
	out := &sensorsOutput{}
	out.Body.Items, out.Body.BadFrames = list, s.badFrames.Load()
	return out, nil
}

// OpenAPI is the document of the service's HTTP interface. It needs no running
// service.
func (s *Service) OpenAPI() *huma.OpenAPI { return s.api().OpenAPI() }
