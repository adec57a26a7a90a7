package inventory

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Parcel is what the courier is handed.
type Parcel struct {
	Reference string `json:"reference"` // our shipment id
	Name      string `json:"name"`
	Line1     string `json:"line1"`
	City      string `json:"city"`
	Postcode  string `json:"postcode"`
	Country   string `json:"country"`
}

// Label is what the courier gives for a parcel.
type Label struct {
	Carrier  string `json:"carrier"`
	Tracking string `json:"tracking"`
}

// RefusedError is a courier's final no.
type RefusedError struct{ Detail string }

func (e *RefusedError) Error() string { return "the courier refuses: " + e.Detail }

// Courier takes parcels and tells of deliveries.
type Courier interface {
	// Send hands a parcel over; the same reference is the same parcel. Its error
	// is *RefusedError, or something to try again.
	Send(ctx context.Context, p Parcel) (Label, error)
	// Deliveries returns what was delivered after the given number, in order. It
	// waits for something to tell, for up to the given time.
	Deliveries(ctx context.Context, after int64, wait time.Duration) ([]Delivery, error)
}

// httpCourier is the test courier's interface, and a model for a real one's.
type httpCourier struct {
	url    string
	client *http.Client
}

func newHTTPCourier(address string) (*httpCourier, error) {
	if u, err := url.Parse(address); err != nil || u.Host == "" {
		return nil, fmt.Errorf("COURIER_URL must be http://host:port, not %q", address)
	}
	return &httpCourier{url: address, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}}, nil
}

const sendPatience = 5 * time.Second

// Send implements Courier.
func (c *httpCourier) Send(ctx context.Context, p Parcel) (Label, error) {
	ctx, cancel := context.WithTimeout(ctx, sendPatience)
	defer cancel()
	raw, err := json.Marshal(p)
	if err != nil {
		return Label{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/parcels", bytes.NewReader(raw))
	if err != nil {
		return Label{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", p.Reference)
	var answer struct {
		Label
		Code   string `json:"code"`
		Detail string `json:"detail"`
	}
	status, err := c.do(req, &answer)
	switch {
	case err != nil:
		return Label{}, err
	case status == http.StatusUnprocessableEntity && answer.Code == "refused":
		return Label{}, &RefusedError{answer.Detail}
	case status != http.StatusOK:
		return Label{}, fmt.Errorf("courier: status %d: %s %s", status, answer.Code, answer.Detail)
	}
	return answer.Label, nil
}

// Deliveries implements Courier.
func (c *httpCourier) Deliveries(ctx context.Context, after int64, wait time.Duration) ([]Delivery, error) {
	ctx, cancel := context.WithTimeout(ctx, wait+sendPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/deliveries?after="+strconv.FormatInt(after, 10)+"&wait="+wait.String(), nil)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Items []Delivery `json:"items"`
	}
	status, err := c.do(req, &answer)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("courier: status %d", status)
	}
	return answer.Items, err
}

func (c *httpCourier) do(req *http.Request, v any) (status int, err error) {
	resp, err := c.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		return resp.StatusCode, fmt.Errorf("courier: status %d, answer: %w", resp.StatusCode, err)
	}
	return resp.StatusCode, nil
}
