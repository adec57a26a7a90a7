package inventory

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/httpapi"
)

// api returns the service's HTTP interface.
func (s *Service) api() *httpapi.API {
	a := httpapi.New("Inventory", s.cfg.API(s.log))
	huma.Register(a.Huma(), huma.Operation{
		OperationID: "list-products", Method: http.MethodGet, Path: "/api/products", Summary: "The catalogue, with what is left", Tags: []string{"stock"},
	}, s.listProducts)
	huma.Register(a.Huma(), huma.Operation{
		OperationID: "get-stock", Method: http.MethodGet, Path: "/api/stock/{sku}", Summary: "Where the pieces of a product are", Tags: []string{"stock"},
		Errors: []int{http.StatusNotFound},
	}, s.getStock)
	huma.Register(a.Huma(), a.Operator(httpapi.Body[replenishBody](a, huma.Operation{
		OperationID: "replenish-stock", Method: http.MethodPost, Path: "/api/stock/{sku}/replenish", Summary: "Take goods in, until so many pieces are on hand", Tags: []string{"stock"},
		Errors: []int{http.StatusNotFound},
	})), func(ctx context.Context, in *struct {
		SKU     string `path:"sku"`
		RawBody []byte
	}) (*stockOutput, error) {
		return s.replenish(ctx, a, in.SKU, in.RawBody)
	})
	s.registerInternal(a)
	return a
}

type productBody struct {
	SKU       string       `json:"sku"`
	Name      string       `json:"name"`
	Price     events.Money `json:"price"`
	Available int64        `json:"available"`
	Storage   Storage      `json:"storage" enum:"ambient,chilled,frozen"`
}

type productsOutput struct {
	Body struct {
		Items      []productBody `json:"items" nullable:"false"`
		NextCursor string        `json:"next_cursor,omitempty" doc:"absent on the last page"`
	}
}

func (s *Service) listProducts(ctx context.Context, in *struct{ httpapi.Page }) (*productsOutput, error) {
	values, err := httpapi.DecodeCursor(in.Cursor, 1)
	if err != nil {
		return nil, err
	}
	after := 0
	if values != nil {
		if after, err = strconv.Atoi(values[0]); err != nil {
			return nil, httpapi.BadCursor()
		}
	}
	list, positions, err := s.store.Products(ctx, after, in.Limit+1)
	if err != nil {
		return nil, httpapi.Internal(ctx, s.log, err)
	}
	out := &productsOutput{}
	if len(list) > in.Limit {
		list = list[:in.Limit]
		out.Body.NextCursor = httpapi.EncodeCursor(strconv.Itoa(positions[in.Limit-1]))
	}
	out.Body.Items = make([]productBody, len(list))
	for i, p := range list {
		out.Body.Items[i] = productBody{SKU: p.SKU, Name: p.Name, Price: p.Price, Available: p.Available, Storage: p.Storage}
	}
	return out, nil
}

type stockOutput struct{ Body Stock }

func (s *Service) getStock(ctx context.Context, in *struct {
	SKU string `path:"sku"`
}) (*stockOutput, error) {
	st, err := s.store.Stock(ctx, in.SKU)
	return s.stockAnswer(ctx, in.SKU, st, err)
}

func (s *Service) stockAnswer(ctx context.Context, sku string, st Stock, err error) (*stockOutput, error) {
	if errors.Is(err, ErrNotFound) {
		return nil, httpapi.Problem(http.StatusNotFound, "product_not_found", fmt.Sprintf("there is no product %q", sku))
	}
	if err != nil {
		return nil, httpapi.Internal(ctx, s.log, err)
	}
	return &stockOutput{st}, nil
}

type replenishBody struct {
	OnHand int64 `json:"on_hand" minimum:"1" maximum:"1000000" doc:"pieces that are to be free to sell; nothing is taken in when there are more"`
}

func (s *Service) replenish(ctx context.Context, a *httpapi.API, sku string, raw []byte) (*stockOutput, error) {
	body, fields, err := httpapi.Decode[replenishBody](a, raw)
	if err != nil {
		return nil, err
	}
	if len(fields) > 0 {
		return nil, httpapi.Invalid(fields)
	}
	st, err := s.store.Replenish(ctx, sku, body.OnHand)
	return s.stockAnswer(ctx, sku, st, err)
}

// OpenAPI is the document of the service's HTTP interface. It needs no running
// service.
func (s *Service) OpenAPI() *huma.OpenAPI { return s.api().OpenAPI() }
