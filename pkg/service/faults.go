package service

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/cartwheel-shop/cartwheel/pkg/fault"
	"github.com/cartwheel-shop/cartwheel/pkg/httpapi"
)

// faultBody is a fault as an operator writes it.
type faultBody struct {
	Point string `json:"point" doc:"one of those that GET lists"`
	Kind  string `json:"kind" enum:"error,delay,block,kill,panic"`
	Key   string `json:"key,omitempty" doc:"fires only for this key: an order's id, a command's name"`
	From  int    `json:"from,omitempty" minimum:"0" doc:"the first passing that it fires at"`
	Times int    `json:"times,omitempty" minimum:"0" doc:"how often it fires; absent: without end"`
	For   string `json:"for,omitempty" doc:"how long a delay takes, or a block at most, as in 2s"`
}

// armedBody is a fault at its point.
type armedBody struct {
	ID string `json:"id"`
	faultBody
	Fires int `json:"fires" doc:"how often it has fired"`
}

type pointBody struct {
	fault.Description
	Passed int `json:"passed" doc:"how often it was passed since the service started"`
}

type faultsOutput struct {
	Body struct {
		Points []pointBody `json:"points"`
		Faults []armedBody `json:"faults"`
	}
}

type armInput struct{ RawBody []byte }

type armOutput struct{ Body armedBody }

// handleFaults registers the operator's calls that make things go wrong. Without
// faults there are none.
func handleFaults(a *httpapi.API, faults *fault.Points) {
	if faults == nil {
		return
	}
	op := func(id, method, path string, status int) huma.Operation {
		return a.Operator(huma.Operation{OperationID: id, Method: method, Path: path, DefaultStatus: status, Hidden: true})
	}
	huma.Register(a.Huma(), op("list-faults", http.MethodGet, "/internal/faults", http.StatusOK), func(context.Context, *struct{}) (*faultsOutput, error) {
		out := &faultsOutput{}
		for _, d := range fault.Catalogue() {
			out.Body.Points = append(out.Body.Points, pointBody{d, faults.Passed(d.Name)})
		}
		out.Body.Faults = []armedBody{}
		for _, f := range faults.Armed() {
			out.Body.Faults = append(out.Body.Faults, armed(f))
		}
		return out, nil
	})
	huma.Register(a.Huma(), httpapi.Body[faultBody](a, op("arm-fault", http.MethodPost, "/internal/faults", http.StatusCreated)), func(_ context.Context, in *armInput) (*armOutput, error) {
		f, err := readFault(a, in.RawBody)
		if err != nil {
			return nil, err
		}
		set, err := faults.Arm(f)
		if err != nil {
			return nil, httpapi.Invalid([]httpapi.FieldError{{Detail: err.Error()}})
		}
		return &armOutput{armed(set)}, nil
	})
	huma.Register(a.Huma(), op("disarm-faults", http.MethodDelete, "/internal/faults", http.StatusNoContent), func(context.Context, *struct{}) (*struct{}, error) {
		for _, f := range faults.Armed() {
			f.Disarm()
		}
		return nil, nil
	})
	huma.Register(a.Huma(), op("disarm-fault", http.MethodDelete, "/internal/faults/{id}", http.StatusNoContent), func(_ context.Context, in *struct {
		ID string `path:"id"`
	}) (*struct{}, error) {
		for _, f := range faults.Armed() {
			if f.ID == in.ID {
				f.Disarm()
				return nil, nil
			}
		}
		return nil, httpapi.Problem(http.StatusNotFound, "not_found", fmt.Sprintf("no fault %s is armed", in.ID))
	})
}

func readFault(a *httpapi.API, raw []byte) (fault.Fault, error) {
	b, fields, err := httpapi.Decode[faultBody](a, raw)
	if err != nil {
		return fault.Fault{}, err
	}
	var d time.Duration
	if b.For != "" {
		if d, err = time.ParseDuration(b.For); err != nil {
			fields = append(fields, httpapi.FieldError{Pointer: "/for", Detail: "expected a duration like 2s"})
		}
	}
	if len(fields) > 0 {
		return fault.Fault{}, httpapi.Invalid(fields)
	}
	return fault.Fault{Point: fault.Point(b.Point), Kind: fault.Kind(b.Kind), Key: b.Key, From: b.From, Times: b.Times, For: d}, nil
}

func armed(f *fault.Armed) armedBody {
	b := armedBody{ID: f.ID, Fires: f.Fires(), faultBody: faultBody{Point: string(f.Point), Kind: string(f.Kind), Key: f.Key, From: f.From, Times: f.Times}}
	if f.For > 0 {
		b.For = f.For.String()
	}
	return b
}
