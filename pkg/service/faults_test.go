package service

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cartwheel-shop/cartwheel/pkg/fault"
	"github.com/cartwheel-shop/cartwheel/pkg/httpapi"
)

// operator sends the operator's calls to an API with these points.
func operator(t *testing.T, faults *fault.Points) func(method, path, body string, header ...string) (int, string) {
	a := httpapi.New("x", httpapi.Config{OperatorToken: "secret", Log: quiet})
	HandleInternal(a, faults, nil, nil, nil)
	return func(method, path, body string, header ...string) (int, string) {
		t.Helper()
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer secret")
		for _, h := range header {
			r.Header.Set("Authorization", h)
		}
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, r)
		if paths := a.OpenAPI().Paths; len(paths) != 0 {
			t.Errorf("documented: %v", paths)
		}
		return w.Code, w.Body.String()
	}
}

func TestFaultsAreArmedAtRunTime(t *testing.T) {
	points := fault.New(quiet)
	call := operator(t, points)
	list := func() (points map[string]int, faults []armedBody) {
		t.Helper()
		status, body := call(http.MethodGet, "/internal/faults", "")
		var out struct {
			Points []pointBody
			Faults []armedBody
		}
		if err := json.Unmarshal([]byte(body), &out); err != nil || status != http.StatusOK {
			t.Fatalf("%d %s: %v", status, body, err)
		}
		points = map[string]int{}
		for _, p := range out.Points {
			points[string(p.Name)] = p.Passed
		}
		return points, out.Faults
	}
	if names, faults := list(); len(names) != len(fault.Catalogue()) || len(faults) != 0 {
		t.Errorf("at first: %v, %v", names, faults)
	}
	if status, body := call(http.MethodPost, "/internal/faults", `{"point":"provider.after","kind":"error","key":"ord_1","times":1}`); status != http.StatusCreated || !strings.Contains(body, `"id":"1"`) {
		t.Fatalf("arm: %d %s", status, body)
	}
	if status, body := call(http.MethodPost, "/internal/faults", `{"point":"mail.before","kind":"delay","for":"90s"}`); status != http.StatusCreated || !strings.Contains(body, `"for":"1m30s"`) {
		t.Fatalf("arm: %d %s", status, body)
	}
	var injected *fault.Error
	if err := points.At(t.Context(), fault.ProviderAfter, "ord_1"); !errors.As(err, &injected) {
		t.Errorf("what was armed does not fire: %v", err)
	}
	if names, faults := list(); names["provider.after"] != 1 || len(faults) != 2 || faults[0].Fires != 1 || faults[0].Point != "provider.after" || faults[0].Times != 1 {
		t.Errorf("after a fire: %v, %+v", names, faults)
	}
	for _, wrong := range []struct {
		body, want string
		status     int
	}{
		{`{"point":"no.such","kind":"error"}`, "there is no point", 422},
		{`{"point":"mail.before","kind":"explode"}`, `"pointer":"/kind"`, 422},
		{`{"point":"mail.before","kind":"delay","for":"long"}`, `"pointer":"/for"`, 422},
		{`{`, "not_json", 400},
	} {
		if status, body := call(http.MethodPost, "/internal/faults", wrong.body); status != wrong.status || !strings.Contains(body, wrong.want) {
			t.Errorf("%s: %d %s, want %d with %s", wrong.body, status, body, wrong.status, wrong.want)
		}
	}
	if status, _ := call(http.MethodDelete, "/internal/faults/1", ""); status != http.StatusNoContent {
		t.Errorf("disarm: %d", status)
	}
	if status, _ := call(http.MethodDelete, "/internal/faults/1", ""); status != http.StatusNotFound {
		t.Errorf("disarm again: %d", status)
	}
	if status, _ := call(http.MethodDelete, "/internal/faults", ""); status != http.StatusNoContent || len(points.Armed()) != 0 {
		t.Errorf("disarm all: %d, left %d", status, len(points.Armed()))
	}
}

func TestOnlyTheOperatorMakesThingsGoWrong(t *testing.T) {
	call := operator(t, fault.New(quiet))
	for _, c := range [][2]string{{http.MethodGet, "/internal/faults"}, {http.MethodPost, "/internal/faults"}, {http.MethodDelete, "/internal/faults"}, {http.MethodDelete, "/internal/faults/1"}} {
		if status, _ := call(c[0], c[1], `{"point":"mail.before","kind":"kill"}`, "Bearer wrong"); status != http.StatusUnauthorized {
			t.Errorf("%s %s without the token: %d", c[0], c[1], status)
		}
	}
}

func TestFaultsThatAreOffCannotBeArmed(t *testing.T) {
	call := operator(t, nil)
	if status, _ := call(http.MethodPost, "/internal/faults", `{"point":"mail.before","kind":"kill"}`); status != http.StatusNotFound {
		t.Errorf("armed, though off: %d", status)
	}
}
