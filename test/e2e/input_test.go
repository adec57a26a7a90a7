package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
)

const (
	plainOrder = `{"customer":{"name":"Ada","email":"ada@example.com","address":{"line1":"1 Mill Lane","city":"London","postcode":"N1 9GU","country":"GB"}},` +
		`"lines":[{"sku":"milk","quantity":1}],"payment_token":"tok_visa"}`
	plainChannelOrder = `{"channel":"fair","external_id":"1","ordered_at":"1997-01-12T00:00:00Z","customer":{"name":"Ada","email":"ada@example.com"},` +
		`"lines":[{"sku":"cd","quantity":1,"total":{"amount":100,"currency":"USD"}}],"payment_token":"tok_visa"}`
)

// with is the plain order, changed in one or more places: old, new, old, new.
func with(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(plainOrder) }

func channelWith(pairs ...string) string {
	return strings.NewReplacer(pairs...).Replace(plainChannelOrder)
}

func lines(n int, of func(i int) string) string {
	all := make([]string, n)
	for i := range all {
		all[i] = of(i)
	}
	return with(`{"sku":"milk","quantity":1}`, strings.Join(all, ","))
}

// Whatever is wrong with an order is named, field by field, and nothing is stored.
func TestBadOrders(t *testing.T) {
	s := start(t)
	const quantity, email, name = `"quantity":1`, `"ada@example.com"`, `"Ada"`
	type bad struct{ name, body, pointers string }
	orders := []bad{
		{"unknown SKU", with("milk", "moon"), "/lines/0/sku"},
		{"a SKU of channels only", with("milk", "cd"), "/lines/0/sku"},
		{"quantity 0", with(quantity, `"quantity":0`), "/lines/0/quantity"},
		{"quantity below 0", with(quantity, `"quantity":-1`), "/lines/0/quantity"},
		{"a fraction", with(quantity, `"quantity":1.5`), "/lines/0/quantity"},
		{"above 10,000", with(quantity, `"quantity":10001`), "/lines/0/quantity"},
		{"far above", with(quantity, `"quantity":1e30`), "/lines/0/quantity"},
		{"a quantity that is text", with(quantity, `"quantity":"1"`), "/lines/0/quantity"},
		{"a quantity that is null", with(quantity, `"quantity":null`), "/lines/0/quantity"},
		{"no quantity", with(","+quantity, ""), "/lines/0/quantity"},
		{"no lines", with(`{"sku":"milk","quantity":1}`, ""), "/lines"},
		{"lines that are null", with(`[{"sku":"milk","quantity":1}]`, "null"), "/lines"},
		{"101 lines", lines(101, func(i int) string { return fmt.Sprintf(`{"sku":"sku-%d","quantity":1}`, i) }), "/lines"},
		{"a SKU twice", lines(3, func(i int) string { return fmt.Sprintf(`{"sku":%q,"quantity":1}`, []string{"milk", "peas", "milk"}[i]) }), "/lines/2/sku"},
		{"unknown token", with("tok_visa", "tok_gold"), "/payment_token"},
		{"unknown field", with(`"lines"`, `"coupon":1,"lines"`), "/coupon"},
		{"unknown field of the customer", with(`"name"`, `"title":"Dr","name"`), "/customer/title"},
		{"unknown field of the address", with(`"city"`, `"street":"x","city"`), "/customer/address/street"},
		{"unknown field of a line", with(quantity, quantity+`,"price":1`), "/lines/0/price"},
		{"a blank name", with(name, `"  "`), "/customer/name"},
		{"a zero character in a name", with(name, `"A\u0000"`), "/customer/name"},
		{"a blank street", with("1 Mill Lane", " "), "/customer/address/line1"},
		{"no country", with("GB", ""), "/customer/address/country"},
		{"a country in words", with("GB", "England"), "/customer/address/country"},
		{"a country that there is not", with("GB", "XX"), "/customer/address/country"},
		{"two things", with("milk", "moon", "tok_visa", "tok_gold"), "/lines/0/sku /payment_token"},
		{"many things", with("milk", "moon", quantity, `"quantity":0`, email, `"x"`, name, `""`, "tok_visa", "t", "GB", "gb"),
			"/customer/address/country /customer/email /customer/name /lines/0/quantity /lines/0/sku /payment_token"},
		{"an empty object", "{}", "/customer /lines /payment_token"},
	}
	for _, address := range []string{"ada", "ada@", "@example.com", "a b@example.com", "a@b@example.com", "Ada <ada@example.com>", "ada@example.com ", "ada@example..com",
		"ada@-example.com", "ada@localhost", "ada@[127.0.0.1]", "ada@example.com,bob@example.com", `ada@example.com\r\nBcc: bob@example.com`, `ada\u200b@example.com`, ""} {
		orders = append(orders, bad{"e-mail " + address, with(email, `"`+address+`"`), "/customer/email"})
	}
	channelOrders := []bad{
		{"a total below 0", channelWith(`100`, `-1`), "/lines/0/total/amount"},
		{"a fraction of a cent", channelWith(`100`, `1.5`), "/lines/0/total/amount"},
		{"no currency", channelWith(`USD`, `$`), "/lines/0/total/currency"},
		{"two currencies", channelWith(`}}]`, `}},{"sku":"milk","quantity":1,"total":{"amount":1,"currency":"EUR"}}]`), "/lines/1/total/currency"},
		{"the storefront's channel", channelWith(`fair`, `web`), "/channel"},
		{"a day without time", channelWith(`T00:00:00Z`, ``), "/ordered_at"},
		{"no such day", channelWith(`1997-01-12`, `1997-02-30`), "/ordered_at"},
		{"before all marketplaces", channelWith(`1997`, `0000`), "/ordered_at"},
		{"after the last year", channelWith(`1997-01-12T00:00:00Z`, `9999-12-31T23:59:59-12:00`), "/ordered_at"},
	}
	refused := func(path string, b bad) {
		t.Helper()
		a := s.call(t, http.MethodPost, path, b.body, "Idempotency-Key", uuid.NewString())
		var problem struct {
			Errors []struct{ Pointer, Detail string }
		}
		_ = json.Unmarshal(a.raw, &problem)
		var pointers []string
		for _, e := range problem.Errors {
			pointers = append(pointers, e.Pointer)
		}
		slices.Sort(pointers)
		if got := strings.Join(pointers, " "); a.status != http.StatusUnprocessableEntity || a.code() != "invalid" || got != b.pointers {
			t.Errorf("%s: %d %s\nwant 422 naming %s", b.name, a.status, a.raw, b.pointers)
		}
	}
	for _, b := range orders {
		refused("/api/orders", b)
	}
	for _, b := range channelOrders {
		refused("/api/channel-orders", b)
	}
	if n := len(s.call(t, http.MethodGet, "/api/orders", nil).items()); n != 0 {
		t.Errorf("%d orders were stored", n)
	}
	s.holds(t)
}

// What is no request at all, and addresses that lead nowhere: a problem with a
// stable code, which says what to do.
func TestBadRequests(t *testing.T) {
	s := start(t)
	key := func() string { return uuid.NewString() }
	for _, tc := range []struct {
		name, body string
		header     []string
		status     int
		code       string
	}{
		{"not JSON", "{", []string{"Idempotency-Key", key()}, 400, "not_json"},
		{"more behind it", plainOrder + "{}", []string{"Idempotency-Key", key()}, 400, "not_json"},
		{"no body", "", []string{"Idempotency-Key", key()}, 400, "bad_request"},
		{"not UTF-8", with("Ada", "\xff"), []string{"Idempotency-Key", key()}, 400, "not_json"},
		{"half a surrogate pair", with("Ada", `\ud800`), []string{"Idempotency-Key", key()}, 400, "not_json"},
		{"a quantity twice", with(`"quantity":1`, `"quantity":1,"quantity":2`), []string{"Idempotency-Key", key()}, 400, "not_json"},
		{"a form", "a=b", []string{"Idempotency-Key", key(), "Content-Type", "application/x-www-form-urlencoded"}, 415, "unsupported_media_type"},
		{"another charset", plainOrder, []string{"Idempotency-Key", key(), "Content-Type", "application/json; charset=latin1"}, 415, "unsupported_media_type"},
		{"a byte over 1 MiB", plainOrder + strings.Repeat(" ", 1<<20-len(plainOrder)+1), []string{"Idempotency-Key", key()}, 413, "too_large"},
		{"1 MiB", plainOrder + strings.Repeat(" ", 1<<20-len(plainOrder)), []string{"Idempotency-Key", key()}, 202, ""},
		{"no key", plainOrder, nil, 400, "idempotency_key_required"},
		{"a key of 256 characters", plainOrder, []string{"Idempotency-Key", strings.Repeat("k", 256)}, 400, "idempotency_key_too_long"},
		{"a key of 255 characters", plainOrder, []string{"Idempotency-Key", strings.Repeat("k", 255)}, 202, ""},
	} {
		a := s.call(t, http.MethodPost, "/api/orders", tc.body, tc.header...)
		problem := strings.HasPrefix(a.header.Get("Content-Type"), "application/problem+json") && a.body["detail"] != ""
		if a.status != tc.status || a.code() != tc.code || tc.status >= 400 && !problem {
			t.Errorf("%s: %d %s, want %d %s", tc.name, a.status, bytes.TrimSpace(a.raw), tc.status, tc.code)
		}
	}
	for _, path := range []string{"GET /api/orders/ord_none", "GET /api/orders/ord_none/timeline", "POST /api/orders/ord_none/cancel", "POST /api/orders/ord_none/approve",
		"POST /api/orders/ord_none/reject", "GET /api/stock/moon", "POST /api/tasks/tsk_none/done", "GET /api/nothing", "GET /api/orders/"} {
		method, path, _ := strings.Cut(path, " ")
		if a := s.call(t, method, path, nil); a.status != http.StatusNotFound || a.code() == "" || a.body["detail"] == "" {
			t.Errorf("%s %s: %d %s, want 404", method, path, a.status, a.raw)
		}
	}
	if a := s.call(t, http.MethodDelete, "/api/orders", nil); a.status != http.StatusMethodNotAllowed || a.code() != "method_not_allowed" || a.header.Get("Allow") != "GET, HEAD, POST" {
		t.Errorf("DELETE /api/orders: %d %s, allowed %q", a.status, a.raw, a.header.Get("Allow"))
	}
}

// The list of orders is searched by words: part of an order's id, of a
// marketplace's number, of the customer's name or email, in any case.
func TestOrdersAreSearched(t *testing.T) {
	s := start(t)
	ada := s.place(t, with(`"Ada"`, `"Ada 100% Sure_thing"`))
	rtl := s.place(t, with(`"Ada"`, `"שלום עולם"`, "ada@", "shalom@"))
	a := s.call(t, http.MethodPost, "/api/channel-orders", channelWith(`"external_id":"1"`, `"external_id":"FAIR-7731"`, "ada@", "fair@", `"Ada"`, `"Bob"`))
	fair, _ := a.body["order_id"].(string)
	for _, tc := range []struct {
		q    string
		want []string // newest first
	}{
		{"", []string{fair, rtl, ada}},
		{ada, []string{ada}},
		{strings.ToUpper(ada[8:]), []string{ada}},
		{"fair-7731", []string{fair}},
		{"sure_THING", []string{ada}},
		{"100%", []string{ada}},
		{"%", []string{ada}}, // words are no pattern
		{"עולם", []string{rtl}},
		{"SHALOM@example", []string{rtl}},
		{"@example.com", []string{fair, rtl, ada}},
		{"nobody", nil},
		{"' OR 1=1 --", nil},
	} {
		var got []string
		query := url.Values{"q": {tc.q}, "limit": {"2"}}
		for {
			page := s.call(t, http.MethodGet, "/api/orders?"+query.Encode(), nil)
			if page.status != http.StatusOK {
				t.Fatalf("q=%q: %d %s", tc.q, page.status, page.raw)
			}
			for _, o := range page.items() {
				id, _ := o["order_id"].(string)
				got = append(got, id)
			}
			next, _ := page.body["next_cursor"].(string)
			if next == "" {
				break
			}
			query.Set("cursor", next)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("q=%q: %v, want %v", tc.q, got, tc.want)
		}
	}
	for q, status := range map[string]int{strings.Repeat("x", 200): 200, strings.Repeat("x", 201): 422, "%00": 400, "%FF": 400} {
		if a := s.call(t, http.MethodGet, "/api/orders?q="+q, nil); a.status != status || status >= 400 && a.code() == "" {
			t.Errorf("q=%s: %d %s, want %d", q, a.status, a.raw, status)
		}
	}
	if got := s.call(t, http.MethodGet, "/api/orders?q=fair&status=pending&customer_id=cus_none", nil).items(); len(got) != 0 {
		t.Errorf("words beside another filter that fits nothing: %v", got)
	}
}

// A refused request does not use up its key; an accepted one does, for its body.
func TestARefusedRequestKeepsItsKey(t *testing.T) {
	s := start(t)
	key := uuid.NewString()
	for i, step := range []struct {
		body     string
		status   int
		code     string
		replayed string
	}{
		{with(`"quantity":1`, `"quantity":0`), 422, "invalid", ""},
		{with("milk", "truffle-box", `"quantity":1`, `"quantity":51`), 409, "out_of_stock", ""},
		{plainOrder, 202, "", ""},
		{" " + plainOrder + "\n", 202, "", "true"},
		{with(`"quantity":1`, `"quantity":2`), 422, "idempotency_key_reused", ""},
	} {
		a := s.call(t, http.MethodPost, "/api/orders", step.body, "Idempotency-Key", key)
		if a.status != step.status || a.code() != step.code || a.header.Get("Idempotent-Replayed") != step.replayed {
			t.Errorf("request %d: %d %s, replayed %q; want %d %s %q", i+1, a.status, a.raw, a.header.Get("Idempotent-Replayed"), step.status, step.code, step.replayed)
		}
	}
}
