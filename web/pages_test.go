package web

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cartwheel-shop/cartwheel/pkg/httpapi"
)

// An address of the console is the console's to explain, whatever it is; a file
// that is not there and a call that means the API are refused as the API refuses.
func TestPages(t *testing.T) {
	handler, err := pages()
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		method, path string
		status       int
		code         string // of the problem; a page without one
	}{
		{"GET", "/", 200, ""},
		{"HEAD", "/", 200, ""},
		{"GET", "/orders", 200, ""},
		{"GET", "/orders/ord_that_never_was", 200, ""},
		{"GET", "/no/such/page", 200, ""},
		{"GET", "/dead-letters/notification.mails/3/17", 200, ""},
		{"GET", "/foo.js", 404, "not_found"},
		{"GET", "/assets/index-00000000.css", 404, "not_found"},
		{"GET", "/../../etc/passwd.txt", 404, "not_found"},
		{"POST", "/", 405, "method_not_allowed"},
		{"POST", "/orders", 405, "method_not_allowed"},
		{"PUT", "/index.html", 405, "method_not_allowed"},
		{"DELETE", "/no/such/page", 405, "method_not_allowed"},
		{"OPTIONS", "/favicon.svg", 405, "method_not_allowed"},
	} {
		t.Run(tc.method+" "+tc.path, func(t *testing.T) {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequest(tc.method, "http://shop"+tc.path, nil))
			if w.Code != tc.status {
				t.Fatalf("status %d, want %d", w.Code, tc.status)
			}
			kind := w.Header().Get("Content-Type")
			if tc.code == "" {
				if !strings.HasPrefix(kind, "text/html") {
					t.Errorf("content type %s, want a page", kind)
				}
				return
			}
			var p httpapi.ProblemError
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || kind != "application/problem+json" || p.Code != tc.code || p.Detail == "" {
				t.Errorf("%s %s, want the problem %s", kind, w.Body, tc.code)
			}
			if allow := w.Header().Get("Allow"); tc.status == http.StatusMethodNotAllowed && allow != "GET, HEAD" {
				t.Errorf("Allow: %q", allow)
			}
		})
	}
}
