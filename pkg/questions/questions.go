package questions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
)

// Question ties a subject to the types of its request and its answer.
type Question[Req, Resp any] struct{ Subject string }

// The questions.
var (
	// StockGet asks inventory what it knows of some SKUs.
	StockGet = Question[StockRequest, StockAnswer]{"stock.get"}
	// CustomerContact asks order who receives an order, and where. It is the
	// only way to personal data, which no event carries.
	CustomerContact = Question[ContactRequest, Contact]{"customer.contact"}
)

// StockRequest names the SKUs of a basket.
type StockRequest struct {
	SKUs []string `json:"skus"`
}

// StockAnswer has an item for each known SKU; unknown ones are absent.
type StockAnswer struct {
	Items []StockItem `json:"items"`
}

// StockItem is a product as it can be sold at this moment.
type StockItem struct {
	SKU       string       `json:"sku"`
	Name      string       `json:"name"`
	Price     events.Money `json:"price"`
	Available int64        `json:"available"`
	Storage   string       `json:"storage"` // ambient, chilled or frozen
	Listed    bool         `json:"listed"`  // false: sold through channels only
}

// ContactRequest names the order whose recipient is asked for.
type ContactRequest struct {
	OrderID string `json:"order_id"`
}

// Contact is the recipient of an order. Channel orders may have no address.
type Contact struct {
	CustomerID string  `json:"customer_id"`
	Name       string  `json:"name"`
	Email      string  `json:"email"`
	Address    Address `json:"address"`
}

// Address is where a parcel goes. Country is ISO 3166-1 alpha-2.
type Address struct {
	Line1    string `json:"line1"`
	City     string `json:"city"`
	Postcode string `json:"postcode"`
	Country  string `json:"country"`
}

// Codes of [Error].
const (
	NotFound   = "not_found"
	BadRequest = "bad_request"
	Internal   = "internal"
)

// Error is an answerer's refusal.
type Error struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

func (e *Error) Error() string { return e.Code + ": " + e.Detail }

// ErrUnavailable says that no answer came: nobody listens, NATS is away, or
// the time was up. The same question may be asked again.
var ErrUnavailable = errors.New("no answer")

const patience = 2 * time.Second

type reply[Resp any] struct {
	Answer *Resp  `json:"answer,omitempty"`
	Error  *Error `json:"error,omitempty"`
}

// Ask asks q and waits for the answer.
func Ask[Req, Resp any](ctx context.Context, nc *nats.Conn, q Question[Req, Resp], req Req) (Resp, error) {
	var none Resp
	body, err := json.Marshal(req)
	if err != nil {
		return none, fmt.Errorf("ask %s: %w", q.Subject, err)
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	msg, err := nc.RequestWithContext(ctx, q.Subject, body)
	if errors.Is(err, nats.ErrMaxPayload) {
		return none, fmt.Errorf("ask %s: %w", q.Subject, err) // it will never fit
	}
	if err != nil {
		return none, fmt.Errorf("ask %s: %w: %w", q.Subject, ErrUnavailable, err)
	}
	var r reply[Resp]
	if err := json.Unmarshal(msg.Data, &r); err != nil {
		return none, fmt.Errorf("ask %s: answer is not ours: %w", q.Subject, err)
	}
	switch {
	case r.Error != nil:
		return none, fmt.Errorf("ask %s: %w", q.Subject, r.Error)
	case r.Answer == nil:
		return none, fmt.Errorf("ask %s: empty answer", q.Subject)
	}
	return *r.Answer, nil
}

// Answer serves q until ctx ends, then lets requests in flight finish. Group is
// the queue group, by habit the service's name. fn runs on one goroutine per
// request; return *Error to refuse with a code.
func Answer[Req, Resp any](ctx context.Context, nc *nats.Conn, log *slog.Logger, q Question[Req, Resp], group string, fn func(context.Context, Req) (Resp, error)) error {
	send := func(m *nats.Msg, r reply[Resp]) error {
		body, err := json.Marshal(r)
		if err != nil {
			return err
		}
		return m.Respond(body)
	}
	failed := reply[Resp]{Error: &Error{Code: Internal, Detail: "the answerer failed; ask again"}}
	serve := func(m *nats.Msg) {
		var r reply[Resp]
		resp, err := handle(context.WithoutCancel(ctx), m.Data, fn)
		if err == nil {
			r.Answer = &resp
		} else if !errors.As(err, &r.Error) {
			log.Error("question failed", "subject", q.Subject, "error", err)
			r = failed
		}
		if err := send(m, r); err != nil {
			// An answer that cannot be sent, as one too big, must not look like nobody there.
			log.Error("answer not sent", "subject", q.Subject, "error", err)
			_ = send(m, failed) // it may be the connection
		}
	}
	var flying sync.WaitGroup
	sub, err := nc.QueueSubscribe(q.Subject, group, func(m *nats.Msg) { flying.Go(func() { serve(m) }) })
	if err != nil {
		return fmt.Errorf("answer %s: %w", q.Subject, err)
	}
	<-ctx.Done()
	settled := make(chan struct{})
	// Called when the last request that was sent to us has been handed over.
	sub.SetClosedHandler(func(string) { flying.Wait(); close(settled) })
	if err := sub.Drain(); err != nil {
		if errors.Is(err, nats.ErrConnectionClosed) {
			return nil
		}
		return fmt.Errorf("answer %s: drain: %w", q.Subject, err)
	}
	select {
	case <-settled:
	case <-time.After(2 * patience): // NATS is away
	}
	return nil
}

func handle[Req, Resp any](ctx context.Context, data []byte, fn func(context.Context, Req) (Resp, error)) (resp Resp, err error) {
	var req Req
	if err := json.Unmarshal(data, &req); err != nil {
		return resp, &Error{Code: BadRequest, Detail: "the request is not JSON of this question: " + err.Error()}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return fn(ctx, req)
}
