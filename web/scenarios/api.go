package scenarios

import (
	"bytes"
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/cartwheel-shop/cartwheel/pkg/httpapi"
)

type scenarioBody struct {
	Name        string      `json:"name"`
	Title       string      `json:"title"`
	About       string      `json:"about" doc:"what is going to happen"`
	Promises    []string    `json:"promises" nullable:"false" doc:"what must come of it"`
	Parameters  []Parameter `json:"parameters" nullable:"false"`
	Available   bool        `json:"available"`
	Unavailable string      `json:"unavailable,omitempty" doc:"why it cannot be played in this shop"`
}

type scenariosOutput struct {
	Body struct {
		Items []scenarioBody `json:"items" nullable:"false"`
		Runs  []Run          `json:"runs" nullable:"false" doc:"newest first, since the shop was started"`
	}
}

// startBody is the body of POST /api/scenarios/{name}; it may be left out.
type startBody struct {
	Parameters map[string]int `json:"parameters,omitempty" doc:"by name; what is left out has its default"`
}

type runOutput struct{ Body Run }

// Register adds the calls to an API.
func (r *Runner) Register(a *httpapi.API) {
	huma.Register(a.Huma(), huma.Operation{
		OperationID: "list-scenarios", Method: http.MethodGet, Path: "/api/scenarios", Tags: []string{"scenarios"},
		Summary: "What the shop can be shown to do right, and how that went so far", Errors: []int{http.StatusNotFound},
	}, r.serveList)
	huma.Register(a.Huma(), huma.Operation{
		OperationID: "get-scenario-run", Method: http.MethodGet, Path: "/api/scenarios/runs/{id}", Tags: []string{"scenarios"},
		Summary: "A scenario as it was played, so far", Errors: []int{http.StatusNotFound},
	}, r.serveRun)
	op := a.Operator(httpapi.Body[startBody](a, huma.Operation{
		OperationID: "start-scenario", Method: http.MethodPost, Path: "/api/scenarios/{name}", DefaultStatus: http.StatusAccepted, Tags: []string{"scenarios"},
		Summary: "Play a scenario; one goes on at a time", Errors: []int{http.StatusNotFound, http.StatusConflict},
	}))
	huma.Register(a.Huma(), op, func(ctx context.Context, in *struct {
		Name    string `path:"name"`
		RawBody []byte
	}) (*runOutput, error) {
		return r.serveStart(ctx, a, in.Name, in.RawBody)
	})
	op.RequestBody.Required = false // huma makes it so as it registers
}

func (r *Runner) serveList(context.Context, *struct{}) (*scenariosOutput, error) {
	if err := r.offered(); err != nil {
		return nil, err
	}
	out := &scenariosOutput{}
	for _, s := range r.list {
		why := r.unavailable(s)
		out.Body.Items = append(out.Body.Items, scenarioBody{
			Name: s.Name, Title: s.Title, About: s.About, Promises: s.Promises,
			Parameters: append([]Parameter{}, s.Parameters...), Available: why == "", Unavailable: why,
		})
	}
	out.Body.Runs = []Run{}
	for _, rec := range r.remembered() {
		out.Body.Runs = append(out.Body.Runs, rec.read())
	}
	return out, nil
}

func (r *Runner) serveRun(_ context.Context, in *struct {
	ID string `path:"id"`
}) (*runOutput, error) {
	run, err := r.Find(in.ID)
	if err != nil {
		return nil, err
	}
	return &runOutput{run}, nil
}

func (r *Runner) serveStart(_ context.Context, a *httpapi.API, name string, raw []byte) (*runOutput, error) {
	var body startBody
	if len(bytes.TrimSpace(raw)) > 0 {
		var fields []httpapi.FieldError
		var err error
		if body, fields, err = httpapi.Decode[startBody](a, raw); err != nil {
			return nil, err
		}
		if len(fields) > 0 {
			return nil, httpapi.Invalid(fields)
		}
	}
	run, err := r.Start(name, body.Parameters)
	if err != nil {
		return nil, err
	}
	return &runOutput{run}, nil
}
