package payment

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/httpapi"
)

// api returns the service's HTTP interface.
func (s *Service) api() *httpapi.API {
	a := httpapi.New("Payments", s.cfg.API(s.log))
	huma.Register(a.Huma(), huma.Operation{
		OperationID: "list-payments", Method: http.MethodGet, Path: "/api/payments", Summary: "The ledger of an order, oldest entry first", Tags: []string{"payments"},
	}, s.listEntries)
	s.registerInternal(a)
	return a
}

type entryBody struct {
	ID        int64        `json:"id"`
	PaymentID string       `json:"payment_id"`
	OrderID   string       `json:"order_id"`
	Kind      Kind         `json:"kind" enum:"authorize,void,capture,refund"`
	Account   Account      `json:"account" enum:"card_holds,holds_owed,provider_balance,sales"`
	Amount    events.Money `json:"amount" doc:"a debit is positive, a credit negative"`
	Balance   events.Money `json:"balance" doc:"of the account after this entry, for this order"`
	At        time.Time    `json:"at"`
}

type entriesOutput struct {
	Body struct {
		Items      []entryBody `json:"items" nullable:"false"`
		NextCursor string      `json:"next_cursor,omitempty" doc:"absent on the last page"`
	}
}

func (s *Service) listEntries(ctx context.Context, in *struct {
	httpapi.Page
	OrderID string `query:"order_id" required:"true"`
}) (*entriesOutput, error) {
	values, err := httpapi.DecodeCursor(in.Cursor, 1)
	if err != nil {
		return nil, err
	}
	var after int64
	if values != nil {
		if after, err = strconv.ParseInt(values[0], 10, 64); err != nil {
			return nil, httpapi.BadCursor()
		}
	}
	list, err := s.store.Entries(ctx, in.OrderID, after, in.Limit+1)
	if err != nil {
		return nil, httpapi.Internal(ctx, s.log, err)
	}
	out := &entriesOutput{}
	if len(list) > in.Limit {
		list = list[:in.Limit]
		out.Body.NextCursor = httpapi.EncodeCursor(strconv.FormatInt(list[in.Limit-1].ID, 10))
	}
	out.Body.Items = make([]entryBody, len(list))
	for i, e := range list {
		out.Body.Items[i] = entryBody{ID: e.ID, PaymentID: e.PaymentID, OrderID: e.OrderID, Kind: e.Kind, Account: e.Account, Amount: e.Amount,
			Balance: events.Money{Amount: e.Balance, Currency: e.Amount.Currency}, At: e.At.UTC()}
	}
	return out, nil
}

// OpenAPI is the document of the service's HTTP interface. It needs no running
// service.
func (s *Service) OpenAPI() *huma.OpenAPI { return s.api().OpenAPI() }
