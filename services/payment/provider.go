package payment

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
)

// Outcome is a provider's answer to an operation. It is final: the same key gets
// the same answer for ever.
type Outcome struct {
	Key     string `json:"key"`
	Refused string `json:"refused"` // code, when the provider refused
	Detail  string `json:"detail"`
}

// BookAccount is what the provider's own books say of an order.
type BookAccount struct {
	Reference  string `json:"reference"`
	Authorized int64  `json:"authorized"`
	Captured   int64  `json:"captured"`
	Refunded   int64  `json:"refunded"`
}

// BookTotals are the sums of the provider's books.
type BookTotals struct {
	Authorized int64 `json:"authorized"`
	Captured   int64 `json:"captured"`
	Refunded   int64 `json:"refunded"`
}

// Provider moves money. Implementations promise that a key is done once,
// however often it is asked for; an error says that the answer is not known, and
// that asking again under the same key is safe.
type Provider interface {
	Do(ctx context.Context, k Kind, key string, p Payment) (Outcome, error)
	// Lookup says what became of a key; nil when the provider has never done it.
	Lookup(ctx context.Context, key string) (*Outcome, error)
	Totals(ctx context.Context) (BookTotals, error)
	Books(ctx context.Context) ([]BookAccount, error)
}

// httpProvider speaks to the test provider, and is a model for a real adapter.
type httpProvider struct {
	url     string
	timeout time.Duration
	client  *http.Client
}

func newHTTPProvider(address string, timeout time.Duration) (*httpProvider, error) {
	if u, err := url.Parse(address); err != nil || u.Host == "" {
		return nil, fmt.Errorf("PAYMENT_PROVIDER_URL must be http://host:port, not %q", address)
	}
	return &httpProvider{url: address, timeout: timeout, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}}, nil
}

// Do implements Provider.
func (h *httpProvider) Do(ctx context.Context, k Kind, key string, p Payment) (Outcome, error) {
	body := struct {
		Reference string `json:"reference"`
		events.Money
		Token string `json:"token,omitempty"`
	}{Reference: p.OrderID}
	if k == Authorize {
		body.Money, body.Token = p.Amount, p.Token
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return Outcome{}, err
	}
	var answer struct {
		Code   string `json:"code"`
		Detail string `json:"detail"`
	}
	status, err := h.call(ctx, http.MethodPost, "/"+string(k), key, raw, &answer)
	switch {
	case err != nil:
		return Outcome{}, fmt.Errorf("provider, %s: %w", k, err)
	case status == http.StatusOK:
		return Outcome{Key: key}, nil
	case status == http.StatusPaymentRequired:
		return Outcome{Key: key, Refused: answer.Code, Detail: answer.Detail}, nil
	}
	return Outcome{}, fmt.Errorf("provider, %s: status %d: %s %s", k, status, answer.Code, answer.Detail)
}

// Lookup implements Provider.
func (h *httpProvider) Lookup(ctx context.Context, key string) (*Outcome, error) {
	var o Outcome
	status, err := h.call(ctx, http.MethodGet, "/operations/"+url.PathEscape(key), "", nil, &o)
	switch {
	case err != nil:
		return nil, fmt.Errorf("provider, look up %s: %w", key, err)
	case status == http.StatusNotFound:
		return nil, nil
	case status == http.StatusOK:
		return &o, nil
	}
	return nil, fmt.Errorf("provider, look up %s: status %d", key, status)
}

// Totals implements Provider.
func (h *httpProvider) Totals(ctx context.Context) (BookTotals, error) {
	var t BookTotals
	err := h.read(ctx, "/books/totals", &t)
	return t, err
}

// Books implements Provider.
func (h *httpProvider) Books(ctx context.Context) ([]BookAccount, error) {
	var books struct {
		Items []BookAccount `json:"items"`
	}
	err := h.read(ctx, "/books", &books)
	return books.Items, err
}

func (h *httpProvider) read(ctx context.Context, path string, v any) error {
	status, err := h.call(ctx, http.MethodGet, path, "", nil, v)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("status %d", status)
	}
	if err != nil {
		return fmt.Errorf("provider's books: %w", err)
	}
	return nil
}

func (h *httpProvider) call(ctx context.Context, method, path, key string, body []byte, v any) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, h.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		return resp.StatusCode, fmt.Errorf("status %d, answer: %w", resp.StatusCode, err)
	}
	return resp.StatusCode, nil
}
