package payment

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/cartwheel-shop/cartwheel/pkg/figures"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
	"github.com/cartwheel-shop/cartwheel/pkg/service"
)

// get asks the service's HTTP interface and decodes the answer into v.
func (s *till) get(t *testing.T, path string, v any) int {
	t.Helper()
	rec := httptest.NewRecorder()
	s.api().Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
	if err := json.Unmarshal(rec.Body.Bytes(), v); err != nil {
		t.Fatalf("GET %s: %d %s: %v", path, rec.Code, rec.Body, err)
	}
	return rec.Code
}

// run does commands one after the other; all are to end well.
func (s *till) run(t *testing.T, orderID string, names ...string) {
	t.Helper()
	for _, c := range names {
		if err := s.do(t.Context(), c, order(orderID, "tok_visa")); err != nil {
			t.Fatalf("%s: %v", c, err)
		}
	}
}

type page struct {
	Items      []entryBody `json:"items"`
	NextCursor string      `json:"next_cursor"`
}

// line is what a test says of an entry.
type line struct {
	kind            Kind
	account         Account
	amount, balance int64
}

func TestTheLedgerOfAnOrder(t *testing.T) {
	s := open(t)
	s.run(t, "ord_2", "authorize")
	s.run(t, "ord_1", "authorize", "capture", "refund")
	var all page
	if status := s.get(t, "/api/payments?order_id=ord_1&limit=200", &all); status != http.StatusOK || all.NextCursor != "" {
		t.Fatalf("status %d, next %q", status, all.NextCursor)
	}
	var got []line
	for _, e := range all.Items {
		got = append(got, line{e.Kind, e.Account, e.Amount.Amount, e.Balance.Amount})
		if e.OrderID != "ord_1" || !strings.HasPrefix(e.PaymentID, "pay_") || e.At.IsZero() || e.Amount.Currency != "EUR" || e.Balance.Currency != "EUR" {
			t.Errorf("entry %+v", e)
		}
	}
	want := []line{
		{Authorize, CardHolds, 1000, 1000}, {Authorize, HoldsOwed, -1000, -1000},
		{Capture, CardHolds, -1000, 0}, {Capture, HoldsOwed, 1000, 0}, {Capture, ProviderBalance, 1000, 1000}, {Capture, Sales, -1000, -1000},
		{Refund, ProviderBalance, -1000, 0}, {Refund, Sales, 1000, 0},
	}
	if !slices.Equal(got, want) {
		t.Errorf("entries %v, want %v", got, want)
	}

	var pages []entryBody
	for cursor, n := "", 0; ; n++ {
		var p page
		if status := s.get(t, "/api/payments?order_id=ord_1&limit=3&cursor="+cursor, &p); status != http.StatusOK || len(p.Items) > 3 || n > 3 {
			t.Fatalf("page %d: status %d, %d items", n, status, len(p.Items))
		}
		pages = append(pages, p.Items...)
		if cursor = p.NextCursor; cursor == "" {
			break
		}
	}
	if !slices.Equal(pages, all.Items) {
		t.Errorf("the pages together are %v, want %v", pages, all.Items)
	}

	var none page
	if status := s.get(t, "/api/payments?order_id=ord_3", &none); status != http.StatusOK || none.Items == nil || len(none.Items) != 0 {
		t.Errorf("an order without a payment: status %d, %v; want an empty list", status, none.Items)
	}
}

func TestWhatCannotBeAnswered(t *testing.T) {
	s := open(t)
	for _, path := range []string{
		"/api/payments",
		"/api/payments?order_id=ord_1&cursor=nonsense",
		"/api/payments?order_id=ord_1&cursor=bW9vbg", // well formed, and of no list of ours
		"/api/payments?order_id=ord_1&limit=0",
		"/api/payments?order_id=ord_1&limit=201",
	} {
		var problem struct{ Code, Detail string }
		if status := s.get(t, path, &problem); status != http.StatusUnprocessableEntity || problem.Code != "invalid" || problem.Detail == "" {
			t.Errorf("GET %s: %d %+v, want 422 invalid and what to do", path, status, problem)
		}
	}
}

// What the edge asks: the trail of an order, whose money is held, and what does
// not add up.
func TestInternalCalls(t *testing.T) {
	s := open(t)
	s.run(t, "ord_1", "authorize", "authorize", "capture")
	s.run(t, "ord_2", "authorize")
	s.bank.next("ord_3:authorize", lost)
	if err := s.do(t.Context(), "authorize", order("ord_3", "tok_visa")); outcome(err) != "again" {
		t.Fatalf("authorize: %v", err)
	}

	var trail service.Trail
	s.get(t, "/internal/trail/ord_1", &trail)
	attempts := map[string]any{}
	facts := 0
	for _, it := range trail.Items {
		switch it.Kind {
		case service.TrailCommand:
			attempts[it.Name] = it.Detail["attempts"]
		case service.TrailOutbox:
			facts++
		}
	}
	if attempts["payment.authorize"] != 2.0 || attempts["payment.capture"] != 1.0 || facts != 2 {
		t.Errorf("trail: attempts %v, %d facts; want 2, 1 and 2 facts", attempts, facts)
	}
	var none service.Trail
	if s.get(t, "/internal/trail/ord_4", &none); none.Items == nil || len(none.Items) != 0 {
		t.Errorf("trail of an unknown order: %v", none.Items)
	}

	var holds figures.Holds
	s.get(t, "/internal/holds", &holds)
	if slices.Sort(holds.OrderIDs); !slices.Equal(holds.OrderIDs, []string{"ord_2", "ord_3"}) {
		t.Errorf("holds %v, want ord_2, which is set aside, and ord_3, of which nobody knows", holds.OrderIDs)
	}

	var report figures.Report
	s.get(t, "/internal/figures", &report)
	if want := []string{"ord_3: ours authorized 0, captured 0, refunded 0; the provider's 1000, 0, 0"}; !slices.Equal(report.Offenders["provider"], want) {
		t.Errorf("offenders %v, want %v", report.Offenders["provider"], want)
	}
	if report.Values["authorized"] != 1000 || report.Values["captured"] != 1000 || report.Values["refunded"] != 0 || report.Digests["money_held"] == nil || report.Digests["outbox:payments"] == nil {
		t.Errorf("figures %+v", report)
	}

	held, err := s.figureItems(t.Context(), "money_held", outbox.Shard("ord_1"))
	if err != nil || held.Items["ord_1"] != 1000 || len(held.Items) != 1 {
		t.Errorf("money held: %v, %v; want that of ord_1", held.Items, err)
	}
}

// Books that cannot be read are no proof that all is well.
func TestAProviderThatIsAwayIsAnOffender(t *testing.T) {
	s := open(t)
	s.run(t, "ord_1", "authorize")
	s.provider = closedProvider(t)
	var report figures.Report
	if s.get(t, "/internal/figures", &report); len(report.Offenders["provider"]) != 1 || !strings.Contains(report.Offenders["provider"][0], "cannot be read") {
		t.Errorf("offenders %v, want that the books cannot be read", report.Offenders["provider"])
	}
}
