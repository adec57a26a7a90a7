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
		OperationID: "best-sellers", Method: http.MethodGet, Path: "/api/sales/products", Summary: "Products of shipped and completed orders, the one with most pieces first", Tags: []string{"analytics"},
	}, s.bestSellers)
	huma.Register(a.Huma(), huma.Operation{
		OperationID: "orders-per-minute", Method: http.MethodGet, Path: "/api/sales/minutes", Summary: "How many orders were accepted in each of the last minutes, oldest first", Tags: []string{"analytics"},
	}, s.ordersPerMinute)
	huma.Register(a.Huma(), huma.Operation{
		OperationID: "sensors", Method: http.MethodGet, Path: "/api/sensors", Summary: "Sensors with their newest minutes and anomalies", Tags: []string{"analytics"},
	}, s.sensors)
	s.registerDeadLetters(a)
	s.registerInternal(a)
	return a
}

// Days are a range of days, by when orders were placed. It is exported because it
// is embedded in inputs.
type Days struct {
	From string `query:"from" required:"true" format:"date" doc:"first day, YYYY-MM-DD"`
	To   string `query:"to" required:"true" format:"date" doc:"last day, included"`
}

func (s *Service) days(ctx context.Context, d Days) (from, to time.Time, err error) {
	if from, err = time.Parse(dayFormat, d.From); err != nil {
		return from, to, httpapi.Internal(ctx, s.log, err) // the schema takes nothing else
	}
	if to, err = time.Parse(dayFormat, d.To); err != nil {
		return from, to, httpapi.Internal(ctx, s.log, err)
	}
	if to.Before(from) {
		return from, to, httpapi.Invalid([]httpapi.FieldError{{Pointer: "to", Detail: "is before from"}})
	}
	return from, to, nil
}

type salesInput struct {
	Days
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
	from, to, err := s.days(ctx, in.Days)
	if err != nil {
		return nil, err
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

type soldProduct struct {
	SKU     string       `json:"sku"`
	Units   int64        `json:"units"`
	Revenue events.Money `json:"revenue"`
}

type bestSellersOutput struct {
	Body struct {
		Items []soldProduct `json:"items" nullable:"false"`
	}
}

func (s *Service) bestSellers(ctx context.Context, in *struct {
	Days
	Limit int `query:"limit" minimum:"1" maximum:"200" default:"10"`
}) (*bestSellersOutput, error) {
	from, to, err := s.days(ctx, in.Days)
	if err != nil {
		return nil, err
	}
	list, err := s.store.BestSellers(ctx, from, to, in.Limit)
	if err != nil {
		return nil, httpapi.Internal(ctx, s.log, err)
	}
	out := &bestSellersOutput{}
	out.Body.Items = make([]soldProduct, len(list))
	for i, p := range list {
		out.Body.Items[i] = soldProduct{p.SKU, p.Units, events.Money{Amount: p.Revenue, Currency: p.Currency}}
	}
	return out, nil
}

type minuteBody struct {
	Minute time.Time `json:"minute"`
	Orders int64     `json:"orders"`
}

type minutesOutput struct {
	Body struct {
		Items []minuteBody `json:"items" nullable:"false" doc:"one for each minute; the last is not over"`
	}
}

func (s *Service) ordersPerMinute(ctx context.Context, in *struct {
	Minutes int `query:"minutes" minimum:"1" maximum:"1440" default:"60"`
}) (*minutesOutput, error) {
	list, err := s.store.OrdersPerMinute(ctx, s.now(), in.Minutes)
	if err != nil {
		return nil, httpapi.Internal(ctx, s.log, err)
	}
	out := &minutesOutput{}
	out.Body.Items = make([]minuteBody, len(list))
	for i, m := range list {
		out.Body.Items[i] = minuteBody{m.Start, m.Orders}
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
