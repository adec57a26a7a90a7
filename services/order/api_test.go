package order

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/fault"
	"github.com/cartwheel-shop/cartwheel/pkg/saga"
)

const (
	milkOrder = `{"customer": {"name": "Ada Byron", "email": "ada@example.com", "address": {"line1": "1 Mill Lane", "city": "London", "postcode": "N1 9GU", "country": "GB"}},
		"lines": [{"sku": "milk", "quantity": 2}], "payment_token": "tok_visa"}`
	cdSale = `{"channel": "fair", "external_id": "7", "ordered_at": "1997-01-12T01:00:00+01:00", "customer": {"name": "Ada Byron", "email": "ada@example.com"},
		"lines": [{"sku": "cd", "quantity": 3, "total": {"amount": 0, "currency": "USD"}}], "payment_token": "tok_visa"}`
)

// but is a body with something else in places: old, new, old, new.
func but(body string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(body) }

// post places an order under a key.
func (d *desk) post(t *testing.T, body, key string) answer {
	t.Helper()
	return d.call(t, http.MethodPost, "/api/orders", body, "Idempotency-Key", key)
}

func TestPlaceAnOrder(t *testing.T) {
	d := open(t)
	d.sell(t)
	var first, again receiptBody
	a := d.post(t, milkOrder, "1")
	a.into(t, http.StatusAccepted, &first)
	if first.Status != Pending || first.Total != (events.Money{Amount: 298, Currency: "EUR"}) || !strings.HasPrefix(first.OrderID, "ord_") || a.header.Get("Idempotent-Replayed") != "" {
		t.Errorf("answered %+v with %v", first, a.header)
	}
	// White space and the order of members are nothing to a key.
	a = d.post(t, strings.Join(strings.Fields(but(milkOrder, `"sku": "milk", "quantity": 2`, `"quantity": 2, "sku": "milk"`)), " "), "1")
	if a.into(t, http.StatusAccepted, &again); again != first || a.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("a repeat is answered %+v with %v, want %+v", again, a.header, first)
	}
	if a := d.post(t, but(milkOrder, `2}`, `3}`), "1"); a.status != http.StatusUnprocessableEntity || a.Code != "idempotency_key_reused" {
		t.Errorf("another order under the key: %d %s", a.status, a.body)
	}
	if got, want := d.stored(t), "1 orders, 1 keys, 1 customers, 1 facts"; got != want {
		t.Errorf("stored %s, want %s", got, want)
	}

	var o orderBody
	d.get(t, "/api/orders/"+first.OrderID, &o)
	if o.Status != Pending || o.Channel != Web || o.Customer.Name != "Ada Byron" || o.Customer.Address == nil || *o.Customer.Address != ada().Address || !o.CreatedAt.Equal(d.at) || !o.OrderedAt.Equal(d.at) {
		t.Errorf("it is %+v", o)
	}
	if deadline := d.row(t, first.OrderID).Deadline; !deadline.Equal(d.at.Add(time.Hour)) {
		t.Errorf("to be dispatched by %s, want an hour from now", deadline)
	}
	e := fact[events.OrderCreated](t, d, first.OrderID)
	if e.CustomerID != o.Customer.CustomerID || e.Total != first.Total || len(e.Lines) != 1 || e.Lines[0].Total != first.Total {
		t.Errorf("told %+v", e)
	}
}

// A marketplace's sale: its number is the key, its price the price, its day the day.
func TestPlaceAChannelOrder(t *testing.T) {
	d := open(t)
	d.sell(t)
	send := func(body string) answer { return d.call(t, http.MethodPost, "/api/channel-orders", body) }
	var first, again receiptBody
	send(cdSale).into(t, http.StatusAccepted, &first)
	if a := send(cdSale); a.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("a repeat: %d %v", a.status, a.header)
	} else if a.into(t, http.StatusAccepted, &again); again != first {
		t.Errorf("a repeat is answered %+v, want %+v", again, first)
	}
	o := d.row(t, first.OrderID)
	if o.Channel != "fair" || o.ExternalID != "7" || o.Total != (events.Money{Currency: "USD"}) || !o.OrderedAt.Equal(time.Date(1997, 1, 12, 0, 0, 0, 0, time.UTC)) || o.Customer.Address != (Address{}) {
		t.Errorf("stored %+v", o.Order)
	}
	if a := send(but(cdSale, `"amount": 0`, `"amount": 1`)); a.Code != "idempotency_key_reused" {
		t.Errorf("another sale of the same number: %d %s", a.status, a.body)
	}
	if a := send(but(cdSale, "fair", "bazaar")); a.status != http.StatusAccepted || a.header.Get("Idempotent-Replayed") != "" {
		t.Errorf("the same number of another marketplace: %d %s", a.status, a.body)
	}
	for _, tc := range []struct{ name, body, pointers string }{
		{"a total below 0", but(cdSale, `"amount": 0`, `"amount": -1`), "/lines/0/total/amount"},
		{"a currency in words", but(cdSale, "USD", "dollars"), "/lines/0/total/currency"},
		{"two currencies", but(cdSale, "}}]", `}}, {"sku": "milk", "quantity": 1, "total": {"amount": 1, "currency": "EUR"}}]`), "/lines/1/total/currency"},
		{"our own channel", but(cdSale, "fair", "web"), "/channel"},
		{"a number that is empty", but(cdSale, `"7"`, `""`), "/external_id"},
		{"before there were marketplaces", but(cdSale, "1997", "1797"), "/ordered_at"},
		{"a day to come", but(cdSale, "1997", "2997"), "/ordered_at"},
		{"a name of no-break spaces", but(cdSale, "Ada Byron", `\u00a0\u202f`), "/customer/name"},
		{"a name of no width", but(cdSale, "Ada Byron", `\u200b\ufeff`), "/customer/name"},
		{"to a country that there is not", but(cdSale, `.com"}`, `.com", "address": {"line1": "1", "city": "a", "postcode": "b", "country": "XX"}}`), "/customer/address/country"},
	} {
		if a := send(but(tc.body, `"external_id": "7"`, `"external_id": "8"`)); a.status != http.StatusUnprocessableEntity || a.Code != "invalid" || a.pointers() != tc.pointers {
			t.Errorf("%s: %d %s, want %s named", tc.name, a.status, a.body, tc.pointers)
		}
	}
	if got, want := d.stored(t), "2 orders, 2 keys, 1 customers, 2 facts"; got != want {
		t.Errorf("stored %s, want %s", got, want)
	}
}

// Whatever is wrong with an order is named by pointer, all of it at once, and
// nothing is stored: the key is still free for the order mended.
func TestBadOrders(t *testing.T) {
	d := open(t)
	d.sell(t)
	lines := func(skus ...string) string {
		for i, sku := range skus {
			skus[i] = fmt.Sprintf(`{"sku": %q, "quantity": 1}`, sku)
		}
		return but(milkOrder, `{"sku": "milk", "quantity": 2}`, strings.Join(skus, ", "))
	}
	many := make([]string, 101)
	for i := range many {
		many[i] = fmt.Sprint("sku-", i)
	}
	const email, name = `"ada@example.com"`, `"Ada Byron"`
	for _, tc := range []struct{ name, body, pointers string }{
		{"an unknown SKU", but(milkOrder, "milk", "moon-dust"), "/lines/0/sku"},
		{"a SKU of channels only", but(milkOrder, "milk", "cd"), "/lines/0/sku"},
		{"quantity 0", but(milkOrder, "2}", "0}"), "/lines/0/quantity"},
		{"a quantity below 0", but(milkOrder, "2}", "-1}"), "/lines/0/quantity"},
		{"a fraction", but(milkOrder, "2}", "1.5}"), "/lines/0/quantity"},
		{"more than 10,000", but(milkOrder, "2}", "10001}"), "/lines/0/quantity"},
		{"no lines", lines(), "/lines"},
		{"101 lines", lines(many...), "/lines"},
		{"a SKU twice", lines("milk", "butter", "milk"), "/lines/2/sku"},
		{"no e-mail address", but(milkOrder, email, `"ada"`), "/customer/email"},
		{"an unknown token", but(milkOrder, "tok_visa", "tok_gold"), "/payment_token"},
		{"an unknown field", but(milkOrder, `"lines"`, `"coupon": 1, "lines"`), "/coupon"},
		{"an unknown field within", but(milkOrder, `"sku"`, `"price": 1, "sku"`), "/lines/0/price"},
		{"a blank name", but(milkOrder, name, `"\t"`), "/customer/name"},
		{"a name of no-break spaces", but(milkOrder, name, `"\u00a0\u202f"`), "/customer/name"},
		{"a name of no width", but(milkOrder, name, `"\u200b\ufeff"`), "/customer/name"},
		{"an address that nobody sees", but(milkOrder, "1 Mill Lane", `\u00a0`, "London", `\u200b`, "N1 9GU", `\u3000`), "/customer/address/city /customer/address/line1 /customer/address/postcode"},
		{"a country in words", but(milkOrder, "GB", "England"), "/customer/address/country"},
		{"a country that there is not", but(milkOrder, "GB", "XX"), "/customer/address/country"},
		{"nothing", "{}", "/customer /lines /payment_token"},
		{"everything", but(milkOrder, "milk", "moon-dust", "2}", "0}", email, `"ada"`, name, `""`, "GB", "XX", "tok_visa", "tok_gold"),
			"/customer/address/country /customer/email /customer/name /lines/0/quantity /lines/0/sku /payment_token"},
	} {
		a := d.post(t, tc.body, "1")
		named := strings.Fields(a.pointers())
		slices.Sort(named)
		if got := strings.Join(named, " "); a.status != http.StatusUnprocessableEntity || a.Code != "invalid" || got != tc.pointers {
			t.Errorf("%s: %d %s, want %s named", tc.name, a.status, a.body, tc.pointers)
		}
		for _, e := range a.Errors {
			if e.Detail == "" {
				t.Errorf("%s: nothing is said of %s", tc.name, e.Pointer)
			}
		}
	}
	for _, tc := range []struct {
		name, body, key string
		status          int
		code            string
	}{
		{"not JSON", "{", "1", 400, "not_json"},
		{"no key", milkOrder, "", 400, "idempotency_key_required"},
		{"a key of 256 characters", milkOrder, strings.Repeat("é", 256), 400, "idempotency_key_too_long"},
		{"more than 1 MiB", milkOrder + strings.Repeat(" ", 1<<20), "1", 413, "too_large"},
		{"more than is left", but(milkOrder, "milk", "butter", "2}", "4}"), "1", 409, "out_of_stock"},
	} {
		if a := d.post(t, tc.body, tc.key); a.status != tc.status || a.Code != tc.code || a.Detail == "" {
			t.Errorf("%s: %d %s, want %d %s", tc.name, a.status, a.body, tc.status, tc.code)
		}
	}
	if a := d.call(t, http.MethodPost, "/api/orders", milkOrder, "Idempotency-Key", "1", "Content-Type", "text/plain"); a.status != http.StatusUnsupportedMediaType {
		t.Errorf("text: %d %s", a.status, a.body)
	}
	if got := d.stored(t); got != nothing {
		t.Errorf("stored %s", got)
	}
	for _, key := range []string{"1", strings.Repeat("é", 255)} {
		if a := d.post(t, milkOrder, key); a.status != http.StatusAccepted || a.header.Get("Idempotent-Replayed") != "" {
			t.Errorf("mended, it is answered %d %s", a.status, a.body)
		}
	}
	if a := d.post(t, but(milkOrder, "Ada Byron", `\u200fעדה ביירון`), "2"); a.status != http.StatusAccepted {
		t.Errorf("a name from right to left is answered %d %s", a.status, a.body)
	}
}

// What the customer can try again in a moment says when.
func TestTryAgain(t *testing.T) {
	d := open(t)
	d.sell(t)
	again := func(what string, a answer, status int, code string) {
		t.Helper()
		if a.status != status || a.Code != code || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %s, Retry-After %q; want %d %s and when", what, a.status, a.body, a.header.Get("Retry-After"), status, code)
		}
	}
	held, err := d.faults.Arm(fault.Fault{Point: fault.CommitBefore, Kind: fault.Block})
	if err != nil {
		t.Fatal(err)
	}
	var first sync.WaitGroup
	first.Go(func() {
		if a := d.post(t, milkOrder, "1"); a.status != http.StatusAccepted {
			t.Errorf("the first: %d %s", a.status, a.body)
		}
	})
	<-held.Fired()
	again("while the key is in flight", d.post(t, milkOrder, "1"), http.StatusConflict, "idempotency_key_in_flight")
	held.Disarm()
	first.Wait()

	there := d.nats
	if d.nats, err = nats.Connect(there.ConnectedUrl()); err != nil {
		t.Fatal(err)
	}
	d.nats.Close()
	again("while the stock cannot be asked", d.post(t, milkOrder, "2"), http.StatusServiceUnavailable, "stock_unavailable")
	if a := d.post(t, but(milkOrder, "ada@", "ada"), "2"); a.status != http.StatusUnprocessableEntity || a.pointers() != "/customer/email" {
		t.Errorf("what is wrong meanwhile: %d %s, want it named", a.status, a.body)
	}
	if a := d.post(t, milkOrder, "1"); a.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("a repeat meanwhile: %d %s, want the receipt", a.status, a.body)
	}
	d.nats = there
	if a := d.post(t, milkOrder, "2"); a.status != http.StatusAccepted {
		t.Errorf("when it can: %d %s", a.status, a.body)
	}
}

// What a person may say to an order, and what comes of it.
func TestDecisions(t *testing.T) {
	for _, tc := range []struct {
		name    string
		is      Status
		verb    string
		saga    error
		status  int
		code    string
		asked   string
		details string
	}{
		{"cancel", Pending, "cancel", nil, 202, "", "cancel ord_1 why not", ""},
		{"cancel what is confirmed", Confirmed, "cancel", nil, 202, "", "cancel ord_1 why not", ""},
		{"approve", AwaitingApproval, "approve", nil, 202, "", "approve ord_1 why not", ""},
		{"reject", AwaitingApproval, "reject", nil, 202, "", "reject ord_1 why not", ""},
		{"cancel what the saga has dispatched", Confirmed, "cancel", notNow(Shipped), 409, "order_state", "cancel ord_1 why not", "is shipped and cannot be cancelled"},
		{"approve what waits for nobody", Pending, "approve", notNow(Pending), 409, "order_state", "approve ord_1 why not", "is pending and cannot be approved"},
		{"reject before the saga has begun", Pending, "reject", notFound, 409, "order_state", "reject ord_1 why not", "is pending and cannot be rejected"},
		{"cancel what has ended", Completed, "cancel", nil, 409, "order_state", "", "is completed and cannot be cancelled"},
		{"cancel twice", Cancelled, "cancel", nil, 409, "order_state", "", "is cancelled"},
		{"approve what was rejected", Rejected, "approve", nil, 409, "order_state", "", "is rejected and cannot be approved"},
		{"cancel while the saga engine is away", Pending, "cancel", away, 503, "saga_unavailable", "cancel ord_1 why not", "try again"},
		{"approve while the saga engine is away", AwaitingApproval, "approve", away, 503, "saga_unavailable", "approve ord_1 why not", "try again"},
		{"cancel when the saga engine is broken", Pending, "cancel", errors.New("shard 7 is corrupt"), 500, "internal", "cancel ord_1 why not", "logged"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := open(t)
			d.place(t, "ord_1")
			d.goes(t, "ord_1", wayTo[tc.is]...)
			d.sagas.answers(tc.saga)
			a := d.call(t, http.MethodPost, "/api/orders/ord_1/"+tc.verb, `{"reason": "why not"}`)
			if a.status != tc.status || a.Code != tc.code || !strings.Contains(a.Detail, tc.details) || (a.header.Get("Retry-After") == "5") != (tc.status == 503) {
				t.Errorf("%d %s, Retry-After %q; want %d %s", a.status, a.body, a.header.Get("Retry-After"), tc.status, tc.code)
			}
			if strings.Contains(string(a.body), "shard") {
				t.Errorf("the customer is told %s", a.body)
			}
			if got := d.sagas.was(); got != tc.asked {
				t.Errorf("the saga engine was asked %q, want %q", got, tc.asked)
			}
			if got := d.row(t, "ord_1").Status; got != tc.is {
				t.Errorf("it is %s, and only the saga may change that from %s", got, tc.is)
			}
		})
	}
}

func TestWhatCannotBeAnswered(t *testing.T) {
	d := open(t)
	d.place(t, "ord_1")
	for _, tc := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"GET", "/api/orders/ord_2", "", 404, "order_not_found"},
		{"POST", "/api/orders/ord_2/cancel", "", 404, "order_not_found"},
		{"POST", "/api/orders/ord_2/approve", "{}", 404, "order_not_found"},
		{"POST", "/api/orders/ord_2/reject", "{}", 404, "order_not_found"},
		{"POST", "/api/orders/ord_1/cancel", `{"reason": 7}`, 422, "invalid"},
		{"POST", "/api/orders/ord_1/cancel", `{"reason": "` + strings.Repeat("x", 501) + `"}`, 422, "invalid"},
		{"POST", "/api/orders/ord_1/cancel", `{"why": ""}`, 422, "invalid"},
		{"POST", "/api/orders/ord_1/cancel", `why`, 400, "not_json"},
		{"POST", "/api/orders/ord_1/ship", "", 404, "not_found"},
		{"GET", "/api/orders?cursor=nonsense", "", 422, "invalid"},
		{"GET", "/api/orders?cursor=bW9vbg", "", 422, "invalid"},         // well formed, and of no list of ours
		{"GET", "/api/orders?cursor=bW9vbgpvcmRfMQ", "", 422, "invalid"}, // of two values, and the first is no time
		{"GET", "/api/orders?limit=0", "", 422, "invalid"},
		{"GET", "/api/orders?limit=201", "", 422, "invalid"},
		{"GET", "/api/orders?status=lost", "", 422, "invalid"},
		{"GET", "/api/orders?q=" + strings.Repeat("x", 201), "", 422, "invalid"},
		{"GET", "/api/orders?q=%00", "", 400, "bad_request"},
		{"GET", "/api/orders?customer_id=%00;", "", 400, "bad_request"},
		{"GET", "/api/orders?customer_id=%ff", "", 400, "bad_request"},
		{"GET", "/api/orders/ord%00", "", 400, "bad_request"},
	} {
		if a := d.call(t, tc.method, tc.path, tc.body); a.status != tc.status || a.Code != tc.code || a.Detail == "" {
			t.Errorf("%s %s %s: %d %s, want %d %s and what to do", tc.method, tc.path, tc.body, a.status, a.body, tc.status, tc.code)
		}
	}
	for _, path := range []string{"/api/channel-orders", "/api/orders/ord_1/approve", "/api/orders/ord_1/reject", "/api/tasks/tsk_1/retry", "/api/tasks/tsk_1/done"} {
		if a := d.call(t, http.MethodPost, path, "{}", "Authorization", "Bearer a visitor's"); a.status != http.StatusUnauthorized || a.Code != "operator_only" {
			t.Errorf("POST %s by a visitor: %d %s, want 401 operator_only", path, a.status, a.body)
		}
	}
	if got := d.sagas.was(); got != "" {
		t.Errorf("the saga engine was asked %s", got)
	}
}

// The list over HTTP: filters meet, and pages together are the list.
func TestTheListOfOrders(t *testing.T) {
	d := open(t)
	for i := range 5 { // in the same instant
		d.place(t, fmt.Sprintf("ord_%d", i))
	}
	d.goes(t, "ord_3", Confirmed)
	type page struct {
		Items      []orderBody `json:"items"`
		NextCursor string      `json:"next_cursor"`
	}
	list := func(query string) string {
		var got []string
		for cursor, n := "", 0; ; n++ {
			var p page
			d.get(t, "/api/orders?"+query+"&cursor="+cursor, &p)
			if p.Items == nil || n > 5 {
				t.Fatalf("%s, page %d: %v", query, n, p.Items)
			}
			for _, o := range p.Items {
				got = append(got, strings.TrimPrefix(o.OrderID, "ord_"))
				if o.Steps != nil {
					t.Errorf("a list shows steps")
				}
			}
			if cursor = p.NextCursor; cursor == "" {
				return strings.Join(got, " ")
			}
		}
	}
	for query, want := range map[string]string{
		"": "4 3 2 1 0", "limit=2": "4 3 2 1 0", "limit=5": "4 3 2 1 0", "limit=1&status=pending": "4 2 1 0", "status=shipped": "",
		"customer_id=cus_ada&limit=4": "4 3 2 1 0", "customer_id=cus_bob": "", "q=ADA%40": "4 3 2 1 0", "q=%25": "", "q=ord_3&status=confirmed": "3",
	} {
		if got := list(query); got != want {
			t.Errorf("%q lists %s, want %s", query, got, want)
		}
	}
}

// An order shows the steps of its saga: asked of it while it runs, else as they
// were recorded, else as they are planned.
func TestSteps(t *testing.T) {
	d := open(t)
	running := []saga.Progress{{Name: "payment.authorize", State: saga.Running, Attempts: 2}}
	for _, tc := range []struct {
		name     string
		is       Status
		total    int64
		progress []saga.Progress
		want     string
	}{
		{"not begun", Pending, 298, nil, "inventory.reserve waiting"},
		{"running", Confirmed, 298, running, "payment.authorize running"},
		{"running, and the engine is away", Confirmed, 298, nil, "inventory.reserve done"},
		{"ended", Rejected, 298, running, "inventory.reserve done"},
	} {
		id := "ord_" + tc.name
		d.place(t, id)
		d.goes(t, id, wayTo[tc.is]...)
		d.sagas.progress = tc.progress
		var o orderBody
		d.get(t, "/api/orders/"+strings.ReplaceAll(id, " ", "%20"), &o)
		if got := fmt.Sprintf("%s %s", o.Steps[0].Name, o.Steps[0].State); got != tc.want || tc.is == Pending && len(o.Steps) != 7 {
			t.Errorf("%s: %d steps, %s first; want %s", tc.name, len(o.Steps), got, tc.want)
		}
	}
}
