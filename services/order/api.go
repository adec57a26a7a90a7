package order

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/httpapi"
	"github.com/cartwheel-shop/cartwheel/pkg/saga"
)

// api returns the service's HTTP interface.
func (s *Service) api() *httpapi.API {
	a := httpapi.New("Orders", s.cfg.API(s.log))
	huma.Register(a.Huma(), httpapi.Body[placeRequest](a, huma.Operation{
		OperationID: "place-order", Method: http.MethodPost, Path: "/api/orders", DefaultStatus: http.StatusAccepted, Tags: []string{"orders"},
		Summary:     "Place an order",
		Description: "Accepts an order and answers at once; the saga goes on by itself. The same key with the same body gives the same answer, however often it is sent.",
		Errors:      []int{http.StatusConflict, http.StatusServiceUnavailable},
	}), func(ctx context.Context, in *placeInput) (*placeOutput, error) { return s.placeWeb(ctx, a, in) })
	huma.Register(a.Huma(), a.Operator(httpapi.Body[channelRequest](a, huma.Operation{
		OperationID: "place-channel-order", Method: http.MethodPost, Path: "/api/channel-orders", DefaultStatus: http.StatusAccepted, Tags: []string{"orders"},
		Summary: "Take over an order that a marketplace sold", Errors: []int{http.StatusConflict, http.StatusServiceUnavailable},
	})), func(ctx context.Context, in *channelInput) (*placeOutput, error) { return s.placeChannel(ctx, a, in) })
	huma.Register(a.Huma(), huma.Operation{
		OperationID: "list-orders", Method: http.MethodGet, Path: "/api/orders", Summary: "List orders, newest first", Tags: []string{"orders"},
	}, s.listOrders)
	huma.Register(a.Huma(), huma.Operation{
		OperationID: "get-order", Method: http.MethodGet, Path: "/api/orders/{id}", Summary: "An order and the steps of its saga", Tags: []string{"orders"},
		Errors: []int{http.StatusNotFound},
	}, s.getOrder)
	s.registerDecision(a, "cancel", false, "Cancel an order that is not on its way yet", func(ctx context.Context, o Order, d Decision) error { return s.engine.Cancel(ctx, o, d) })
	s.registerDecision(a, "approve", true, "Approve an order that awaits approval", func(ctx context.Context, o Order, d Decision) error { return s.engine.Approve(ctx, o, d) })
	s.registerDecision(a, "reject", true, "Refuse an order that awaits approval", func(ctx context.Context, o Order, d Decision) error { return s.engine.Reject(ctx, o, d) })
	s.registerTasks(a)
	s.registerInternal(a)
	return a
}

type placeInput struct {
	IdempotencyKey string `header:"Idempotency-Key" doc:"required, 255 characters at most"`
	RequestID      string `header:"X-Request-Id"`
	RawBody        []byte
}

type channelInput struct {
	RequestID string `header:"X-Request-Id"`
	RawBody   []byte
}

type receiptBody struct {
	OrderID string       `json:"order_id"`
	Status  Status       `json:"status"`
	Total   events.Money `json:"total"`
}

type placeOutput struct {
	Replayed string `header:"Idempotent-Replayed"`
	Body     receiptBody
}

func receipt(r Receipt) *placeOutput {
	out := &placeOutput{Body: receiptBody{OrderID: r.OrderID, Status: Pending, Total: r.Total}}
	if r.Replayed {
		out.Replayed = "true"
	}
	return out
}

func (s *Service) placeWeb(ctx context.Context, a *httpapi.API, in *placeInput) (*placeOutput, error) {
	switch n := utf8.RuneCountInString(in.IdempotencyKey); {
	case n == 0:
		return nil, httpapi.Problem(http.StatusBadRequest, "idempotency_key_required", "send an Idempotency-Key header, a new one for each order, the same one for each repeat")
	case n > 255:
		return nil, httpapi.Problem(http.StatusBadRequest, "idempotency_key_too_long", "an Idempotency-Key has 255 characters at most; a UUID will do")
	}
	req, fields, err := httpapi.Decode[placeRequest](a, in.RawBody)
	if err != nil {
		return nil, err
	}
	key, hash := "web\x1f"+in.IdempotencyKey, hashBody(in.RawBody)
	if r, err := s.replay(ctx, key, hash); r != nil || err != nil {
		return r, err
	}
	stock, wrong, err := s.check(ctx, req.basket(), true)
	fields = merge(fields, append(wrong, s.checkPerson(req.Customer.Name, req.Customer.Email, req.Customer.Address, req.PaymentToken)...))
	switch {
	case len(fields) > 0:
		return nil, httpapi.Invalid(fields)
	case err != nil:
		return nil, err
	}
	if err := missing(req.basket(), stock); err != nil {
		return nil, err
	}
	r, err := s.place(ctx, req.order(stock), key, hash, in.RequestID)
	if err != nil {
		return nil, err
	}
	return receipt(r), nil
}

func (s *Service) placeChannel(ctx context.Context, a *httpapi.API, in *channelInput) (*placeOutput, error) {
	req, fields, err := httpapi.Decode[channelRequest](a, in.RawBody)
	if err != nil {
		return nil, err
	}
	key, hash := "channel\x1f"+req.Channel+"\x1f"+req.ExternalID, hashBody(in.RawBody)
	if r, err := s.replay(ctx, key, hash); r != nil || err != nil {
		return r, err
	}
	stock, wrong, err := s.check(ctx, req.basket(), false)
	o, more := req.order(s.now())
	fields = merge(fields, append(append(wrong, more...), s.checkPerson(o.Customer.Name, o.Customer.Email, o.Customer.Address, o.PaymentToken)...))
	switch {
	case len(fields) > 0:
		return nil, httpapi.Invalid(fields)
	case err != nil:
		return nil, err
	}
	if err := missing(req.basket(), stock); err != nil {
		return nil, err
	}
	r, err := s.place(ctx, o, key, hash, in.RequestID)
	if err != nil {
		return nil, err
	}
	return receipt(r), nil
}

// replay answers a request whose key was used before, without asking the stock
// again; nil when it was not.
func (s *Service) replay(ctx context.Context, key string, hash []byte) (*placeOutput, error) {
	r, err := s.store.Placed(ctx, key, hash)
	switch {
	case errors.Is(err, ErrKeyReused):
		return nil, reused()
	case err != nil:
		return nil, httpapi.Internal(ctx, s.log, err)
	case r == nil:
		return nil, nil
	}
	return receipt(*r), nil
}

type customerBody struct {
	CustomerID string   `json:"customer_id"`
	Name       string   `json:"name"`
	Email      string   `json:"email"`
	Address    *Address `json:"address,omitempty"`
}

type orderBody struct {
	OrderID    string          `json:"order_id"`
	Status     Status          `json:"status" enum:"pending,awaiting_approval,confirmed,shipped,completed,cancelled,rejected"`
	Channel    string          `json:"channel"`
	ExternalID string          `json:"external_id,omitempty"`
	Customer   customerBody    `json:"customer"`
	Lines      []events.Line   `json:"lines" nullable:"false"`
	Total      events.Money    `json:"total"`
	Approval   *Approval       `json:"approval,omitempty" doc:"absent for an order that needs none"`
	Reason     string          `json:"reason,omitempty" doc:"why it was cancelled or rejected, in plain words"`
	OrderedAt  time.Time       `json:"ordered_at"`
	CreatedAt  time.Time       `json:"created_at"`
	UpdatedAt  time.Time       `json:"updated_at"`
	Steps      []saga.Progress `json:"steps,omitempty" nullable:"false" doc:"the saga; absent in lists"`
}

func body(o Order) orderBody {
	b := orderBody{
		OrderID: o.ID, Status: o.Status, Channel: o.Channel, ExternalID: o.ExternalID, Lines: o.Lines, Total: o.Total, Approval: o.Approval, Reason: o.Reason,
		Customer:  customerBody{CustomerID: o.Customer.ID, Name: o.Customer.Name, Email: o.Customer.Email},
		OrderedAt: o.OrderedAt, CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt,
	}
	if o.Customer.Address != (Address{}) {
		b.Customer.Address = &o.Customer.Address
	}
	return b
}

type listInput struct {
	httpapi.Page
	Status     string `query:"status" enum:"pending,awaiting_approval,confirmed,shipped,completed,cancelled,rejected"`
	CustomerID string `query:"customer_id"`
	Words      string `query:"q" maxLength:"200" doc:"in the order's id, the marketplace's number, or the customer's name or email"`
}

type listOutput struct {
	Body struct {
		Items      []orderBody `json:"items" nullable:"false"`
		NextCursor string      `json:"next_cursor,omitempty" doc:"absent on the last page"`
	}
}

func (s *Service) listOrders(ctx context.Context, in *listInput) (*listOutput, error) {
	f := Filter{Status: Status(in.Status), CustomerID: in.CustomerID, Words: in.Words, Limit: in.Limit + 1}
	var err error
	if f.BeforeTime, f.BeforeID, err = after(in.Cursor); err != nil {
		return nil, err
	}
	rows, err := s.store.List(ctx, f)
	if err != nil {
		return nil, httpapi.Internal(ctx, s.log, err)
	}
	out := &listOutput{}
	if len(rows) > in.Limit {
		rows = rows[:in.Limit]
		last := rows[len(rows)-1]
		out.Body.NextCursor = httpapi.EncodeCursor(last.CreatedAt.Format(time.RFC3339Nano), last.ID)
	}
	out.Body.Items = make([]orderBody, len(rows))
	for i, o := range rows {
		out.Body.Items[i] = body(o.Order)
	}
	return out, nil
}

// after reads a cursor of a list that is ordered by creation.
func after(cursor string) (at time.Time, id string, err error) {
	values, err := httpapi.DecodeCursor(cursor, 2)
	if err != nil || values == nil {
		return at, "", err
	}
	if at, err = time.Parse(time.RFC3339Nano, values[0]); err != nil {
		return at, "", httpapi.BadCursor()
	}
	return at, values[1], nil
}

type idInput struct {
	ID string `path:"id" doc:"the order's id"`
}

type orderOutput struct{ Body orderBody }

func (s *Service) getOrder(ctx context.Context, in *idInput) (*orderOutput, error) {
	o, err := s.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out := &orderOutput{Body: body(o.Order)}
	out.Body.Steps = s.steps(ctx, o)
	return out, nil
}

// steps are asked of the saga while it runs; after its end, or while it cannot
// be asked, they are what it last recorded.
func (s *Service) steps(ctx context.Context, o Row) []saga.Progress {
	if !o.Status.Terminal() {
		ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		defer cancel()
		if steps, err := s.engine.Progress(ctx, o.ID); err == nil {
			return steps
		}
	}
	if len(o.Steps) == 0 {
		return s.engine.Planned(o.Order)
	}
	return o.Steps
}

func (s *Service) find(ctx context.Context, id string) (Row, error) {
	o, err := s.store.Get(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return o, httpapi.Problem(http.StatusNotFound, "order_not_found", fmt.Sprintf("there is no order %q", id))
	}
	if err != nil {
		return o, httpapi.Internal(ctx, s.log, err)
	}
	return o, nil
}

type decisionInput struct {
	ID      string `path:"id" doc:"the order's id"`
	RawBody []byte
}

type decisionBody struct {
	Reason string `json:"reason,omitempty" maxLength:"500" doc:"why; the customer reads it when the order ends by it, and it stays with the order as a note when it is approved"`
}

// registerDecision registers one of the calls that speak to a running saga.
func (s *Service) registerDecision(a *httpapi.API, verb string, operator bool, summary string, decide func(context.Context, Order, Decision) error) {
	op := httpapi.Body[decisionBody](a, huma.Operation{
		OperationID: verb + "-order", Method: http.MethodPost, Path: "/api/orders/{id}/" + verb, DefaultStatus: http.StatusAccepted,
		Summary: summary, Tags: []string{"orders"}, Errors: []int{http.StatusNotFound, http.StatusConflict, http.StatusServiceUnavailable},
	})
	if operator {
		op = a.Operator(op)
	}
	huma.Register(a.Huma(), op, func(ctx context.Context, in *decisionInput) (*orderOutput, error) {
		var req decisionBody
		if len(in.RawBody) > 0 {
			var fields []httpapi.FieldError
			var err error
			if req, fields, err = httpapi.Decode[decisionBody](a, in.RawBody); err != nil {
				return nil, err
			}
			if len(fields) > 0 {
				return nil, httpapi.Invalid(fields)
			}
		}
		o, err := s.find(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		if o.Status.Terminal() {
			err = &StateError{OrderID: o.ID, State: o.Status, Wanted: past[verb]}
		} else {
			err = decide(ctx, o.Order, Decision(req))
		}
		if err != nil {
			return nil, s.problem(ctx, err)
		}
		return &orderOutput{Body: body(o.Order)}, nil
	})
	op.RequestBody.Required = false // no reason needs to be given; Register asks for every body that is read raw
}

var past = map[string]string{"cancel": "cancelled", "approve": "approved", "reject": "rejected"}

// problem maps the service's errors to HTTP.
func (s *Service) problem(ctx context.Context, err error) error {
	var state *StateError
	switch {
	case errors.As(err, &state):
		return httpapi.Problem(http.StatusConflict, "order_state",
			fmt.Sprintf("the order is %s and cannot be %s; read it again to see where it stands", state.State, state.Wanted))
	case errors.Is(err, ErrSagaUnavailable):
		return httpapi.Problem(http.StatusServiceUnavailable, "saga_unavailable",
			"the saga engine cannot be reached; the order is safe, try again in a moment").RetryAfter(5 * time.Second)
	case errors.Is(err, ErrNoTask):
		return httpapi.Problem(http.StatusNotFound, "task_not_found", "there is no such task")
	}
	return httpapi.Internal(ctx, s.log, err)
}

// OpenAPI is the document of the service's HTTP interface. It needs no running
// service.
func (s *Service) OpenAPI() *huma.OpenAPI { return s.api().OpenAPI() }
