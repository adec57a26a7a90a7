package analytics

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
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
	huma.Register(a.Huma(), a.Operator(huma.Operation{
		OperationID: "list-dead-letters", Method: http.MethodGet, Path: "/api/dead-letters", Summary: "Messages that a consumer gave up, newest first", Tags: []string{"operations"},
	}), s.deadLetters)
	huma.Register(a.Huma(), a.Operator(httpapi.Body[redriveBody](a, huma.Operation{
		OperationID: "redrive-dead-letters", Method: http.MethodPost, Path: "/api/dead-letters/redrive", Tags: []string{"operations"},
		Summary: "Hand dead letters back to the consumer that gave them up",
	})), func(ctx context.Context, in *rawInput) (*redriveOutput, error) { return s.redrive(ctx, a, in) })
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
	from, err1 := time.Parse(dayFormat, in.From)
	to, err2 := time.Parse(dayFormat, in.To)
	var fields []httpapi.FieldError
	if err1 != nil {
		fields = append(fields, httpapi.FieldError{Pointer: "from", Detail: "is not a day as YYYY-MM-DD"})
	}
	if err2 != nil || to.Before(from) {
		fields = append(fields, httpapi.FieldError{Pointer: "to", Detail: "is not a day as YYYY-MM-DD, from on"})
	}
	if len(fields) > 0 {
		return nil, httpapi.Invalid(fields)
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

type deadLettersInput struct {
	httpapi.Page
	Group  string `query:"group" doc:"consumer group"`
	Reason string `query:"reason" enum:"undecodable,unknown_version,failed,panicked"`
	Type   string `query:"type" doc:"event type, with or without its version"`
	State  string `query:"state" enum:"dead,redriven"`
}

type deadLetterBody struct {
	bus.DeadLetter
	Payload any `json:"payload,omitempty" doc:"the raw bytes as JSON, when they are"`
}

type deadLettersOutput struct {
	Body struct {
		Items      []deadLetterBody `json:"items" nullable:"false"`
		NextCursor string           `json:"next_cursor,omitempty"`
	}
}

func (s *Service) deadLetters(ctx context.Context, in *deadLettersInput) (*deadLettersOutput, error) {
	after, err := httpapi.DecodeCursor(in.Cursor, 1)
	if err != nil {
		return nil, err
	}
	list, err := s.admin.DeadLetters(ctx, bus.Filter{Group: in.Group, Reason: bus.Reason(in.Reason), Type: in.Type, State: in.State})
	if err != nil {
		return nil, httpapi.Internal(ctx, s.log, err)
	}
	if after != nil {
		for i, d := range list {
			if d.ID == after[0] {
				list = list[i+1:]
				break
			}
		}
	}
	out := &deadLettersOutput{}
	if len(list) > in.Limit {
		list = list[:in.Limit]
		out.Body.NextCursor = httpapi.EncodeCursor(list[in.Limit-1].ID)
	}
	out.Body.Items = make([]deadLetterBody, len(list))
	for i, d := range list {
		out.Body.Items[i].DeadLetter = d
		if json.Valid(d.Raw) {
			out.Body.Items[i].Payload = json.RawMessage(d.Raw)
		}
	}
	return out, nil
}

type rawInput struct{ RawBody []byte }

type redriveBody struct {
	IDs    []string `json:"ids,omitempty" nullable:"false" maxItems:"1000" doc:"dead letters to redrive; or a filter"`
	Group  string   `json:"group,omitempty"`
	Reason string   `json:"reason,omitempty" enum:"undecodable,unknown_version,failed,panicked"`
	Type   string   `json:"type,omitempty"`
	All    bool     `json:"all,omitempty" doc:"really all, when neither ids nor a filter is given"`
	DryRun bool     `json:"dry_run,omitempty" doc:"say what would happen and do nothing"`
	Rate   int      `json:"rate,omitempty" minimum:"1" maximum:"10000" doc:"messages per second; 100 when absent"`
	Force  bool     `json:"force,omitempty" doc:"also what was redriven already, or came back three times"`
}

type redriveOutput struct {
	Body struct {
		Items  []bus.Redriven `json:"items" nullable:"false"`
		DryRun bool           `json:"dry_run"`
	}
}

func (s *Service) redrive(ctx context.Context, a *httpapi.API, in *rawInput) (*redriveOutput, error) {
	req, fields, err := httpapi.Decode[redriveBody](a, in.RawBody)
	if err != nil {
		return nil, err
	}
	if len(req.IDs) == 0 && req.Group == "" && req.Reason == "" && req.Type == "" && !req.All {
		fields = append(fields, httpapi.FieldError{Pointer: "/ids", Detail: "give ids, a filter (group, reason, type), or all: true"})
	}
	if len(fields) > 0 {
		return nil, httpapi.Invalid(fields)
	}
	report, err := s.admin.Redrive(ctx, bus.Filter{IDs: req.IDs, Group: req.Group, Reason: bus.Reason(req.Reason), Type: req.Type},
		bus.RedriveOptions{DryRun: req.DryRun, Rate: req.Rate, Force: req.Force})
	if err != nil {
		return nil, httpapi.Internal(ctx, s.log, err)
	}
	out := &redriveOutput{}
	out.Body.Items, out.Body.DryRun = append([]bus.Redriven{}, report...), req.DryRun
	return out, nil
}

// OpenAPI is the document of the service's HTTP interface. It needs no running
// service.
func (s *Service) OpenAPI() *huma.OpenAPI { return s.api().OpenAPI() }
