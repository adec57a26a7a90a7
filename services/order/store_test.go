package order

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox/outboxtest"
	"github.com/cartwheel-shop/cartwheel/pkg/saga"
)

// An order, its customer, its key and its fact are there together, as they were
// given.
func TestPlace(t *testing.T) {
	d := open(t)
	p := d.placing("ord_1")
	r, err := d.store.Place(t.Context(), p)
	if want := (Receipt{OrderID: "ord_1", Total: p.Order.Total}); err != nil || r != want {
		t.Fatalf("Place = %+v, %v; want %+v", r, err, want)
	}
	if got, want := d.stored(t), "1 orders, 1 keys, 1 customers, 1 facts"; got != want {
		t.Errorf("stored %s, want %s", got, want)
	}
	if got := d.row(t, "ord_1"); !reflect.DeepEqual(got.Order, p.Order) || len(got.Steps) != 0 {
		t.Errorf("stored %+v\nwant   %+v", got, p.Order)
	}
	e := fact[events.OrderCreated](t, d, "ord_1")
	if e.OrderID != "ord_1" || e.CustomerID != "cus_ada" || e.Channel != Web || e.Total != p.Order.Total || !slices.Equal(e.Lines, p.Order.Lines) || !e.OrderedAt.Equal(d.at) {
		t.Errorf("told %+v", e)
	}
	if _, err := d.store.Get(t.Context(), "ord_2"); !errors.Is(err, ErrNotFound) {
		t.Errorf("an order that nobody placed: %v, want ErrNotFound", err)
	}
}

// What comes of a second request, after a first under "key of ord_1".
func TestPlaceAgain(t *testing.T) {
	const once, twice = "1 orders, 1 keys, 1 customers, 1 facts", "2 orders, 2 keys, 1 customers, 2 facts"
	for _, tc := range []struct {
		name   string
		change func(*Placing)
		want   error
		order  string // of the receipt
		stored string
	}{
		{"another order", func(*Placing) {}, nil, "ord_2", twice},
		{"a repeat", func(p *Placing) { p.Key, p.BodyHash = "key of ord_1", []byte("body of ord_1") }, nil, "ord_1", once},
		{"another body under the same key", func(p *Placing) { p.Key = "key of ord_1" }, ErrKeyReused, "", once},
		{"the same body under another key", func(p *Placing) { p.BodyHash = []byte("body of ord_1") }, nil, "ord_2", twice},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := open(t)
			d.place(t, "ord_1")
			p := d.placing("ord_2")
			tc.change(&p)
			looked, lookErr := d.store.Placed(t.Context(), p.Key, p.BodyHash)
			r, err := d.store.Place(t.Context(), p)
			if !errors.Is(err, tc.want) || !errors.Is(lookErr, tc.want) {
				t.Errorf("Place: %v, Placed: %v; want %v", err, lookErr, tc.want)
			}
			repeat := tc.order == "ord_1"
			if want := (Receipt{OrderID: tc.order, Total: p.Order.Total, Replayed: repeat}); tc.want == nil && r != want {
				t.Errorf("receipt %+v, want %+v", r, want)
			}
			if (looked != nil) != repeat || repeat && *looked != r {
				t.Errorf("Placed = %+v, and Place answers %+v", looked, r)
			}
			if got := d.stored(t); got != tc.stored {
				t.Errorf("stored %s, want %s", got, tc.stored)
			}
		})
	}
}

// What the database refuses leaves nothing of the order, and its key free.
func TestARefusedOrderLeavesNothing(t *testing.T) {
	d := open(t)
	d.place(t, "ord_1", func(p *Placing) { p.Order.Channel, p.Order.ExternalID = "fair", "1" })
	before := d.stored(t)
	p := d.placing("ord_2")
	p.Order.Channel, p.Order.ExternalID, p.Order.Customer = "fair", "1", Customer{ID: "cus_bob", Name: "Bob", Email: "bob@example.com"}
	if _, err := d.store.Place(t.Context(), p); err == nil {
		t.Error("one sale of a marketplace is two orders")
	}
	if got := d.stored(t); got != before {
		t.Errorf("stored %s, want %s as before", got, before)
	}
	p.Order.ExternalID = "2"
	if r, err := d.store.Place(t.Context(), p); err != nil || r.Replayed {
		t.Errorf("with its key again: %+v, %v", r, err)
	}
}

// Customers are known by their e-mail address, in whatever case. What an order
// says of its recipient stays as it was given.
func TestCustomersAreKnownByTheirEmail(t *testing.T) {
	d := open(t)
	d.place(t, "ord_1")
	o := d.place(t, "ord_2", func(p *Placing) {
		p.Order.Customer = Customer{ID: "cus_new", Name: "Ada King", Email: "ADA@example.com", Address: Address{City: "Ockham"}}
	})
	if o.Customer.ID != "cus_ada" || o.Customer.Name != "Ada King" || o.Customer.Email != "ADA@example.com" || o.Customer.Address.City != "Ockham" {
		t.Errorf("the second order is of %+v, want it of cus_ada, as she calls herself now", o.Customer)
	}
	if e := fact[events.OrderCreated](t, d, "ord_2"); e.CustomerID != "cus_ada" {
		t.Errorf("told that it is of %s", e.CustomerID)
	}
	if first := d.row(t, "ord_1").Customer; first != ada() {
		t.Errorf("the first order is of %+v now", first)
	}
	var name string
	if err := d.store.db.Pool().QueryRow(t.Context(), `SELECT name FROM customers WHERE id = 'cus_ada'`).Scan(&name); err != nil || name != "Ada King" {
		t.Errorf("the customer is called %s (%v)", name, err)
	}
}

// Every transition from every status: those of the state machine are made and
// told once; what the order is already, and what it cannot become any more,
// changes nothing.
func TestRecord(t *testing.T) {
	follows := map[Status]string{
		Pending:          "awaiting_approval confirmed cancelled rejected",
		AwaitingApproval: "pending cancelled rejected",
		Confirmed:        "shipped cancelled rejected",
		Shipped:          "completed",
	}
	facts := map[Status]string{
		AwaitingApproval: "approval_requested", Confirmed: "confirmed", Shipped: "shipped", Completed: "completed", Cancelled: "cancelled", Rejected: "rejected",
	}
	d := open(t)
	want := map[string]string{} // the facts of each order
	for _, from := range Statuses {
		for _, to := range Statuses {
			id := fmt.Sprintf("ord_%s_%s", from, to)
			d.place(t, id)
			d.goes(t, id, wayTo[from]...)
			want[id] = "created"
			for _, s := range wayTo[from] {
				want[id] += " " + facts[s]
			}
			before := d.row(t, id)
			d.pass(time.Minute)
			err := d.store.Record(t.Context(), Recording{
				Transition: Transition{OrderID: id, To: to, ApprovalDeadline: d.at, ShipmentID: "shp_1", Code: "late", Reason: "too late", Refunded: events.Money{Amount: 7, Currency: "EUR"}},
				Steps:      []saga.Progress{{Name: "inventory.reserve", State: saga.Done, Attempts: 3}},
			})
			if err != nil {
				t.Errorf("%s to %s: %v", from, to, err)
			}
			after := d.row(t, id)
			if !slices.Contains(strings.Fields(follows[from]), string(to)) {
				if !reflect.DeepEqual(after, before) {
					t.Errorf("%s to %s: changed to %+v, want nothing", from, to, after)
				}
				continue
			}
			if after.Status != to || !after.UpdatedAt.Equal(d.at) || len(after.Steps) != 1 || after.Steps[0].Attempts != 3 {
				t.Errorf("%s to %s: is %s since %s with %v", from, to, after.Status, after.UpdatedAt, after.Steps)
			}
			want[id] = strings.TrimSpace(want[id] + " " + facts[to])
		}
	}
	told := map[string]string{}
	for _, env := range outboxtest.Written(t, d.store.db) {
		told[env.Metadata.AggregateID] = strings.TrimSpace(told[env.Metadata.AggregateID] + " " + strings.Split(env.Type, ".")[1])
	}
	for id, facts := range want {
		if told[id] != facts {
			t.Errorf("%s: told %q, want %q", id, told[id], facts)
		}
	}
	if err := d.store.Record(t.Context(), Recording{Transition: Transition{OrderID: "ord_1", To: Confirmed}}); !errors.Is(err, ErrNotFound) {
		t.Errorf("an order that there is not: %v, want ErrNotFound", err)
	}
}

// What a fact says of its transition.
func TestFactsSayWhatTheyAreFor(t *testing.T) {
	d := open(t)
	total, none := events.Money{Amount: 298, Currency: "EUR"}, events.Money{Currency: "EUR"}
	at := d.at.Add(time.Hour)
	record := func(id string, tr Transition, delivered time.Time) {
		t.Helper()
		tr.OrderID = id
		if err := d.store.Record(t.Context(), Recording{Transition: tr, DeliveredAt: delivered, Steps: reserved}); err != nil {
			t.Fatal(err)
		}
	}
	d.place(t, "ord_1")
	record("ord_1", Transition{To: AwaitingApproval, ApprovalDeadline: at, ApprovalAbove: 200}, time.Time{})
	if e := fact[events.OrderApprovalRequested](t, d, "ord_1"); !e.Deadline.Equal(at) || e.Total != total {
		t.Errorf("told %+v", e)
	}
	record("ord_1", Transition{To: Pending, DecidedAt: d.at, Note: "she is a regular"}, time.Time{})
	if got, want := *d.row(t, "ord_1").Approval, (Approval{Above: events.Money{Amount: 200, Currency: "EUR"}, Deadline: at, DecidedAt: d.at, Approved: true, Note: "she is a regular"}); got != want {
		t.Errorf("the order keeps %+v, want %+v", got, want)
	}
	record("ord_1", Transition{To: Confirmed}, time.Time{})
	if e := fact[events.OrderConfirmed](t, d, "ord_1"); e.Total != total || e.CustomerID != "cus_ada" {
		t.Errorf("told %+v", e)
	}
	record("ord_1", Transition{To: Shipped, ShipmentID: "shp_1", Carrier: "Cartwheel Courier", Tracking: "CW1"}, time.Time{})
	if e := fact[events.OrderShipped](t, d, "ord_1"); e.ShipmentID != "shp_1" || e.Carrier != "Cartwheel Courier" || e.Tracking != "CW1" || e.Units != 2 || e.Total != total || !e.OrderedAt.Equal(d.at) {
		t.Errorf("told %+v", e)
	}
	record("ord_1", Transition{To: Completed}, at)
	if e := fact[events.OrderCompleted](t, d, "ord_1"); !e.DeliveredAt.Equal(at) || !d.row(t, "ord_1").DeliveredAt.Equal(at) {
		t.Errorf("told %+v", e)
	}

	d.place(t, "ord_2")
	record("ord_2", Transition{To: Rejected, Code: "declined", Reason: "the bank says no"}, time.Time{})
	if e := fact[events.OrderRejected](t, d, "ord_2"); e.Code != "declined" || e.Reason != "the bank says no" || e.Refunded != none {
		t.Errorf("told %+v", e)
	}
	d.place(t, "ord_3")
	record("ord_3", Transition{To: Confirmed}, time.Time{})
	record("ord_3", Transition{To: Cancelled, Reason: "changed my mind", Refunded: total}, time.Time{})
	if e := fact[events.OrderCancelled](t, d, "ord_3"); e.Reason != "changed my mind" || e.Refunded != total || d.row(t, "ord_3").Reason != "changed my mind" {
		t.Errorf("told %+v", e)
	}
}

// The courier's first word about a delivery counts, before and after the saga
// has heard of it.
func TestDelivered(t *testing.T) {
	d := open(t)
	d.place(t, "ord_1")
	for _, at := range []time.Time{d.at.Add(time.Hour), d.at.Add(2 * time.Hour)} {
		if known, err := d.store.Delivered(t.Context(), "ord_1", at); err != nil || !known {
			t.Fatalf("Delivered = %v, %v", known, err)
		}
	}
	d.goes(t, "ord_1", wayTo[Completed]...)
	if e, got := fact[events.OrderCompleted](t, d, "ord_1"), d.row(t, "ord_1").DeliveredAt; !got.Equal(d.at.Add(time.Hour)) || !e.DeliveredAt.Equal(got) {
		t.Errorf("delivered at %s, told %s; want the first time", got, e.DeliveredAt)
	}
	if known, err := d.store.Delivered(t.Context(), "ord_2", d.at); err != nil || known {
		t.Errorf("of an order of another shop: %v, %v; want it unknown", known, err)
	}
}

// ids are the ids of orders.
func ids(rows []Row) string {
	list := make([]string, len(rows))
	for i, o := range rows {
		list[i] = strings.TrimPrefix(o.ID, "ord_")
	}
	return strings.Join(list, " ")
}

// The reconciler is shown what has not ended and was not touched of late, by id.
func TestOpen(t *testing.T) {
	d := open(t)
	for i, s := range Statuses {
		id := fmt.Sprintf("ord_%d", i)
		d.place(t, id)
		d.goes(t, id, wayTo[s]...)
	}
	d.pass(time.Minute)
	d.place(t, "ord_9")
	for _, tc := range []struct {
		before time.Time
		after  string
		limit  int
		want   string
	}{
		{d.at, "", 10, "0 1 2 3"},
		{d.at.Add(time.Second), "", 10, "0 1 2 3 9"},
		{d.at, "", 3, "0 1 2"},
		{d.at, "ord_2", 10, "3"},
		{d.at, "ord_3", 10, ""},
		{d.at.Add(-time.Hour), "", 10, ""},
	} {
		if rows, err := d.store.Open(t.Context(), tc.before, tc.after, tc.limit); err != nil || ids(rows) != tc.want {
			t.Errorf("Open(%s, %q, %d) = %s, %v; want %s", tc.before, tc.after, tc.limit, ids(rows), err, tc.want)
		}
	}
}

// What a list is narrowed to, of the orders that the test places; newest first.
func TestList(t *testing.T) {
	d := open(t)
	for i, p := range []struct{ name, email, external string }{
		{"Ada Byron", "ada@example.com", ""},
		{"Blaise Pascal", "blaise_p@example.com", "100% off"},
		{"Charles O'Brien", "charles@example.com", `a\b`},
		{"Émilie du Châtelet", "emilie@example.com", "A-7"},
		{`"; DROP TABLE orders; --`, "bobby@example.com", ""},
	} {
		id := fmt.Sprintf("ord_%d", i)
		d.place(t, id, func(o *Placing) {
			o.Order.Customer = Customer{ID: "cus_" + id, Name: p.name, Email: p.email}
			if p.external != "" {
				o.Order.Channel, o.Order.ExternalID = "fair", p.external
			}
		})
		d.pass(time.Second)
	}
	d.goes(t, "ord_1", Confirmed)
	d.goes(t, "ord_3", Confirmed)
	for _, tc := range []struct {
		name   string
		filter Filter
		want   string
	}{
		{"nothing", Filter{}, "4 3 2 1 0"},
		{"a limit", Filter{Limit: 2}, "4 3"},
		{"a status", Filter{Status: Confirmed}, "3 1"},
		{"a status that no order has", Filter{Status: Shipped}, ""},
		{"a customer", Filter{CustomerID: "cus_ord_2"}, "2"},
		{"a customer that there is not", Filter{CustomerID: "%"}, ""},
		{"all of them", Filter{Status: Confirmed, CustomerID: "cus_ord_3", Words: "a-7"}, "3"},
		{"two that do not meet", Filter{Status: Confirmed, CustomerID: "cus_ord_2"}, ""},
		{"the id", Filter{Words: "ord_3"}, "3"},
		{"the id in another case", Filter{Words: "ORD_3"}, "3"},
		{"a part of the marketplace's number", Filter{Words: "0% o"}, "1"},
		{"a part of a name", Filter{Words: "bRiEn"}, "2"},
		{"a name with accents", Filter{Words: "ÉMILIE"}, "3"},
		{"a part of an e-mail address", Filter{Words: "ADA@"}, "0"},
		{"what all have", Filter{Words: "@example.com", Limit: 3}, "4 3 2"},
		{"words in another order", Filter{Words: "Byron Ada"}, ""},
		{"a wildcard of LIKE", Filter{Words: "%"}, "1"},
		{"another", Filter{Words: "e_p"}, "1"},
		{"an escape", Filter{Words: `a\b`}, "2"},
		{"a quote", Filter{Words: "'"}, "2"},
		{"a statement", Filter{Words: `'; DROP TABLE orders; --`}, ""},
		{"the name that is one", Filter{Words: `"; drop table`}, "4"},
		{"the street, which is not looked at", Filter{Words: "Mill Lane"}, ""},
	} {
		if tc.filter.Limit == 0 {
			tc.filter.Limit = 100
		}
		if rows, err := d.store.List(t.Context(), tc.filter); err != nil || ids(rows) != tc.want {
			t.Errorf("%s: %s, %v; want %s", tc.name, ids(rows), err, tc.want)
		}
	}
}

// Pages together are the list, also where orders were placed in the same instant.
func TestPagesOfOneInstant(t *testing.T) {
	d := open(t)
	for i := range 7 {
		if i == 5 {
			d.pass(time.Microsecond)
		}
		d.place(t, fmt.Sprintf("ord_%d", i))
	}
	for limit := 1; limit <= 8; limit++ {
		var pages []Row
		f := Filter{Limit: limit}
		for {
			rows, err := d.store.List(t.Context(), f)
			if err != nil || len(rows) > limit {
				t.Fatalf("%d rows, %v", len(rows), err)
			}
			if len(rows) == 0 {
				break
			}
			pages = append(pages, rows...)
			last := rows[len(rows)-1]
			f.BeforeTime, f.BeforeID = last.CreatedAt, last.ID
		}
		if got, want := ids(pages), "6 5 4 3 2 1 0"; got != want {
			t.Errorf("pages of %d: %s, want %s", limit, got, want)
		}
	}
}
