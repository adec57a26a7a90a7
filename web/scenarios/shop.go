package scenarios

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"
)

// shop is the HTTP interface of a shop, as any customer or operator has it.
type shop struct {
	base   string
	token  string
	client *http.Client
}

func newShop(base, token string) *shop {
	return &shop{base, token, &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 10 * time.Second}}}
}

// refusal is an answer that is a problem.
type refusal struct {
	Status int    `json:"-"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

func (r *refusal) Error() string { return fmt.Sprintf("%s (%d %s)", r.Detail, r.Status, r.Code) }

// do sends body as JSON, when there is one, and reads the answer into v.
func (c *shop) do(ctx context.Context, method, path string, body, v any, headers ...string) error {
	var reader io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return err
		}
		reader = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, reader)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode >= http.StatusBadRequest {
		r := &refusal{Status: resp.StatusCode}
		if json.Unmarshal(raw, r) != nil || r.Code == "" {
			r.Code, r.Detail = "unexpected", fmt.Sprintf("%s %s answered %.200s", method, path, raw)
		}
		return r
	}
	if v == nil {
		return nil
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

type money struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

type order struct {
	ID     string `json:"order_id"`
	Status string `json:"status"`
	Total  money  `json:"total"`
	Reason string `json:"reason"`
	Steps  []struct {
		Name     string `json:"name"`
		State    string `json:"state"`
		Attempts int    `json:"attempts"`
		Error    string `json:"error"`
	} `json:"steps"`
}

func (o order) ended() bool {
	return o.Status == "completed" || o.Status == "cancelled" || o.Status == "rejected"
}

// step is the state of a step of the saga.
func (o order) step(name string) string {
	for _, s := range o.Steps {
		if s.Name == name {
			return s.State
		}
	}
	return ""
}

func (o order) attempts(name string) int {
	for _, s := range o.Steps {
		if s.Name == name {
			return s.Attempts
		}
	}
	return 0
}

type line struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
}

// basket is what a shopper orders.
type basket struct {
	lines   []line
	token   string // the card
	country string // GB when empty
}

// place sends an order under a key of its own.
func (c *shop) place(ctx context.Context, b basket) (order, error) {
	return c.placeUnder(ctx, uuid.NewString(), b)
}

func (c *shop) placeUnder(ctx context.Context, key string, b basket) (order, error) {
	country := b.country
	if country == "" {
		country = "GB"
	}
	var o order
	err := c.do(ctx, http.MethodPost, "/api/orders", map[string]any{
		"customer": map[string]any{"name": "Scenario Shopper", "email": "scenario@example.com",
			"address": map[string]any{"line1": "1 Mill Lane", "city": "London", "postcode": "N1 9GU", "country": country}},
		"lines": b.lines, "payment_token": b.token,
	}, &o, "Idempotency-Key", key)
	return o, err
}

func (c *shop) order(ctx context.Context, id string) (order, error) {
	var o order
	return o, c.do(ctx, http.MethodGet, "/api/orders/"+url.PathEscape(id), nil, &o)
}

// newest returns the newest orders as lists show them, without steps: at least n
// of them, if there are so many.
func (c *shop) newest(ctx context.Context, n int) ([]order, error) {
	var all []order
	for cursor := ""; ; {
		var page struct {
			Items      []order `json:"items"`
			NextCursor string  `json:"next_cursor"`
		}
		q := url.Values{"limit": {"200"}}
		if cursor != "" {
			q.Set("cursor", cursor)
		}
		if err := c.do(ctx, http.MethodGet, "/api/orders?"+q.Encode(), nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if cursor = page.NextCursor; cursor == "" || len(all) >= n {
			return all, nil
		}
	}
}

// tell sends what a person decides about an order: cancel, approve, reject.
func (c *shop) tell(ctx context.Context, id, what, reason string) error {
	var ignored map[string]any
	return c.do(ctx, http.MethodPost, "/api/orders/"+url.PathEscape(id)+"/"+what, map[string]any{"reason": reason}, &ignored)
}

type mail struct {
	Kind      string `json:"kind"`
	State     string `json:"state"`
	Duplicate bool   `json:"possible_duplicate"`
}

func (c *shop) mails(ctx context.Context, id string) ([]mail, error) {
	var page struct {
		Items []mail `json:"items"`
	}
	return page.Items, c.do(ctx, http.MethodGet, "/api/emails?order_id="+url.QueryEscape(id), nil, &page)
}

type entry struct {
	Account string `json:"account"`
	Amount  money  `json:"amount"`
}

// ledger returns the ledger's entries for an order.
func (c *shop) ledger(ctx context.Context, id string) ([]entry, error) {
	var page struct {
		Items []entry `json:"items"`
	}
	return page.Items, c.do(ctx, http.MethodGet, "/api/payments?limit=200&order_id="+url.QueryEscape(id), nil, &page)
}

type stock struct {
	OnHand   int `json:"on_hand"`
	Reserved int `json:"reserved"`
	Shipped  int `json:"shipped"`
}

func (c *shop) stock(ctx context.Context, sku string) (stock, error) {
	var s stock
	return s, c.do(ctx, http.MethodGet, "/api/stock/"+url.PathEscape(sku), nil, &s)
}

// replenish takes goods in, until so many pieces are on hand.
func (c *shop) replenish(ctx context.Context, sku string, onHand int) (stock, error) {
	var s stock
	return s, c.do(ctx, http.MethodPost, "/api/stock/"+url.PathEscape(sku)+"/replenish", map[string]any{"on_hand": onHand}, &s)
}

type product struct {
	SKU       string `json:"sku"`
	Available int    `json:"available"`
	Price     money  `json:"price"`
}

// products returns the first page of the catalogue, which is all of it.
func (c *shop) products(ctx context.Context) ([]product, error) {
	var page struct {
		Items []product `json:"items"`
	}
	return page.Items, c.do(ctx, http.MethodGet, "/api/products?limit=200", nil, &page)
}

// offenders are what breaks the invariants now, each with its invariant's name.
func (c *shop) offenders(ctx context.Context) ([]string, error) {
	var answer struct {
		Items []struct {
			Name      string   `json:"name"`
			Holds     bool     `json:"holds"`
			Offenders []string `json:"offenders"`
		} `json:"items"`
	}
	if err := c.do(ctx, http.MethodGet, "/api/check", nil, &answer); err != nil {
		return nil, err
	}
	var all []string
	for _, i := range answer.Items {
		for _, o := range i.Offenders {
			all = append(all, i.Name+": "+o)
		}
	}
	return all, nil
}

type fact struct {
	At     time.Time `json:"at"`
	Kind   string    `json:"kind"`
	Name   string    `json:"name"`
	Detail struct {
		Topic     string `json:"topic"`
		Partition int32  `json:"partition"`
		Offset    int64  `json:"offset"`
		EventID   string `json:"event_id"`
	} `json:"detail"`
}

// facts are an order's facts, and where they are in Kafka.
func (c *shop) facts(ctx context.Context, id string) ([]fact, error) {
	var answer struct {
		Items []fact `json:"items"`
	}
	if err := c.do(ctx, http.MethodGet, "/api/orders/"+url.PathEscape(id)+"/timeline", nil, &answer); err != nil {
		return nil, err
	}
	var facts []fact
	for _, f := range answer.Items {
		if f.Kind == "event" {
			facts = append(facts, f)
		}
	}
	return facts, nil
}

type letter struct {
	ID        string `json:"id"`
	Group     string `json:"group"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Reason    string `json:"reason"`
	Raw       []byte `json:"raw"`
}

// letters are the newest dead letters.
func (c *shop) letters(ctx context.Context) ([]letter, error) {
	var page struct {
		Items []letter `json:"items"`
	}
	return page.Items, c.do(ctx, http.MethodGet, "/api/dead-letters?limit=200", nil, &page)
}
