package service

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cartwheel-shop/cartwheel/pkg/httpapi"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
	"github.com/cartwheel-shop/cartwheel/pkg/postgres/postgrestest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// The operator sees what is parked, page by page, and decides about it.
func TestParkedFacts(t *testing.T) {
	db := outbox.Open(postgrestest.Open(t, outbox.Migrations), "lamp")
	if _, err := db.Pool().Exec(context.Background(), `
		INSERT INTO outbox_parked (seq, shard, topic, key, headers, payload, reason)
		SELECT n, 0, 'lamps', 'lamp_' || n % 2, '{"ce_id": "e1", "ce_type": "lamp.lit.v1"}', '{"lit":true}', 'too bright' FROM generate_series(1, 4) n`); err != nil {
		t.Fatal(err)
	}
	a := httpapi.New("x", httpapi.Config{Log: quiet, OperatorToken: "key"})
	HandleOutbox(a, "lamp", quiet, func() *outbox.DB { return db })
	ask := func(method, path string, header ...string) (int, string) {
		r := httptest.NewRequest(method, path, nil)
		r.Header.Set("Authorization", "Bearer "+strings.Join(append([]string{}, header...), ""))
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	const base = "/api/outbox/lamp/parked"
	status, body := ask(http.MethodGet, base+"?limit=3", "key")
	if status != http.StatusOK || !strings.Contains(body, `"seq":3`) || strings.Contains(body, `"seq":4`) || !strings.Contains(body, `"payload":{"lit":true}`) {
		t.Errorf("first page: %d %s", status, body)
	}
	if status, body := ask(http.MethodGet, base+"?cursor="+httpapi.EncodeCursor("3"), "key"); status != http.StatusOK || !strings.Contains(body, `"seq":4`) || strings.Contains(body, "next_cursor") {
		t.Errorf("last page: %d %s", status, body)
	}
	for _, tt := range []struct {
		method, path, token string
		want                int
		says                string
	}{
		{http.MethodGet, base, "guess", 401, "operator_only"},
		{http.MethodPost, base + "/1/release", "guess", 401, "operator_only"},
		{http.MethodGet, base + "?cursor=x", "key", 422, "cursor"},
		{http.MethodPost, base + "/1/release", "key", 202, `"released":2`},
		{http.MethodPost, base + "/9/release", "key", 404, "no parked fact 9"},
		{http.MethodPost, base + "/2/discard", "key", 204, ""},
		{http.MethodPost, base + "/2/discard", "key", 404, "no parked fact 2"},
	} {
		if status, body := ask(tt.method, tt.path, tt.token); status != tt.want || !strings.Contains(body, tt.says) {
			t.Errorf("%s %s: %d %s, want %d with %q", tt.method, tt.path, status, body, tt.want, tt.says)
		}
	}
}
