package inventory

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestOnlyTheCouriersRefusalIsARefusal(t *testing.T) {
	for _, tc := range []struct {
		name    string
		status  int
		body    string
		refused bool
		ok      bool
	}{
		{"taken", 200, `{"carrier": "Cartwheel Courier", "tracking": "CW1"}`, false, true},
		{"refused", 422, `{"code": "refused", "detail": "not there"}`, true, false},
		{"something else is wrong with it", 422, `{"code": "no_such_service", "detail": "?"}`, false, false},
		{"key reused", 409, `{"code": "key_reused", "detail": "?"}`, false, false},
		{"broken", 500, `{"code": "internal", "detail": "ask again"}`, false, false},
		{"a proxy in between", 502, `<html>bad gateway</html>`, false, false},
		{"torn", 200, `{"carrier": "Cart`, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				var p Parcel
				if err := json.NewDecoder(r.Body).Decode(&p); err != nil || p.Reference != "shp_1" || r.Header.Get("Idempotency-Key") != "shp_1" || r.URL.Path != "/parcels" {
					t.Errorf("asked %s for %+v under %q: %v", r.URL, p, r.Header.Get("Idempotency-Key"), err)
				}
				w.WriteHeader(tc.status)
				_, _ = w.Write([]byte(tc.body))
			}))
			defer server.Close()
			c, err := newHTTPCourier(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			label, err := c.Send(t.Context(), Parcel{Reference: "shp_1", Country: "GB"})
			var refused *RefusedError
			if errors.As(err, &refused) != tc.refused || (err == nil) != tc.ok {
				t.Errorf("Send = %+v, %v; want refused %v, ok %v", label, err, tc.refused, tc.ok)
			}
			if tc.ok && label != (Label{"Cartwheel Courier", "CW1"}) {
				t.Errorf("label %+v", label)
			}
		})
	}
}

func TestDeliveriesAreAskedForFromAPosition(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("after") != "41" || r.URL.Query().Get("wait") != "20s" {
			http.Error(w, "{}", http.StatusBadRequest)
			return
		}
		_, _ = w.Write([]byte(`{"items": [{"number": 42, "reference": "shp_1", "delivered_at": "2026-11-23T12:00:00Z"}]}`))
	}))
	defer server.Close()
	c, err := newHTTPCourier(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	list, err := c.Deliveries(t.Context(), 41, 20*time.Second)
	if err != nil || len(list) != 1 || list[0].Number != 42 || list[0].Reference != "shp_1" || list[0].DeliveredAt.Hour() != 12 {
		t.Errorf("Deliveries = %+v, %v", list, err)
	}
	if _, err := c.Deliveries(t.Context(), 40, 20*time.Second); err == nil || !strings.Contains(err.Error(), "400") {
		t.Errorf("Deliveries of a courier that answers 400: %v", err)
	}
}

func TestTheCouriersAddressIsChecked(t *testing.T) {
	for _, address := range []string{"", "localhost", "http://", "://x"} {
		if _, err := newHTTPCourier(address); err == nil || !strings.Contains(err.Error(), "COURIER_URL") {
			t.Errorf("newHTTPCourier(%q): %v, want an error that names COURIER_URL", address, err)
		}
	}
}
