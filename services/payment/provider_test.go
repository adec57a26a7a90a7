package payment

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/service"
)

// closedProvider is the way to a provider that is not there any more.
func closedProvider(t *testing.T) *httpProvider {
	t.Helper()
	srv := httptest.NewServer(http.NotFoundHandler())
	srv.Close()
	p, err := newHTTPProvider(srv.URL, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Only 200 and 402 are answers. Everything else means that nobody knows, and is
// an error.
func TestWhatCountsAsAnAnswer(t *testing.T) {
	for _, tc := range []struct {
		name   string
		status int
		body   string
		want   Outcome
		err    string
	}{
		{"done", http.StatusOK, `{"key": "k"}`, Outcome{Key: "k"}, ""},
		{"refused", http.StatusPaymentRequired, `{"code": "declined", "detail": "no"}`, Outcome{Key: "k", Refused: "declined", Detail: "no"}, ""},
		{"a key used for something else", http.StatusConflict, `{"code": "key_reused", "detail": "not again"}`, Outcome{}, "status 409: key_reused not again"},
		{"a provider in trouble", http.StatusInternalServerError, `{"code": "internal"}`, Outcome{}, "status 500"},
		{"a gateway in between", http.StatusBadGateway, `<html>bad gateway</html>`, Outcome{}, "status 502"},
		{"half an answer", http.StatusOK, `{"key": `, Outcome{}, "unexpected EOF"},
		{"nothing at all", http.StatusPaymentRequired, ``, Outcome{}, "EOF"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if got := r.Header.Get("Idempotency-Key"); got != "k" {
					t.Errorf("key %q, want k", got)
				}
				w.WriteHeader(tc.status)
				_, _ = w.Write([]byte(tc.body))
			}))
			defer srv.Close()
			p, err := newHTTPProvider(srv.URL, 5*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.Do(t.Context(), Capture, "k", Payment{OrderID: "ord_1"})
			if got != tc.want {
				t.Errorf("Do = %+v, want %+v", got, tc.want)
			}
			if (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Errorf("Do: %v, want %q", err, tc.err)
			}
		})
	}
}

// A provider that charges and then takes too long: the call ends in time, the
// answer is not known, and asking again under the same key charges once.
func TestATimeoutAfterCharging(t *testing.T) {
	s := open(t)
	s.run(t, "ord_1", "authorize")
	end := make(chan struct{})
	defer close(end)
	s.bank.next("ord_1:capture", func(do func()) bool { do(); <-end; return false })
	s.provider.(*httpProvider).timeout = 50 * time.Millisecond
	if err := s.do(t.Context(), "capture", order("ord_1", "tok_visa")); outcome(err) != "again" || !strings.Contains(err.Error(), "deadline") {
		t.Fatalf("capture: %v, want it to run into its deadline", err)
	}
	if got := s.bank.books("ord_1"); got != "0/1000/0" || s.state(t, "ord_1") != Authorized {
		t.Fatalf("the bank's books %s and our state %s, want it taken and us not to know", got, s.state(t, "ord_1"))
	}
	s.provider.(*httpProvider).timeout = 5 * time.Second
	s.run(t, "ord_1", "capture")
	if got := s.bank.books("ord_1"); got != "0/1000/0" || s.bank.called("ord_1:capture") != 2 {
		t.Errorf("the bank's books %s after %d calls, want it taken once in two", got, s.bank.called("ord_1:capture"))
	}
	s.addsUp(t)
}

// A key that was done is found with its answer, one that was not is not.
func TestLookup(t *testing.T) {
	s := open(t)
	s.bank.do(Authorize, "ord_1:authorize", request{"ord_1", 1000, "EUR", "tok_declined"})
	got, err := s.provider.Lookup(t.Context(), "ord_1:authorize")
	if err != nil || got == nil || *got != (Outcome{Key: "ord_1:authorize", Refused: "declined", Detail: "the bank says declined"}) {
		t.Errorf("Lookup = %+v, %v; want the refusal", got, err)
	}
	if got, err := s.provider.Lookup(t.Context(), "ord_2:authorize"); got != nil || err != nil {
		t.Errorf("Lookup of an unknown key = %+v, %v; want nothing", got, err)
	}
	if got, err := closedProvider(t).Lookup(t.Context(), "ord_1:authorize"); got != nil || err == nil {
		t.Errorf("Lookup at nobody = %+v, %v; want an error", got, err)
	}
}

// The same key for another amount is a mistake of ours, which must not be taken
// for an answer.
func TestAKeyIsForOneRequest(t *testing.T) {
	s := open(t)
	s.run(t, "ord_1", "authorize")
	p := Payment{OrderID: "ord_1", Amount: events.Money{Amount: 2000, Currency: "EUR"}, Token: "tok_visa"}
	if got, err := s.provider.Do(t.Context(), Authorize, "ord_1:authorize", p); err == nil {
		t.Errorf("Do = %+v, want an error", got)
	}
}

func TestNewNamesTheWrongVariable(t *testing.T) {
	for _, tc := range []struct {
		url     string
		timeout time.Duration
		want    string
	}{
		{"http://localhost:1", 0, "PAYMENT_PROVIDER_TIMEOUT"},
		{"http://localhost:1", 6 * time.Second, "PAYMENT_PROVIDER_TIMEOUT"},
		{"localhost", time.Second, "PAYMENT_PROVIDER_URL"},
		{"http://[::1", time.Second, "PAYMENT_PROVIDER_URL"},
	} {
		if _, err := New(Config{ProviderURL: tc.url, ProviderTimeout: tc.timeout}, service.Deps{}); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("New with %s, %s: %v, want it to name %s", tc.url, tc.timeout, err, tc.want)
		}
	}
}
