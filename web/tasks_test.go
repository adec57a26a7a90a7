package web

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cartwheel-shop/cartwheel/pkg/service"
)

// tasksEdge is an edge in front of services that have these parked facts, and
// three tasks. Their operator's token is "key". It returns what was decided, too.
func tasksEdge(t *testing.T, parked map[string]string) (ask func(method, path, token string) (int, string), decided func() []string) {
	t.Helper()
	var mu sync.Mutex
	var calls []string
	urls := map[string]string{}
	for _, name := range []string{"order", "inventory", "payment", "notification", "analytics"} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.Header.Get("Authorization") != "Bearer key":
				w.WriteHeader(http.StatusUnauthorized)
				fmt.Fprint(w, `{"code":"operator_only"}`)
			case r.Method == http.MethodPost:
				mu.Lock()
				calls = append(calls, name+" "+r.URL.Path)
				mu.Unlock()
				w.WriteHeader(http.StatusAccepted)
			case r.URL.Path == "/api/tasks":
				all := []string{`{"id":"tsk_1"}`, `{"id":"tsk_2"}`, `{"id":"tsk_3"}`}
				limit, from, next := 50, 0, ""
				_, _ = fmt.Sscan(r.URL.Query().Get("limit"), &limit) // absent: as it is
				_, _ = fmt.Sscanf(r.URL.Query().Get("cursor"), "from-%d", &from)
				if all = all[from:]; limit < len(all) {
					all, next = all[:limit], fmt.Sprintf("from-%d", from+limit)
				}
				fmt.Fprintf(w, `{"items":[%s],"next_cursor":%q}`, strings.Join(all, ","), next)
			default:
				fmt.Fprintf(w, `{"items":[%s]}`, parked[name])
			}
		}))
		t.Cleanup(srv.Close)
		urls[name] = srv.URL
	}
	e, err := New(Config{OrderURL: urls["order"], InventoryURL: urls["inventory"], PaymentURL: urls["payment"], NotificationURL: urls["notification"], AnalyticsURL: urls["analytics"]},
		service.Deps{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	h, err := e.handler()
	if err != nil {
		t.Fatal(err)
	}
	edge := httptest.NewServer(h)
	t.Cleanup(edge.Close)
	return func(method, path, token string) (int, string) {
			req, err := http.NewRequestWithContext(t.Context(), method, edge.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+token)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			return resp.StatusCode, string(body)
		}, func() []string {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(calls)
		}
}

var twoParked = map[string]string{
	"payment": `{"service":"payment","seq":7,"topic":"payments","key":"pay_1","event_type":"payment.captured.v1","reason":"too large","parked_at":"2026-11-26T10:00:00Z"},
		{"service":"payment","seq":9,"topic":"payments","key":"pay_1","event_type":"payment.refunded.v1","reason":"behind","parked_at":"2026-11-26T10:05:00Z"}`,
	"order": `{"service":"order","seq":3,"topic":"orders","key":"ord_1","event_type":"order.shipped.v1","reason":"too large","parked_at":"2026-11-26T11:00:00Z","released":true}`,
}

// Parked messages come first, one for each key; then the order service's tasks,
// page by page and none twice.
func TestParkedMessagesAreTasks(t *testing.T) {
	ask, _ := tasksEdge(t, twoParked)
	all := []string{"parked.order.3 retrying", "parked.payment.7 open", "tsk_1 ", "tsk_2 ", "tsk_3 "}
	for limit := 1; limit <= 6; limit++ {
		var got []string
		for cursor := ""; ; {
			status, body := ask(http.MethodGet, fmt.Sprintf("/api/tasks?limit=%d&cursor=%s", limit, cursor), "key")
			var page struct {
				Items []struct{ ID, State string }
				Next  string `json:"next_cursor"`
			}
			if err := json.Unmarshal([]byte(body), &page); err != nil || status != http.StatusOK || len(page.Items) > limit {
				t.Fatalf("limit %d: %d %s, %v", limit, status, body, err)
			}
			for _, it := range page.Items {
				got = append(got, it.ID+" "+it.State)
			}
			if cursor = page.Next; cursor == "" {
				break
			}
		}
		if !slices.Equal(got, all) {
			t.Errorf("limit %d: got %v, want %v", limit, got, all)
		}
	}
	if _, body := ask(http.MethodGet, "/api/tasks?state=retrying", "key"); !strings.Contains(body, "parked.order.3") || strings.Contains(body, "parked.payment.7") {
		t.Errorf("by state: %s", body)
	}
	if status, body := ask(http.MethodGet, "/api/tasks", "guess"); status != http.StatusUnauthorized || strings.Contains(body, "parked") {
		t.Errorf("without the operator's token: %d %s", status, body)
	}
}

func TestADecisionAboutAParkedMessageGoesToItsService(t *testing.T) {
	ask, decided := tasksEdge(t, twoParked)
	for path, want := range map[string]int{
		"/api/tasks/parked.payment.7/retry": 202, "/api/tasks/parked.order.3/done": 202, "/api/tasks/tsk_1/retry": 202,
		"/api/tasks/parked.nobody.7/retry": 404, "/api/tasks/parked.payment.7/burn": 404,
	} {
		if status, body := ask(http.MethodPost, path, "key"); status != want {
			t.Errorf("%s: %d %s, want %d", path, status, body, want)
		}
	}
	got := decided()
	slices.Sort(got)
	want := []string{"order /api/outbox/order/parked/3/discard", "order /api/tasks/tsk_1/retry", "payment /api/outbox/payment/parked/7/release"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
