package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/cartwheel-shop/cartwheel/pkg/httpapi"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
)

// ParkedFact is a fact in a service's outbox that waits for a person.
type ParkedFact struct {
	Service   string          `json:"service"`
	Seq       int64           `json:"seq" doc:"its number in the outbox of the service"`
	Topic     string          `json:"topic"`
	Key       string          `json:"key"`
	EventID   string          `json:"event_id"`
	EventType string          `json:"event_type"`
	Reason    string          `json:"reason" doc:"why Kafka refused it, or that an earlier fact of its key is parked"`
	ParkedAt  time.Time       `json:"parked_at"`
	Released  bool            `json:"released" doc:"it is about to be sent"`
	Payload   json.RawMessage `json:"payload"`
}

type parkedInput struct{ httpapi.Page }

type parkedOutput struct {
	Body struct {
		Items      []ParkedFact `json:"items"`
		NextCursor string       `json:"next_cursor,omitempty"`
	}
}

type parkedOneInput struct {
	Seq int64 `path:"seq" minimum:"1" doc:"number of a parked fact"`
}

type releaseOutput struct {
	Body struct {
		Released int64 `json:"released" doc:"how many facts: those of the key are sent together, in their order"`
	}
}

// HandleOutbox registers the operator's calls about facts that Kafka refused for
// good. db is not called before a request comes.
func HandleOutbox(a *httpapi.API, name string, log *slog.Logger, db func() *outbox.DB) {
	base := "/api/outbox/" + name + "/parked"
	op := func(id, method, path, summary string, status int, errors ...int) huma.Operation {
		return a.Operator(huma.Operation{
			OperationID: id + "-" + name, Method: method, Path: path, Summary: summary, DefaultStatus: status, Tags: []string{"operations"}, Errors: errors,
		})
	}
	problem := func(ctx context.Context, seq int64, err error) error {
		if errors.Is(err, outbox.ErrNotParked) {
			return httpapi.Problem(http.StatusNotFound, "not_parked", fmt.Sprintf("the outbox of %s has no parked fact %d; GET %s lists them", name, seq, base))
		}
		return httpapi.Internal(ctx, log, err)
	}
	huma.Register(a.Huma(), op("list-parked", http.MethodGet, base, "Facts that Kafka refused for good, and those behind them, oldest first", http.StatusOK),
		func(ctx context.Context, in *parkedInput) (*parkedOutput, error) {
			after := int64(0)
			cursor, err := httpapi.DecodeCursor(in.Cursor, 1)
			if err == nil && cursor != nil {
				after, err = strconv.ParseInt(cursor[0], 10, 64)
			}
			if err != nil {
				return nil, httpapi.BadCursor()
			}
			list, err := db().Parked(ctx, after, in.Limit+1)
			if err != nil {
				return nil, httpapi.Internal(ctx, log, err)
			}
			out := &parkedOutput{}
			if len(list) > in.Limit {
				list = list[:in.Limit]
				out.Body.NextCursor = httpapi.EncodeCursor(strconv.FormatInt(list[in.Limit-1].Seq, 10))
			}
			out.Body.Items = []ParkedFact{}
			for _, p := range list {
				out.Body.Items = append(out.Body.Items, ParkedFact{
					name, p.Seq, p.Topic, p.Key, p.EventID, p.Type, p.Reason, p.At.UTC(), p.Released, p.Payload,
				})
			}
			return out, nil
		})
	huma.Register(a.Huma(), op("release-parked", http.MethodPost, base+"/{seq}/release", "Send a parked fact and all that is parked under its key", http.StatusAccepted, http.StatusNotFound),
		func(ctx context.Context, in *parkedOneInput) (*releaseOutput, error) {
			n, err := db().Release(ctx, in.Seq)
			if err != nil {
				return nil, problem(ctx, in.Seq, err)
			}
			out := &releaseOutput{}
			out.Body.Released = n
			return out, nil
		})
	huma.Register(a.Huma(), op("discard-parked", http.MethodPost, base+"/{seq}/discard", "Forget a parked fact: it is never sent", http.StatusNoContent, http.StatusNotFound),
		func(ctx context.Context, in *parkedOneInput) (*struct{}, error) {
			if err := db().Discard(ctx, in.Seq); err != nil {
				return nil, problem(ctx, in.Seq, err)
			}
			return nil, nil
		})
}
