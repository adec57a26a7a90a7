// Package e2e runs the whole shop as a stranger would: the binary, its HTTP
// interface, its Kafka, and nothing of our own code in between.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// binary is the program under test.
func binary(t testing.TB) string {
	t.Helper()
	path := os.Getenv("CARTWHEEL")
	if path == "" {
		path = "../../bin/cartwheel"
	}
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run make build first", err)
	}
	return path
}

// shop is a running shop.
type shop struct {
	dir       string
	env       []string
	cmd       *exec.Cmd
	out       *bytes.Buffer
	ended     chan struct{}
	endpoints map[string]string
}

// start starts a shop on a directory of its own and waits until it is ready. When
// SHOP_ENDPOINTS names an endpoints.json, the shop that it describes is used, as it
// is, and must suit the test.
func start(t testing.TB, env ...string) *shop {
	t.Helper()
	if file := os.Getenv("SHOP_ENDPOINTS"); file != "" {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s := &shop{}
		if err := json.Unmarshal(raw, &s.endpoints); err != nil {
			t.Fatal(err)
		}
		s.awaitReady(t)
		return s
	}
	dir, err := os.MkdirTemp("", "e2e")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // Postgres may run as another user
		t.Fatal(err)
	}
	s := &shop{dir: dir, env: append([]string{"COURIER_DELAY=0s"}, env...)}
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			s.report(t)
		}
		_ = os.RemoveAll(dir)
	})
	s.launch(t)
	s.awaitReady(t)
	return s
}

// spawn starts the program.
func (s *shop) spawn(t testing.TB) {
	t.Helper()
	_ = os.Remove(filepath.Join(s.dir, "endpoints.json"))
	// SHOP_FLAGS, for example --real, are further flags of every shop.
	s.cmd = exec.Command(binary(t), append([]string{"up", "--data", s.dir, "--listen", "127.0.0.1:0"}, strings.Fields(os.Getenv("SHOP_FLAGS"))...)...)
	s.cmd.Env = append(os.Environ(), s.env...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.out = &bytes.Buffer{}
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) { _ = cmd.Wait(); close(ended) }(s.cmd, s.ended)
}

// launch starts the program and waits for its endpoints.
func (s *shop) launch(t testing.TB) {
	t.Helper()
	s.spawn(t)
	within(t, 2*time.Minute, "endpoints.json", func() bool {
		select {
		case <-s.ended:
			t.Fatalf("the shop ended:\n%s", s.out)
		default:
		}
		raw, err := os.ReadFile(filepath.Join(s.dir, "endpoints.json"))
		s.endpoints = map[string]string{}
		return err == nil && json.Unmarshal(raw, &s.endpoints) == nil
	})
}

func (s *shop) awaitReady(t testing.TB) {
	t.Helper()
	within(t, 15*time.Minute, "the shop to be ready", func() bool {
		resp, err := http.Get(s.endpoints["console"] + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// stop ends the shop as a person would.
func (s *shop) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(15 * time.Second):
		s.kill()
	}
}

// kill ends the program without a word; its children end with it.
func (s *shop) kill() {
	_ = s.cmd.Process.Kill()
	<-s.ended
}

// report shows what the shop said.
func (s *shop) report(t testing.TB) {
	raw, _ := os.ReadFile(filepath.Join(s.dir, "cartwheel.log"))
	var lines []string
	for line := range strings.Lines(string(raw)) {
		if strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR") {
			lines = append(lines, line)
		}
	}
	t.Logf("the shop's output:\n%s\nits last warnings:\n%s", s.out, strings.Join(lines[max(0, len(lines)-30):], ""))
}

// within waits for a condition.
func within(t testing.TB, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); ; <-tick.C {
		if holds() {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("waited %s for %s", limit, what)
		}
	}
}

// answer is an HTTP answer.
type answer struct {
	status int
	header http.Header
	body   map[string]any
	raw    []byte
}

func (a answer) code() string { s, _ := a.body["code"].(string); return s }

func (a answer) items() []map[string]any {
	list, _ := a.body["items"].([]any)
	out := make([]map[string]any, len(list))
	for i, v := range list {
		out[i], _ = v.(map[string]any)
	}
	return out
}

// call sends a request; header pairs follow the body.
func (s *shop) call(t testing.TB, method, path string, body any, headers ...string) answer {
	t.Helper()
	a, err := s.try(method, path, body, headers...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

func (s *shop) try(method, path string, body any, headers ...string) (answer, error) {
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			return answer{}, err
		}
		reader = bytes.NewReader(raw)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.endpoints["console"]+path, reader)
	if err != nil {
		return answer{}, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header}
	if a.raw, err = io.ReadAll(resp.Body); err != nil {
		return a, err
	}
	_ = json.Unmarshal(a.raw, &a.body) // a page is not JSON
	return a, nil
}

// line is a position of a basket.
type line struct {
	SKU      string `json:"sku"`
	Quantity int64  `json:"quantity"`
}

// basket is a body of POST /api/orders.
func basket(token, country string, lines ...line) map[string]any {
	return map[string]any{
		"customer": map[string]any{"name": "Ada Byron", "email": "ada@example.com",
			"address": map[string]any{"line1": "1 Mill Lane", "city": "London", "postcode": "N1 9GU", "country": country}},
		"lines": lines, "payment_token": token,
	}
}

// place places an order and returns its id.
func (s *shop) place(t testing.TB, body any) string {
	t.Helper()
	a := s.call(t, http.MethodPost, "/api/orders", body, "Idempotency-Key", uuid.NewString())
	if a.status != http.StatusAccepted {
		t.Fatalf("order answered %d: %s", a.status, a.raw)
	}
	return a.body["order_id"].(string)
}

func (s *shop) status(t testing.TB, id string) string {
	t.Helper()
	st, _ := s.call(t, http.MethodGet, "/api/orders/"+id, nil).body["status"].(string)
	return st
}

// becomes waits until an order has a status.
func (s *shop) becomes(t testing.TB, id string, statuses ...string) string {
	t.Helper()
	var got string
	within(t, 90*time.Second, id+" to become "+strings.Join(statuses, " or "), func() bool {
		got = s.status(t, id)
		for _, want := range statuses {
			if got == want {
				return true
			}
		}
		return false
	})
	return got
}

func (s *shop) ends(t testing.TB, id string) string {
	t.Helper()
	return s.becomes(t, id, "completed", "cancelled", "rejected")
}

// stock returns where the pieces of a product are.
func (s *shop) stock(t testing.TB, sku string) (onHand, reserved, shipped float64) {
	t.Helper()
	b := s.call(t, http.MethodGet, "/api/stock/"+sku, nil).body
	return b["on_hand"].(float64), b["reserved"].(float64), b["shipped"].(float64)
}

// mails waits until all mails of an order that are there are sent, and returns
// their kinds.
func (s *shop) mails(t testing.TB, id string, want int) []string {
	t.Helper()
	var kinds []string
	within(t, 30*time.Second, fmt.Sprintf("%d mails of %s", want, id), func() bool {
		kinds = nil
		for _, m := range s.call(t, http.MethodGet, "/api/emails?order_id="+id, nil).items() {
			if m["state"] != "sent" {
				return false
			}
			kinds = append(kinds, m["kind"].(string))
		}
		return len(kinds) >= want
	})
	return kinds
}

// holds waits until every invariant of the shop holds.
func (s *shop) holds(t testing.TB) {
	t.Helper()
	var broken []string
	for end := time.Now().Add(time.Minute); ; {
		broken = nil
		a := s.call(t, http.MethodGet, "/api/check", nil)
		for _, i := range a.items() {
			if i["holds"] != true {
				broken = append(broken, fmt.Sprintf("%v: %v", i["name"], i["offenders"]))
			}
		}
		if len(broken) == 0 && len(a.items()) >= 6 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("invariants are broken:\n%s", strings.Join(broken, "\n"))
		}
	}
}

// charges are the captures in the provider's own books.
func (s *shop) charges(t testing.TB, id string) (charges, captured, refunded, authorized float64) {
	t.Helper()
	resp, err := http.Get(s.endpoints["provider"] + "/books?reference=" + id)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var books struct {
		Items []struct{ Charges, Captured, Refunded, Authorized float64 } `json:"items"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&books); err != nil {
		t.Fatal(err)
	}
	for _, a := range books.Items {
		return a.Charges, a.Captured, a.Refunded, a.Authorized
	}
	return 0, 0, 0, 0
}

// database connects to a service's database, which only a test may do.
func (s *shop) database(t testing.TB, name string) *pgx.Conn {
	t.Helper()
	cfg, err := pgx.ParseConfig(s.endpoints["postgres"])
	if err != nil {
		t.Fatal(err)
	}
	cfg.Database = name
	conn, err := pgx.ConnectConfig(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// providerAway makes the payment provider unreachable for a while, from now on.
func (s *shop) providerAway(t testing.TB, d time.Duration) {
	t.Helper()
	resp, err := http.Post(s.endpoints["provider"]+"/test/away", "application/json", strings.NewReader(`{"for":"`+d.String()+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("the provider does not go away: %d", resp.StatusCode)
	}
}
