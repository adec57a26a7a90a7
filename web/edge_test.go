package web

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/cartwheel-shop/cartwheel/pkg/httpapi"
	"github.com/cartwheel-shop/cartwheel/pkg/service"
)

// Who is to blame for a request that did not get through: the client for a body
// that cannot be read, and only otherwise the service behind.
func TestWhoBrokeARequest(t *testing.T) {
	there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			w.WriteHeader(http.StatusAccepted)
		}
	}))
	defer there.Close()
	away := httptest.NewServer(http.NotFoundHandler())
	away.Close()
	e, err := New(Config{OrderURL: there.URL, InventoryURL: away.URL, PaymentURL: away.URL, NotificationURL: away.URL, AnalyticsURL: away.URL, OperatorOpen: true, Scenarios: true},
		service.Deps{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	h, err := e.handler()
	if err != nil {
		t.Fatal(err)
	}
	edge := httptest.NewServer(h)
	defer edge.Close()
	const good, bad, second = "2\r\n{}\r\n0\r\n\r\n", "zz\r\n", "2\r\n{}\r\nzz\r\n"
	for _, tc := range []struct {
		path, chunks string
		status       int
		code         string
	}{
		{"/api/orders", good, 202, ""},
		{"/api/orders", bad, 400, "bad_request"},
		{"/api/orders", second, 400, "bad_request"},
		{"/api/tasks/tsk_1/retry", second, 400, "bad_request"},
		{"/api/scenarios/crash", bad, 400, "bad_request"}, // the edge's own
		{"/api/stock/milk/replenish", good, 503, "service_unavailable"},
	} {
		conn, err := net.Dial("tcp", edge.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n%s", tc.path, tc.chunks)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%s %q: %v", tc.path, tc.chunks, err)
			continue
		}
		var p httpapi.ProblemError
		if tc.code != "" {
			err = json.NewDecoder(res.Body).Decode(&p)
		}
		if err != nil || res.StatusCode != tc.status || p.Code != tc.code {
			t.Errorf("%s %q: %d %+v, %v; want %d %s", tc.path, tc.chunks, res.StatusCode, p, err, tc.status, tc.code)
		}
	}
}
