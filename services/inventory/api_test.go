package inventory

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/cartwheel-shop/cartwheel/pkg/figures"
	"github.com/cartwheel-shop/cartwheel/pkg/questions"
	"github.com/cartwheel-shop/cartwheel/pkg/service"
)

// get asks the service's HTTP interface and decodes the answer into v.
func (w *warehouse) get(t *testing.T, path string, v any) int {
	t.Helper()
	rec := httptest.NewRecorder()
	w.service(nil).api().Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
	if err := json.Unmarshal(rec.Body.Bytes(), v); err != nil {
		t.Fatalf("GET %s: %d %s: %v", path, rec.Code, rec.Body, err)
	}
	return rec.Code
}

type page struct {
	Items      []productBody `json:"items"`
	NextCursor string        `json:"next_cursor"`
}

func TestTheCatalogue(t *testing.T) {
	w := open(t)
	var all page
	if status := w.get(t, "/api/products?limit=200", &all); status != http.StatusOK || all.NextCursor != "" {
		t.Fatalf("status %d, next %q", status, all.NextCursor)
	}
	if n := len(all.Items); n < 38 || n > 45 {
		t.Errorf("%d products, want about 40", n)
	}
	storages := map[Storage]int{}
	needsApproval := false
	for _, p := range all.Items {
		storages[p.Storage]++
		needsApproval = needsApproval || 2*p.Price.Amount > 50000
		if p.Price.Amount <= 0 || p.Price.Amount > 40000 || p.Price.Currency != "EUR" {
			t.Errorf("%s costs %v", p.SKU, p.Price)
		}
		if p.Available <= 0 || p.Name == "" {
			t.Errorf("nobody can buy %+v", p)
		}
		if p.SKU == "cd" {
			t.Error("cd is listed")
		}
	}
	if !needsApproval || storages[Ambient] == 0 || storages[Chilled] == 0 || storages[Frozen] == 0 {
		t.Errorf("storages %v, approval needed for two of something: %v", storages, needsApproval)
	}
	var cd Stock
	if status := w.get(t, "/api/stock/cd", &cd); status != http.StatusOK || cd.OnHand != 1_000_000 {
		t.Errorf("cd: status %d, %+v; want a million on hand", status, cd)
	}
}

func TestProductsArePaged(t *testing.T) {
	w := open(t)
	var all page
	w.get(t, "/api/products?limit=200", &all)
	var got []productBody
	for cursor, pages := "", 0; ; pages++ {
		var p page
		if status := w.get(t, "/api/products?limit=7&cursor="+cursor, &p); status != http.StatusOK {
			t.Fatalf("status %d", status)
		}
		if len(p.Items) > 7 || pages > len(all.Items) {
			t.Fatalf("page %d has %d items", pages, len(p.Items))
		}
		got = append(got, p.Items...)
		if cursor = p.NextCursor; cursor == "" {
			break
		}
	}
	if !slices.Equal(got, all.Items) {
		t.Errorf("the pages together have %d items and differ from the whole list of %d", len(got), len(all.Items))
	}
}

func TestWhatCannotBeAnswered(t *testing.T) {
	w := open(t)
	for _, tc := range []struct {
		path   string
		status int
		code   string
	}{
		{"/api/stock/moon-dust", http.StatusNotFound, "product_not_found"},
		{"/api/products?cursor=nonsense", http.StatusUnprocessableEntity, "invalid"},
		{"/api/products?cursor=bW9vbg", http.StatusUnprocessableEntity, "invalid"}, // well formed, and of no list of ours
		{"/api/products?limit=0", http.StatusUnprocessableEntity, "invalid"},
		{"/api/products?limit=201", http.StatusUnprocessableEntity, "invalid"},
	} {
		var problem struct{ Code, Detail string }
		if status := w.get(t, tc.path, &problem); status != tc.status || problem.Code != tc.code || problem.Detail == "" {
			t.Errorf("GET %s: %d %+v, want %d %s and what to do", tc.path, status, problem, tc.status, tc.code)
		}
	}
}

// Goods are taken in up to a level: twice the same changes nothing, a fuller shelf
// stays as it is, and what is received goes on adding up.
func TestStockIsReplenished(t *testing.T) {
	w := open(t)
	if _, err := w.do(t.Context(), "reserve", w.order("ord_1", "truffle-box 20")); err != nil {
		t.Fatal(err)
	}
	post := func(path, body string) (int, Stock) {
		s := w.service(nil)
		s.cfg.OperatorOpen = true
		rec := httptest.NewRecorder()
		req := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		s.api().Handler().ServeHTTP(rec, req)
		var st Stock
		_ = json.Unmarshal(rec.Body.Bytes(), &st) // a problem has none of it
		return rec.Code, st
	}
	for _, tc := range []struct {
		body   string
		status int
		want   Stock
	}{
		{`{"on_hand": 50}`, http.StatusOK, Stock{"truffle-box", 70, 50, 20, 0}},
		{`{"on_hand": 50}`, http.StatusOK, Stock{"truffle-box", 70, 50, 20, 0}},
		{`{"on_hand": 10}`, http.StatusOK, Stock{"truffle-box", 70, 50, 20, 0}},
		{`{"on_hand": 0}`, http.StatusUnprocessableEntity, Stock{}},
		{`{}`, http.StatusUnprocessableEntity, Stock{}},
	} {
		if status, got := post("/api/stock/truffle-box/replenish", tc.body); status != tc.status || got != tc.want {
			t.Errorf("%s: %d %+v, want %d %+v", tc.body, status, got, tc.status, tc.want)
		}
	}
	if status, _ := post("/api/stock/moon-dust/replenish", `{"on_hand": 5}`); status != http.StatusNotFound {
		t.Errorf("an unknown product answers %d", status)
	}
}

func TestStockIsAnsweredForKnownSKUs(t *testing.T) {
	w := open(t)
	a, err := w.service(nil).stock(t.Context(), questions.StockRequest{SKUs: []string{"cd", "moon-dust", "milk"}})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]questions.StockItem{}
	for _, it := range a.Items {
		got[it.SKU] = it
	}
	if len(got) != 2 || got["cd"].Listed || !got["milk"].Listed || got["milk"].Available != 8000 || got["milk"].Storage != "chilled" || got["milk"].Price.Amount != 149 {
		t.Errorf("answered %+v", a.Items)
	}
}

// What the edge asks: the trail of an order, who holds stock, and what does not
// add up.
func TestInternalCalls(t *testing.T) {
	w := open(t)
	o := w.order("ord_1", "truffle-box 20")
	for _, c := range []string{"reserve", "reserve", "prepare", "hand-over"} {
		if _, err := w.do(t.Context(), c, o); err != nil {
			t.Fatal(err)
		}
	}
	var trail service.Trail
	w.get(t, "/internal/trail/ord_1", &trail)
	attempts := map[string]any{}
	outbox := 0
	for _, it := range trail.Items {
		switch it.Kind {
		case service.TrailCommand:
			attempts[it.Name] = it.Detail["attempts"]
		case service.TrailOutbox:
			outbox++
		}
	}
	if attempts["inventory.reserve"] != 2.0 || attempts["inventory.prepare"] != 1.0 || attempts["inventory.dispatch"] != 1.0 || outbox != 2 {
		t.Errorf("trail: attempts %v, %d facts; want 2, 1, 1 and 2 facts", attempts, outbox)
	}
	var none service.Trail
	if w.get(t, "/internal/trail/ord_2", &none); none.Items == nil || len(none.Items) != 0 {
		t.Errorf("trail of an unknown order: %v", none.Items)
	}

	var holds figures.Holds
	if w.get(t, "/internal/holds", &holds); !slices.Equal(holds.OrderIDs, []string{"ord_1"}) {
		t.Errorf("holds %v, want ord_1", holds.OrderIDs)
	}

	var report figures.Report
	w.get(t, "/internal/figures", &report)
	if wrong, ok := report.Offenders["stock"]; !ok || len(wrong) != 0 || report.Values["reserved"] != 20 || report.Digests["outbox:inventory"] == nil {
		t.Errorf("figures %+v", report)
	}
	if _, err := w.db.Pool().Exec(t.Context(), `UPDATE stock SET reserved = reserved + 1, received = received + 1 WHERE sku = 'milk'`); err != nil {
		t.Fatal(err)
	}
	if w.get(t, "/internal/figures", &report); len(report.Offenders["stock"]) != 1 {
		t.Errorf("offenders %v, want milk, of which one is reserved for nobody", report.Offenders["stock"])
	}
}
