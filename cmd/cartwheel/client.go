package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// server is how commands find a running shop.
type server struct {
	Server string `placeholder:"URL" help:"The shop's address, http://host:port. Default: the shop that runs on the data directory."`
	Data   string `default:"${data}" placeholder:"DIR" help:"Data directory of the shop. Default: ${data}."`
	Token  string `env:"OPERATOR_TOKEN" placeholder:"TOKEN" help:"The operator's token; not needed on loopback."`
}

// endpoints reads where the shop's parts are.
func (s server) endpoints() (endpoints, error) {
	var e endpoints
	raw, err := os.ReadFile(filepath.Join(s.Data, "endpoints.json"))
	if errors.Is(err, os.ErrNotExist) {
		return e, fmt.Errorf("no shop runs on %s: start one with cartwheel up, or name another with --data or --server", s.Data)
	}
	if err != nil {
		return e, err
	}
	if err := json.Unmarshal(raw, &e); err != nil {
		return e, fmt.Errorf("%s/endpoints.json: %w", s.Data, err)
	}
	return e, nil
}

func (s server) client() (*client, error) {
	base := s.Server
	if base == "" {
		e, err := s.endpoints()
		if err != nil {
			return nil, err
		}
		base = e.Console
	}
	u, err := url.Parse(strings.TrimRight(base, "/"))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("--server must be http://host:port, not %q", base)
	}
	return &client{base: u, patience: patience, token: s.Token, http: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 256}}}, nil
}

// client speaks the shop's public API.
type client struct {
	base  *url.URL
	token string
	http  *http.Client
	quiet quiet

	patience time.Duration // how long all that is asked may go without an answer
}

// patience is enough for a shop that is started again.
const patience = 30 * time.Second

// gone says that err is of a shop that has not answered for too long.
func (c *client) gone(err error) bool {
	var away *awayError
	return errors.As(err, &away) && time.Since(away.since) >= c.patience
}

// quiet is since when nothing that was asked has been answered.
type quiet struct {
	mu     sync.Mutex
	answer time.Time // when the last came
	since  time.Time // zero: nothing has failed since that answer
}

func (q *quiet) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.answer, q.since = time.Now(), time.Time{}
}

// goesOn notes a request that got no answer, and returns since when it is quiet:
// since the first such request was sent, unless another was answered meanwhile.
func (q *quiet) goesOn(sent time.Time) time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.since.IsZero() {
		q.since = sent
		if q.answer.After(sent) {
			q.since = q.answer
		}
	}
	return q.since
}

// awayError says that the shop does not answer, and has not since.
type awayError struct {
	base  *url.URL
	since time.Time
	err   error
}

func (e *awayError) Error() string {
	return fmt.Sprintf("the shop at %s does not answer: is it running? (%v)", e.base, e.err)
}

func (e *awayError) Unwrap() error { return e.err }

// problem is an error answer of the shop.
type problem struct {
	Status int
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Errors []struct {
		Pointer string `json:"pointer"`
		Detail  string `json:"detail"`
	} `json:"errors"`
}

func (p *problem) Error() string {
	text := fmt.Sprintf("%s (%d %s)", p.Detail, p.Status, p.Code)
	for _, f := range p.Errors {
		text += fmt.Sprintf("; %s %s", f.Pointer, f.Detail)
	}
	return text
}

// do sends body as JSON, when there is one, and reads the answer into v, when
// it is not nil. An error answer is a *problem.
func (c *client) do(ctx context.Context, method, path string, body, v any) error {
	_, err := c.exchange(ctx, method, path, body, v)
	return err
}

// exchange is do with headers, in name and value pairs, and those of the answer.
func (c *client) exchange(ctx context.Context, method, path string, body, v any, headers ...string) (http.Header, error) {
	var reader io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		reader = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base.String()+path, reader)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	sent := time.Now()
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &awayError{c.base, c.quiet.goesOn(sent), err}
	}
	c.quiet.end()
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode >= http.StatusBadRequest {
		p := &problem{Status: resp.StatusCode}
		if json.Unmarshal(raw, p) != nil {
			p.Code, p.Detail = "unexpected", strings.TrimSpace(string(raw))
		}
		return nil, p
	}
	if v == nil {
		return resp.Header, nil
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return nil, fmt.Errorf("%s %s: the answer is not what we expect: %w", method, path, err)
	}
	return resp.Header, nil
}

// printJSON writes v for scripts.
func printJSON(v any) error {
	enc := json.NewEncoder(os.Stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
