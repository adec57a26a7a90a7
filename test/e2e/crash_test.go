package e2e

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

// kill -9 of the whole program with 200 orders in flight, then a start on the same
// directory: every order reaches its end, and every invariant holds.
func TestKillWithOrdersInFlight(t *testing.T) {
	s := start(t)
	ids := s.flood(t, 200)
	s.kill()
	s.launch(t)
	s.awaitReady(t)
	for _, id := range ids {
		if got := s.ends(t, id); got != "completed" {
			t.Errorf("%s ends %s", id, got)
		}
	}
	s.holds(t)
}

// The same while the saga engine alone is down: orders were accepted and wait.
func TestKillWhileTheSagaEngineIsDown(t *testing.T) {
	s := start(t)
	s.stop()
	s.env = append(s.env, "CARTWHEEL_HOLD_TEMPORAL=true")
	s.launch(t)
	within(t, time.Minute, "only the saga engine to be missing", func() bool {
		a, err := s.try(http.MethodGet, "/readyz", nil)
		missing, _ := a.body["missing"].([]any)
		return err == nil && a.status == http.StatusServiceUnavailable && len(missing) == 1 && missing[0].(map[string]any)["name"] == "temporal"
	})
	if a := s.call(t, http.MethodGet, "/", nil); a.status != http.StatusOK || !strings.Contains(a.header.Get("Content-Type"), "text/html") {
		t.Errorf("the page answered %d while the saga engine is away", a.status)
	}
	ids := s.flood(t, 200)
	if got := s.status(t, ids[0]); got != "pending" {
		t.Errorf("an order is %s without a saga engine", got)
	}
	if a := s.call(t, http.MethodPost, "/api/orders/"+ids[0]+"/cancel", map[string]any{}); a.status != http.StatusServiceUnavailable || a.code() != "saga_unavailable" || a.header.Get("Retry-After") == "" {
		t.Errorf("cancel answered %d %s, want 503 saga_unavailable with Retry-After", a.status, a.raw)
	}
	s.kill()
	s.env = s.env[:len(s.env)-1]
	s.launch(t)
	s.awaitReady(t)
	for _, id := range ids {
		if got := s.ends(t, id); got != "completed" {
			t.Errorf("%s ends %s", id, got)
		}
	}
	s.holds(t)
}

// flood places orders as fast as it can and does not wait for them.
func (s *shop) flood(t *testing.T, n int) []string {
	t.Helper()
	ids := make([]string, n)
	slots := make(chan struct{}, 20)
	var wg sync.WaitGroup
	for i := range ids {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			a, err := s.try(http.MethodPost, "/api/orders", basket("tok_visa", "GB", line{"milk", 1}, line{"butter", 1}), "Idempotency-Key", uuid.NewString())
			if err != nil || a.status != http.StatusAccepted {
				t.Errorf("order answered %d %s %v", a.status, a.raw, err)
				return
			}
			ids[i] = a.body["order_id"].(string)
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return ids
}
