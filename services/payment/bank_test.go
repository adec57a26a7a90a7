package payment

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// bank is a payment provider with books of its own, that does a key once, and
// whose answers a test can lose or hold up.
type bank struct {
	url string

	mu       sync.Mutex
	answers  map[string]*bankAnswer
	requests map[string]string // what a key was used for
	accounts map[string]*bankAccount
	scripts  map[string][]script
	calls    map[string]int
}

type bankAnswer struct {
	Key     string `json:"key"`
	Refused string `json:"refused,omitempty"`
	Detail  string `json:"detail,omitempty"`
}

type bankAccount struct {
	BookAccount
	charges int
	token   string
}

// script is what happens to a call: do does the operation; false loses the
// answer.
type script func(do func()) (answered bool)

// lost is a call that is done, and whose answer never comes.
func lost(do func()) bool { do(); return false }

// away is a call that the bank never gets.
func away(func()) bool { return false }

var scripts = map[string]script{"lost": lost, "away": away}

// gate is a call that a test holds up, before the bank does it or after.
type gate struct {
	first   string // "do" or "wait"
	reached chan struct{}
	open    chan struct{}
}

func newGate(first string) *gate {
	return &gate{first, make(chan struct{}), make(chan struct{})}
}

func (g *gate) script(do func()) bool {
	if g.first == "do" {
		do()
	}
	close(g.reached)
	<-g.open
	if g.first == "wait" {
		do()
	}
	return true
}

func openBank(t *testing.T) *bank {
	b := &bank{answers: map[string]*bankAnswer{}, requests: map[string]string{}, accounts: map[string]*bankAccount{}, scripts: map[string][]script{}, calls: map[string]int{}}
	mux := http.NewServeMux()
	for _, k := range []Kind{Authorize, Void, Capture, Refund} {
		mux.HandleFunc("POST /"+string(k), func(w http.ResponseWriter, r *http.Request) { b.serve(w, r, k) })
	}
	mux.HandleFunc("GET /operations/{key}", b.lookup)
	mux.HandleFunc("GET /books", func(w http.ResponseWriter, _ *http.Request) {
		b.mu.Lock()
		defer b.mu.Unlock()
		list := []BookAccount{}
		for _, a := range b.accounts {
			list = append(list, a.BookAccount)
		}
		reply(w, http.StatusOK, map[string]any{"items": list})
	})
	mux.HandleFunc("GET /books/totals", func(w http.ResponseWriter, _ *http.Request) {
		b.mu.Lock()
		defer b.mu.Unlock()
		var sum BookTotals
		for _, a := range b.accounts {
			sum.Authorized, sum.Captured, sum.Refunded = sum.Authorized+a.Authorized, sum.Captured+a.Captured, sum.Refunded+a.Refunded
		}
		reply(w, http.StatusOK, sum)
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	b.url = srv.URL
	return b
}

// next makes the next call under a key go as scripted; several calls queue up.
func (b *bank) next(key string, s script) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.scripts[key] = append(b.scripts[key], s)
}

// calm ends all scripts that no call has come to yet.
func (b *bank) calm() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.scripts)
}

// called is how often an operation was asked for.
func (b *bank) called(key string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls[key]
}

// books is what the bank's books say of an order: "set aside/taken/given back",
// and how often money was taken when that is not once.
func (b *bank) books(orderID string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.accounts[orderID]
	if a == nil {
		return "0/0/0"
	}
	s := fmt.Sprintf("%d/%d/%d", a.Authorized, a.Captured, a.Refunded)
	if a.charges > 1 {
		s += fmt.Sprintf(", charged %d times", a.charges)
	}
	return s
}

// request is a call's body.
type request struct {
	Reference string `json:"reference"`
	Amount    int64  `json:"amount"`
	Currency  string `json:"currency"`
	Token     string `json:"token"`
}

func (b *bank) serve(w http.ResponseWriter, r *http.Request, k Kind) {
	var in request
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		reply(w, http.StatusBadRequest, map[string]string{"code": "bad_request"})
		return
	}
	key := r.Header.Get("Idempotency-Key")
	b.mu.Lock()
	b.calls[key]++
	var s script
	if queue := b.scripts[key]; len(queue) > 0 {
		s, b.scripts[key] = queue[0], queue[1:]
	}
	b.mu.Unlock()
	var a *bankAnswer
	answered := true
	if do := func() { a = b.do(k, key, in) }; s != nil {
		answered = s(do)
	} else {
		do()
	}
	switch {
	case !answered:
		http.Error(w, "upstream timed out", http.StatusGatewayTimeout)
	case a == nil:
		reply(w, http.StatusConflict, map[string]string{"code": "key_reused", "detail": "this key was used for another request"})
	case a.Refused != "":
		reply(w, http.StatusPaymentRequired, map[string]string{"code": a.Refused, "detail": a.Detail})
	default:
		reply(w, http.StatusOK, a)
	}
}

// do does a key once; nil when it was used for something else before.
func (b *bank) do(k Kind, key string, in request) *bankAnswer {
	b.mu.Lock()
	defer b.mu.Unlock()
	asked := fmt.Sprint(k, in)
	if a := b.answers[key]; a != nil {
		if b.requests[key] != asked {
			return nil
		}
		return a
	}
	code := b.book(k, in)
	a := &bankAnswer{Key: key, Refused: code}
	if code != "" {
		a.Detail = "the bank says " + code
	}
	b.answers[key], b.requests[key] = a, asked
	return a
}

// book enters an operation, or says why not.
func (b *bank) book(k Kind, in request) (refused string) {
	a := b.accounts[in.Reference]
	if k == Authorize {
		switch {
		case in.Token == "tok_declined":
			return "declined"
		case in.Token == "tok_insufficient_funds":
			return "insufficient_funds"
		case in.Token != "tok_visa" && in.Token != "tok_capture_fails":
			return "unknown_token"
		case a != nil:
			return "already_authorized"
		}
		b.accounts[in.Reference] = &bankAccount{BookAccount: BookAccount{Reference: in.Reference, Authorized: in.Amount}, token: in.Token}
		return ""
	}
	switch {
	case a == nil:
		return "nothing_authorized"
	case k == Refund && a.Captured == a.Refunded:
		return "nothing_captured"
	case k == Refund:
		a.Refunded = a.Captured
	case a.Authorized == 0:
		return "nothing_authorized"
	case k == Void:
		a.Authorized = 0
	case a.token == "tok_capture_fails":
		return "the_banks_own_code"
	default:
		a.Captured += a.Authorized
		a.Authorized = 0
		a.charges++
	}
	return ""
}

func (b *bank) lookup(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	a := b.answers[r.PathValue("key")]
	b.mu.Unlock()
	if a == nil {
		reply(w, http.StatusNotFound, map[string]string{"code": "unknown_key"})
		return
	}
	reply(w, http.StatusOK, a)
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller may have gone
}
