package analytics

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
	"github.com/cartwheel-shop/cartwheel/pkg/events/schemas"
	"github.com/cartwheel-shop/cartwheel/pkg/httpapi"
)

// registerDeadLetters registers what an operator does with messages that
// consumers gave up, of whichever service.
func (s *Service) registerDeadLetters(a *httpapi.API) {
	huma.Register(a.Huma(), a.Operator(huma.Operation{
		OperationID: "list-dead-letters", Method: http.MethodGet, Path: "/api/dead-letters", Summary: "Messages that a consumer gave up, newest first", Tags: []string{"operations"},
	}), s.deadLetters)
	huma.Register(a.Huma(), a.Operator(huma.Operation{
		OperationID: "get-dead-letter", Method: http.MethodGet, Path: "/api/dead-letters/{group}/{partition}/{offset}", Summary: "One dead letter, by its id", Tags: []string{"operations"},
		Errors: []int{http.StatusNotFound},
	}), s.deadLetter)
	huma.Register(a.Huma(), a.Operator(httpapi.Body[redriveBody](a, huma.Operation{
		OperationID: "redrive-dead-letters", Method: http.MethodPost, Path: "/api/dead-letters/redrive", Tags: []string{"operations"},
		Summary: "Hand dead letters back to the consumer that gave them up",
	})), func(ctx context.Context, in *rawInput) (*redriveOutput, error) { return s.redrive(ctx, a, in) })
}

type deadLettersInput struct {
	httpapi.Page
	Group  string    `query:"group" doc:"consumer group"`
	Reason string    `query:"reason" enum:"undecodable,unknown_version,failed,panicked,waits"`
	Type   string    `query:"type" doc:"event type, with or without its version"`
	Key    string    `query:"key"`
	Text   string    `query:"text" doc:"part of the error, in any case"`
	Since  time.Time `query:"since" doc:"given up at that time or later"`
	Until  time.Time `query:"until" doc:"given up before"`
	State  string    `query:"state" enum:"dead,redriven"`
}

type deadLetterBody struct {
	bus.DeadLetter
	Payload  any             `json:"payload,omitempty" doc:"the raw bytes as JSON, when they are"`
	Problems []schemas.Wrong `json:"problems,omitempty" nullable:"false" doc:"what is wrong with the event by its published schema"`
}

// letterBody shows a letter with what it holds, as far as that can be read.
func letterBody(d bus.DeadLetter) deadLetterBody {
	body := deadLetterBody{DeadLetter: d}
	if json.Valid(d.Raw) {
		body.Payload = json.RawMessage(d.Raw)
	}
	err := schemas.Validate(d.Raw)
	var invalid *schemas.Invalid
	switch {
	case errors.As(err, &invalid):
		body.Problems = invalid.Fields
	case err != nil:
		body.Problems = []schemas.Wrong{{Pointer: "", Detail: err.Error()}}
	}
	return body
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
	f := bus.Filter{
		Group: in.Group, Reason: bus.Reason(in.Reason), Type: in.Type, Key: in.Key, Text: in.Text, Since: in.Since, Until: in.Until, State: in.State,
		Limit: in.Limit + 1, // one more says whether there is a next page
	}
	if after != nil {
		f.After = after[0]
	}
	list, err := s.admin.DeadLetters(ctx, f)
	switch {
	case errors.Is(err, bus.ErrBadCursor):
		return nil, httpapi.BadCursor()
	case err != nil:
		return nil, httpapi.Internal(ctx, s.log, err)
	}
	out := &deadLettersOutput{}
	if len(list) > in.Limit {
		list = list[:in.Limit]
		out.Body.NextCursor = httpapi.EncodeCursor(list[in.Limit-1].Cursor())
	}
	out.Body.Items = make([]deadLetterBody, len(list))
	for i, d := range list {
		out.Body.Items[i] = letterBody(d)
	}
	return out, nil
}

type deadLetterInput struct {
	Group     string `path:"group"`
	Partition int32  `path:"partition" minimum:"0"`
	Offset    int64  `path:"offset" minimum:"0"`
}

type deadLetterOutput struct{ Body deadLetterBody }

func (s *Service) deadLetter(ctx context.Context, in *deadLetterInput) (*deadLetterOutput, error) {
	d, err := s.admin.DeadLetter(ctx, fmt.Sprintf("%s/%d/%d", in.Group, in.Partition, in.Offset))
	switch {
	case errors.Is(err, bus.ErrNoDeadLetter):
		return nil, httpapi.Problem(http.StatusNotFound, "dead_letter_not_found", err.Error())
	case err != nil:
		return nil, httpapi.Internal(ctx, s.log, err)
	}
	return &deadLetterOutput{letterBody(d)}, nil
}

type rawInput struct{ RawBody []byte }

type redriveBody struct {
	IDs    []string  `json:"ids,omitempty" nullable:"false" maxItems:"1000" doc:"dead letters to redrive; or a filter"`
	Group  string    `json:"group,omitempty"`
	Reason string    `json:"reason,omitempty" enum:"undecodable,unknown_version,failed,panicked,waits"`
	Type   string    `json:"type,omitempty"`
	Key    string    `json:"key,omitempty"`
	Text   string    `json:"text,omitempty" doc:"part of the error, in any case"`
	Since  time.Time `json:"since,omitempty,omitzero" doc:"given up at that time or later"`
	Until  time.Time `json:"until,omitempty,omitzero" doc:"given up before"`
	All    bool      `json:"all,omitempty" doc:"really all, when neither ids nor a filter is given"`
	DryRun bool      `json:"dry_run,omitempty" doc:"say what would happen and do nothing"`
	Rate   int       `json:"rate,omitempty" minimum:"1" maximum:"10000" doc:"messages per second; 100 when absent"`
	Limit  int       `json:"limit,omitempty" minimum:"1" doc:"the most letters to send in this call; all when absent"`
	Force  bool      `json:"force,omitempty" doc:"also what was redriven already, or came back three times"`

	Discard bool `json:"discard,omitempty" doc:"give them up for good instead: they are not handled, and what waits behind them in order goes on"`
}

// selects says whether the body says which letters are meant.
func (b redriveBody) selects() bool {
	return b.All || len(b.IDs) > 0 || b.Group != "" || b.Reason != "" || b.Type != "" || b.Key != "" || b.Text != "" || !b.Since.IsZero() || !b.Until.IsZero()
}

type redriveOutput struct {
	Body struct {
		Items  []bus.Redriven `json:"items" nullable:"false"`
		More   bool           `json:"more" doc:"limit was reached, and there are others: call again"`
		DryRun bool           `json:"dry_run"`
	}
}

func (s *Service) redrive(ctx context.Context, a *httpapi.API, in *rawInput) (*redriveOutput, error) {
	req, fields, err := httpapi.Decode[redriveBody](a, in.RawBody)
	if err != nil {
		return nil, err
	}
	if !req.selects() {
		fields = append(fields, httpapi.FieldError{Pointer: "/ids", Detail: "give ids, a filter (group, reason, type, key, text, since, until), or all: true"})
	}
	if len(fields) > 0 {
		return nil, httpapi.Invalid(fields)
	}
	report, err := s.admin.Redrive(ctx,
		bus.Filter{IDs: req.IDs, Group: req.Group, Reason: bus.Reason(req.Reason), Type: req.Type, Key: req.Key, Text: req.Text, Since: req.Since, Until: req.Until},
		bus.RedriveOptions{DryRun: req.DryRun, Rate: req.Rate, Limit: req.Limit, Force: req.Force, Discard: req.Discard})
	if err != nil {
		return nil, httpapi.Internal(ctx, s.log, err)
	}
	out := &redriveOutput{}
	out.Body.Items, out.Body.More, out.Body.DryRun = report.Items, report.More, req.DryRun
	return out, nil
}
