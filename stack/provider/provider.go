// Package provider is the test payment provider: an HTTP server of its own with
// books of its own, so that a double charge or a forgotten refund shows.
//
//	POST /authorize {reference, amount, currency, token}   sets money aside
//	POST /capture   {reference}                            takes it
//	POST /void      {reference}                            lets it go
//	POST /refund    {reference}                            gives it back
//	GET  /operations/{key}                                 what became of a request
//	GET  /books                                            the sums by reference
//	GET  /books/totals                                     the sums of all
//
// Every POST needs an Idempotency-Key. The same key with the same body gets the
// stored answer and moves nothing; with another body it is a 409. A refusal is
// 402 {code, detail} and is stored like any other answer.
//
// Tokens: tok_visa; tok_declined and tok_insufficient_funds, which authorize
// refuses; tok_timeout_once, with which the first authorize and the first capture
// are done and answered too late; tok_capture_fails, of which every capture is
// refused; tok_slow, which answers after 3 s. Any other token is unknown_token.
//
// Books are in a journal that is on disk before an answer leaves.
package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/cartwheel-shop/cartwheel/stack/journal"
)

const (
	slowAnswer = 3 * time.Second
	// lateAnswer is longer than any caller waits.
	lateAnswer = 15 * time.Second
)

// Config of the provider.
type Config struct {
	Journal string // file of the books
	Log     *slog.Logger
}

// Operation is a request and its answer, as the journal keeps them.
type Operation struct {
	Key       string    `json:"key"`
	Kind      string    `json:"kind"` // authorize, capture, void, refund
	Reference string    `json:"reference"`
	Amount    int64     `json:"amount"`
	Currency  string    `json:"currency"`
	Token     string    `json:"token,omitempty"`
	Request   string    `json:"request,omitempty"` // what was asked for, to tell a repeat from a reuse of the key
	Refused   string    `json:"refused,omitempty"` // code, when it was refused
	Detail    string    `json:"detail,omitempty"`
	At        time.Time `json:"at"`
}

// Account is what the books say of one reference.
type Account struct {
	Reference  string `json:"reference"`
	Currency   string `json:"currency"`
	Authorized int64  `json:"authorized"` // set aside and not taken or let go
	Captured   int64  `json:"captured"`
	Refunded   int64  `json:"refunded"`
	Charges    int    `json:"charges"` // how many captures moved money

	token string
}

// Server is the provider.
type Server struct {
	log     *slog.Logger
	journal *journal.Journal[Operation]

	mu       sync.Mutex
	accounts map[string]*Account
	answers  map[string]Operation
	late     map[string]bool // kind/reference that was answered late once
	away     time.Time
}

// New opens the books.
func New(cfg Config) (*Server, error) {
	s := &Server{log: cfg.Log, accounts: map[string]*Account{}, answers: map[string]Operation{}, late: map[string]bool{}}
	var err error
	s.journal, err = journal.Open(cfg.Journal, func(op Operation) {
		s.book(op)
		s.late[op.Kind+"/"+op.Reference] = true
	})
	if err != nil {
		return nil, fmt.Errorf("payment provider: %w", err)
	}
	return s, nil
}

// Serve answers on ln until ctx ends, then closes the books.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	srv := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() }) // late answers would hold a graceful end
	defer stop()
	err := srv.Serve(ln)
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return errors.Join(err, s.journal.Close())
}

// Handler is the provider's HTTP interface.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, kind := range []string{"authorize", "capture", "void", "refund"} {
		mux.HandleFunc("POST /"+kind, func(w http.ResponseWriter, r *http.Request) { s.operate(w, r, kind) })
	}
	mux.HandleFunc("GET /operations/{key}", s.operation)
	mux.HandleFunc("GET /books", s.books)
	mux.HandleFunc("GET /books/totals", s.totals)
	mux.HandleFunc("POST /test/away", s.goAway)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, map[string]bool{"alive": true}) })
	return s.orAway(mux)
}

// operate does an operation once and answers it, late or slowly if the token
// wants it so.
func (s *Server) operate(w http.ResponseWriter, r *http.Request, kind string) {
	var in Operation
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&in); err != nil || in.Reference == "" {
		answer(w, http.StatusBadRequest, refusal("bad_request", "send JSON with a reference"))
		return
	}
	in.Request = fmt.Sprintf("%s %s %d %s %s", kind, in.Reference, in.Amount, in.Currency, in.Token)
	in.Key, in.Kind, in.At = r.Header.Get("Idempotency-Key"), kind, time.Now().UTC()
	in.Refused, in.Detail = "", "" // that is ours to say
	if in.Key == "" {
		answer(w, http.StatusBadRequest, refusal("key_required", "send an Idempotency-Key"))
		return
	}
	op, token, late, err := s.once(in)
	switch {
	case errors.Is(err, errKeyReused):
		answer(w, http.StatusConflict, refusal("key_reused", err.Error()))
		return
	case err != nil:
		s.log.Error("books not written", "error", err)
		answer(w, http.StatusInternalServerError, refusal("internal", "the books could not be written; ask again"))
		return
	}
	wait := time.Duration(0)
	switch {
	case late:
		wait = lateAnswer
	case token == "tok_slow" && (kind == "authorize" || kind == "capture"):
		wait = slowAnswer
	}
	select {
	case <-time.After(wait):
	case <-r.Context().Done():
		return
	}
	if op.Refused != "" {
		answer(w, http.StatusPaymentRequired, refusal(op.Refused, op.Detail))
		return
	}
	answer(w, http.StatusOK, op)
}

var errKeyReused = errors.New("this key was used for another request")

// once looks the key up or does the operation and writes it down.
func (s *Server) once(in Operation) (op Operation, token string, late bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if earlier, ok := s.answers[in.Key]; ok {
		if earlier.Request != in.Request {
			return op, "", false, errKeyReused
		}
		return earlier, "", false, nil
	}
	op = s.decide(in)
	if err := s.journal.Append(op); err != nil {
		return op, "", false, err
	}
	s.book(op)
	if a := s.accounts[op.Reference]; a != nil {
		token = a.token
	}
	if token == "" {
		token = op.Token
	}
	once := op.Kind + "/" + op.Reference
	late = token == "tok_timeout_once" && (op.Kind == "authorize" || op.Kind == "capture") && !s.late[once]
	s.late[once] = true
	return op, token, late, nil
}

// decide says what an operation does; it changes nothing.
func (s *Server) decide(op Operation) Operation {
	refuse := func(code, detail string) Operation {
		op.Refused, op.Detail = code, detail
		return op
	}
	a := s.accounts[op.Reference]
	if a == nil && op.Kind != "authorize" {
		return refuse("nothing_authorized", "no money was set aside under this reference")
	}
	switch op.Kind {
	case "authorize":
		switch {
		case op.Amount <= 0 || len(op.Currency) != 3:
			return refuse("bad_amount", "an amount above 0 and a currency are needed")
		case op.Token == "tok_declined":
			return refuse("declined", "the bank declined the card")
		case op.Token == "tok_insufficient_funds":
			return refuse("insufficient_funds", "there is not enough money on the card")
		case !slices.Contains([]string{"tok_visa", "tok_timeout_once", "tok_capture_fails", "tok_slow"}, op.Token):
			return refuse("unknown_token", "the card is not known")
		case a != nil && a.Authorized+a.Captured > 0:
			return refuse("already_authorized", "money was set aside under this reference already")
		}
		return op
	case "capture":
		switch {
		case a.token == "tok_capture_fails":
			return refuse("capture_refused", "the bank does not release the money")
		case a.Authorized == 0:
			return refuse("nothing_authorized", "no money is set aside under this reference")
		}
		op.Amount, op.Currency = a.Authorized, a.Currency
	case "void":
		if a.Authorized == 0 {
			return refuse("nothing_authorized", "no money is set aside under this reference")
		}
		op.Amount, op.Currency = a.Authorized, a.Currency
	case "refund":
		if a.Captured == a.Refunded {
			return refuse("nothing_captured", "no money was taken under this reference, or it was given back")
		}
		op.Amount, op.Currency = a.Captured-a.Refunded, a.Currency
	}
	return op
}

// book enters an operation.
func (s *Server) book(op Operation) {
	s.answers[op.Key] = op
	if op.Refused != "" {
		return
	}
	a := s.accounts[op.Reference]
	if a == nil {
		a = &Account{Reference: op.Reference}
		s.accounts[op.Reference] = a
	}
	switch op.Kind {
	case "authorize":
		a.Currency, a.token = op.Currency, op.Token
		a.Authorized += op.Amount
	case "capture":
		a.Authorized -= op.Amount
		a.Captured += op.Amount
		a.Charges++
	case "void":
		a.Authorized -= op.Amount
	case "refund":
		a.Refunded += op.Amount
	}
}

// operation says what became of a request, for a caller that had no answer.
func (s *Server) operation(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	op, ok := s.answers[r.PathValue("key")]
	s.mu.Unlock()
	if !ok {
		answer(w, http.StatusNotFound, refusal("unknown_key", "no request with this key was ever done"))
		return
	}
	answer(w, http.StatusOK, op)
}

// books lists the accounts, all or those asked for by ?reference=.
func (s *Server) books(w http.ResponseWriter, r *http.Request) {
	only := r.URL.Query()["reference"]
	s.mu.Lock()
	list := []Account{}
	for _, a := range s.accounts {
		if len(only) == 0 || slices.Contains(only, a.Reference) {
			list = append(list, *a)
		}
	}
	s.mu.Unlock()
	answer(w, http.StatusOK, map[string]any{"items": list})
}

// Totals are the sums of all accounts, whatever their currency: for comparing
// books quickly.
type Totals struct {
	Authorized int64 `json:"authorized"`
	Captured   int64 `json:"captured"`
	Refunded   int64 `json:"refunded"`
}

func (s *Server) totals(w http.ResponseWriter, _ *http.Request) {
	var t Totals
	s.mu.Lock()
	for _, a := range s.accounts {
		t.Authorized += a.Authorized
		t.Captured += a.Captured
		t.Refunded += a.Refunded
	}
	s.mu.Unlock()
	answer(w, http.StatusOK, t)
}

// goAway makes the provider unreachable for a while, for tests and scenarios.
func (s *Server) goAway(w http.ResponseWriter, r *http.Request) {
	var in struct {
		For string `json:"for"`
	}
	err := json.NewDecoder(r.Body).Decode(&in)
	d, parseErr := time.ParseDuration(in.For)
	if err != nil || parseErr != nil {
		answer(w, http.StatusBadRequest, refusal("bad_request", `send {"for": "10s"}`))
		return
	}
	s.mu.Lock()
	s.away = time.Now().Add(d)
	s.mu.Unlock()
	answer(w, http.StatusOK, map[string]string{"away": in.For})
}

func (s *Server) orAway(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		away := time.Now().Before(s.away)
		s.mu.Unlock()
		if away && r.URL.Path != "/test/away" {
			panic(http.ErrAbortHandler) // the connection just ends
		}
		next.ServeHTTP(w, r)
	})
}

func refusal(code, detail string) map[string]string {
	return map[string]string{"code": code, "detail": detail}
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller may have gone
}
