package provider

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// tb is what *testing.T and *rapid.T have in common.
type tb interface {
	Helper()
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// bank is a provider that can be started again on its books.
type bank struct {
	*Server
	file string
}

func open(t tb, file string) *bank {
	t.Helper()
	b := &bank{file: file}
	b.restart(t)
	return b
}

func (b *bank) restart(t tb) {
	t.Helper()
	if b.Server != nil {
		_ = b.journal.Close() // it may be closed
	}
	var err error
	if b.Server, err = New(Config{Journal: b.file, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
}

// call sends a request; status 0 is a connection that just ended.
func (b *bank) call(ctx context.Context, method, path, key, body string) (status int, answer string) {
	defer func() {
		if v := recover(); v != nil && fmt.Sprint(v) != http.ErrAbortHandler.Error() {
			panic(v)
		}
	}()
	r := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
	r.Header.Set("Idempotency-Key", key)
	w := httptest.NewRecorder()
	b.Handler().ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// do asks for an operation and returns "ok" or the code of the refusal.
func (b *bank) do(t tb, kind, key, body string) string {
	t.Helper()
	status, answer := b.call(context.Background(), http.MethodPost, "/"+kind, key, body)
	var a struct{ Code string }
	if err := json.Unmarshal([]byte(answer), &a); err != nil || (status == http.StatusOK) != (a.Code == "") {
		t.Fatalf("%s %s: %d %s", kind, body, status, answer)
	}
	if status == http.StatusOK {
		return "ok"
	}
	return fmt.Sprint(status, " ", a.Code)
}

func (a Account) brief() string {
	return fmt.Sprintf("%d held, %d taken by %d, %d given back", a.Authorized, a.Captured, a.Charges, a.Refunded)
}

// sums are the books in a few words, by reference.
func (b *bank) sums(t tb) map[string]string {
	t.Helper()
	_, answer := b.call(context.Background(), http.MethodGet, "/books", "", "")
	var books struct{ Items []Account }
	if err := json.Unmarshal([]byte(answer), &books); err != nil {
		t.Fatalf("%s: %v", answer, err)
	}
	out := map[string]string{}
	var total Totals
	for _, a := range books.Items {
		out[a.Reference] = a.brief()
		total = Totals{total.Authorized + a.Authorized, total.Captured + a.Captured, total.Refunded + a.Refunded}
	}
	want, err := json.Marshal(total)
	if _, got := b.call(context.Background(), http.MethodGet, "/books/totals", "", ""); err != nil || strings.TrimSpace(got) != string(want) {
		t.Errorf("totals are %s, and the accounts add up to %s", got, want)
	}
	return out
}

// order is a request about a reference; only authorize names the money.
func order(kind, token string) string {
	if kind != "authorize" {
		return `{"reference":"r"}`
	}
	return fmt.Sprintf(`{"reference":"r","amount":100,"currency":"EUR","token":%q}`, token)
}

func TestTheWayOfTheMoney(t *testing.T) {
	const nothing, held, taken, back = "0 held, 0 taken by 0, 0 given back", "100 held, 0 taken by 0, 0 given back", "0 held, 100 taken by 1, 0 given back", "0 held, 100 taken by 1, 100 given back"
	for _, c := range []struct{ token, steps, want, books string }{
		{"tok_visa", "authorize capture refund", "ok ok ok", back},
		{"tok_visa", "capture void refund", "402 nothing_authorized 402 nothing_authorized 402 nothing_authorized", ""},
		{"tok_visa", "authorize authorize", "ok 402 already_authorized", held},
		{"tok_visa", "authorize void capture void refund", "ok ok 402 nothing_authorized 402 nothing_authorized 402 nothing_captured", nothing},
		{"tok_visa", "authorize void authorize capture", "ok ok ok ok", taken},
		{"tok_visa", "authorize capture capture void", "ok ok 402 nothing_authorized 402 nothing_authorized", taken},
		{"tok_visa", "authorize refund", "ok 402 nothing_captured", held},
		{"tok_visa", "authorize capture refund refund authorize", "ok ok ok 402 nothing_captured 402 already_authorized", back},
		{"tok_capture_fails", "authorize capture capture void", "ok 402 capture_refused 402 capture_refused ok", nothing},
		{"tok_declined", "authorize capture", "402 declined 402 nothing_authorized", ""},
		{"tok_insufficient_funds", "authorize", "402 insufficient_funds", ""},
		{"tok_visa ", "authorize", "402 unknown_token", ""},
		{"", "authorize", "402 unknown_token", ""},
	} {
		b := open(t, filepath.Join(t.TempDir(), "books"))
		var got []string
		for i, kind := range strings.Fields(c.steps) {
			got = append(got, b.do(t, kind, fmt.Sprint(i), order(kind, c.token)))
		}
		if got := strings.Join(got, " "); got != c.want || b.sums(t)["r"] != c.books {
			t.Errorf("%s: %s: %s, %s, want %s, %s", c.token, c.steps, got, b.sums(t)["r"], c.want, c.books)
		}
	}
}

func TestWhatIsNoRequest(t *testing.T) {
	b := open(t, filepath.Join(t.TempDir(), "books"))
	for _, c := range []struct{ key, body, want string }{
		{"1", "", "400 bad_request"},
		{"2", `{"amount":100,"currency":"EUR","token":"tok_visa"}`, "400 bad_request"},
		{"3", `{"reference":"` + strings.Repeat("r", 1<<16) + `"}`, "400 bad_request"},
		{"", order("authorize", "tok_visa"), "400 key_required"},
		{"4", `{"reference":"r","amount":0,"currency":"EUR","token":"tok_visa"}`, "402 bad_amount"},
		{"5", `{"reference":"r","amount":-1,"currency":"EUR","token":"tok_visa"}`, "402 bad_amount"},
		{"6", `{"reference":"r","amount":1,"currency":"","token":"tok_visa"}`, "402 bad_amount"},
		// What became of a request is not for its sender to say.
		{"7", `{"reference":"r","amount":100,"currency":"EUR","token":"tok_visa","refused":"declined","key":"8","kind":"refund"}`, "ok"},
		{"8", `{"reference":"r","amount":7,"currency":"USD","token":"tok_capture_fails"}`, "402 already_authorized"},
	} {
		if got := b.do(t, "authorize", c.key, c.body); got != c.want {
			t.Errorf("key %q, %.90s: %s, want %s", c.key, c.body, got, c.want)
		}
	}
	if got := b.do(t, "capture", "9", `{"reference":"r","amount":7,"currency":"USD"}`); got != "ok" || b.sums(t)["r"] != "0 held, 100 taken by 1, 0 given back" {
		t.Errorf("capture: %s, %s, want all that was set aside", got, b.sums(t))
	}
}

// Whatever is asked, in any order, repeated, with keys mixed up and the provider
// started again: a key has one answer, and the books are the sum of the answers.
func TestAKeyMovesMoneyOnce(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		f, err := os.CreateTemp(dir, "books")
		if err != nil {
			t.Fatal(err)
		}
		b := open(t, f.Name())
		defer func() { _ = b.journal.Close(); _ = f.Close() }()
		type first struct{ request, answer string }
		answers, accounts := map[string]first{}, map[string]*Account{}
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			if rapid.IntRange(0, 9).Draw(t, "restart") == 0 {
				b.restart(t)
			}
			kind := rapid.SampledFrom([]string{"authorize", "authorize", "capture", "void", "refund"}).Draw(t, "kind")
			key := rapid.StringMatching(`[a-h]`).Draw(t, "key")
			ref := rapid.SampledFrom([]string{"r", "s"}).Draw(t, "reference")
			body := fmt.Sprintf(`{"reference":%q}`, ref)
			if kind == "authorize" {
				body = fmt.Sprintf(`{"reference":%q,"amount":%d,"currency":"EUR","token":%q}`, ref, rapid.IntRange(1, 3).Draw(t, "amount"),
					rapid.SampledFrom([]string{"tok_visa", "tok_visa", "tok_declined", "tok_capture_fails"}).Draw(t, "token"))
			}
			status, answer := b.call(context.Background(), http.MethodPost, "/"+kind, key, body)
			if was, ok := answers[key]; ok {
				if again := was.request == kind+body; again && answer != was.answer || !again && status != http.StatusConflict {
					t.Fatalf("%s %s by key %s: %d %s, after %s", kind, body, key, status, answer, was)
				}
				continue
			}
			answers[key] = first{kind + body, answer}
			var op Operation
			if err := json.Unmarshal([]byte(answer), &op); err != nil || status != http.StatusOK && status != http.StatusPaymentRequired {
				t.Fatalf("%s %s: %d %s", kind, body, status, answer)
			}
			if status != http.StatusOK {
				continue
			}
			if accounts[ref] == nil {
				accounts[ref] = &Account{}
			}
			switch a := accounts[ref]; kind {
			case "authorize":
				a.Authorized += op.Amount
			case "capture":
				a.Authorized, a.Captured, a.Charges = a.Authorized-op.Amount, a.Captured+op.Amount, a.Charges+1
			case "void":
				a.Authorized -= op.Amount
			case "refund":
				a.Refunded += op.Amount
			}
			if a := accounts[ref]; op.Amount <= 0 || a.Authorized < 0 || a.Refunded > a.Captured || a.Charges > 1 {
				t.Fatalf("%s %s: %s makes %+v", kind, body, answer, a)
			}
		}
		want := map[string]string{}
		for ref, a := range accounts {
			want[ref] = a.brief()
		}
		b.restart(t)
		if got := b.sums(t); !maps.Equal(got, want) {
			t.Fatalf("books %v, want %v", got, want)
		}
	})
}

func TestAllAtOnce(t *testing.T) {
	b := open(t, filepath.Join(t.TempDir(), "books"))
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			if got := b.do(t, "authorize", "one key", order("authorize", "tok_visa")); got != "ok" {
				t.Errorf("authorize: %s", got)
			}
			b.do(t, "capture", fmt.Sprint(i), order("capture", ""))
		})
	}
	all.Wait()
	if got := b.sums(t)["r"]; got != "0 held, 100 taken by 1, 0 given back" {
		t.Error(got)
	}
}

// The clock is synctest's: it stands still but for what is waited for.
func TestLateAndSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, filepath.Join(t.TempDir(), "books"))
		for _, c := range []struct {
			token, kind, key string
			want             time.Duration
		}{
			{"tok_timeout_once", "authorize", "1", lateAnswer},
			{"tok_timeout_once", "authorize", "1", 0},
			{"tok_timeout_once", "void", "1a", 0},
			{"tok_timeout_once", "authorize", "1b", 0}, // once for a reference, not for a key
			{"tok_timeout_once", "void", "1c", 0},
			{"restart", "", "", 0},
			{"tok_timeout_once", "authorize", "1d", 0},
			{"tok_timeout_once", "capture", "2", lateAnswer},
			{"restart", "", "", 0},
			{"tok_timeout_once", "capture", "2", 0},
			{"tok_timeout_once", "refund", "3", 0},
			{"tok_slow", "authorize", "4", slowAnswer},
			{"tok_slow", "authorize", "4", 0},
			{"tok_slow", "capture", "5", slowAnswer},
			{"tok_slow", "refund", "6", 0},
		} {
			if c.token == "restart" {
				b.restart(t)
				continue
			}
			start := time.Now()
			got := b.do(t, c.kind, c.key, strings.Replace(order(c.kind, c.token), `"r"`, `"`+c.token+`"`, 1))
			if took := time.Since(start); got != "ok" || took != c.want {
				t.Errorf("%s of %s by key %s: %s in %s, want %s", c.kind, c.token, c.key, got, took, c.want)
			}
		}
		// Our callers wait no longer than 5 s. What they gave up is done all the same.
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, answer := b.call(ctx, http.MethodPost, "/authorize", "7", order("authorize", "tok_timeout_once")); answer != "" {
			t.Errorf("answered in time: %s", answer)
		}
		if status, answer := b.call(t.Context(), http.MethodGet, "/operations/7", "", ""); status != http.StatusOK || !strings.Contains(answer, `"amount":100`) {
			t.Errorf("what became of it: %d %s", status, answer)
		}
		b.call(t.Context(), http.MethodPost, "/test/away", "", `{"for":"10s"}`)
		if status, answer := b.call(t.Context(), http.MethodPost, "/authorize", "8", order("authorize", "tok_visa")); status != 0 || answer != "" {
			t.Errorf("while away: %d %s", status, answer)
		}
		time.Sleep(10 * time.Second)
		if status, _ := b.call(t.Context(), http.MethodGet, "/operations/8", "", ""); status != http.StatusNotFound {
			t.Errorf("asked while away: %d, want nothing done", status)
		}
	})
}

// Money moves only with a line in the books.
func TestBooksThatCannotBeWritten(t *testing.T) {
	b := open(t, filepath.Join(t.TempDir(), "books"))
	if err := b.journal.Close(); err != nil {
		t.Fatal(err)
	}
	if got := b.do(t, "authorize", "1", order("authorize", "tok_visa")); got != "500 internal" || len(b.sums(t)) != 0 {
		t.Errorf("%s, %v", got, b.sums(t))
	}
	b.restart(t)
	if got := b.do(t, "authorize", "1", order("authorize", "tok_visa")); got != "ok" {
		t.Errorf("asked again: %s", got)
	}
}
