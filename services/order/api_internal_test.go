package order

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/commands"
	"github.com/cartwheel-shop/cartwheel/pkg/figures"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
	"github.com/cartwheel-shop/cartwheel/pkg/questions"
	"github.com/cartwheel-shop/cartwheel/pkg/service"
)

// What the edge and the other services ask.
func TestInternalCalls(t *testing.T) {
	d := open(t)
	d.place(t, "ord_1")
	d.goes(t, "ord_1", wayTo[Completed]...)
	d.place(t, "ord_2", func(p *Placing) { p.Order.Channel, p.Order.ExternalID = "fair", "1" })
	d.goes(t, "ord_2", Confirmed, Shipped)
	d.place(t, "ord_3")
	d.goes(t, "ord_3", Rejected)
	d.pass(time.Hour + overdueGrace)
	d.place(t, "ord_4", func(p *Placing) { p.Order.Deadline = d.at.Add(-overdueGrace - time.Second) })
	d.place(t, "ord_5", func(p *Placing) { p.Order.Deadline = d.at.Add(-overdueGrace) })
	d.place(t, "ord_6")
	d.goes(t, "ord_6", AwaitingApproval)

	var trail service.Trail
	d.get(t, "/internal/trail/ord_1", &trail)
	facts := 0
	for _, it := range trail.Items {
		switch it.Kind {
		case service.TrailHTTP:
			if it.Name != "POST /api/orders" || it.Detail["request_id"] != "req_1" {
				t.Errorf("the trail begins with %+v", it)
			}
		case service.TrailOutbox:
			facts++
		}
	}
	if facts != 4 || len(trail.Items) != 5 {
		t.Errorf("trail of %d items, %d facts; want the request and 4 facts", len(trail.Items), facts)
	}
	if err := d.store.Record(t.Context(), Recording{Transition: Transition{OrderID: "ord_6", To: Pending, DecidedAt: d.at, Note: "a regular"}, Steps: reserved}); err != nil {
		t.Fatal(err)
	}
	if d.get(t, "/internal/trail/ord_6", &trail); trail.Items[1].Name != "POST /api/orders/{id}/approve" || trail.Items[1].Detail["note"] != "a regular" || !trail.Items[1].At.Equal(d.at) {
		t.Errorf("the trail of an order that was approved has %+v", trail.Items[1])
	}
	if d.get(t, "/internal/trail/ord_2", &trail); trail.Items[0].Name != "POST /api/channel-orders" {
		t.Errorf("a channel order's trail begins with %+v", trail.Items[0])
	}
	var none service.Trail
	if d.get(t, "/internal/trail/ord_9", &none); none.Items == nil || len(none.Items) != 0 {
		t.Errorf("trail of an unknown order: %v", none.Items)
	}

	var report figures.Report
	d.get(t, "/internal/figures", &report)
	if want := []string{"ord_4"}; !slices.Equal(report.Offenders["overdue"], want) || report.Values["orders_open"] != 4 || report.Values["orders_total"] != 6 || report.Digests["outbox:orders"] == nil {
		t.Errorf("figures %+v, want %v overdue, and 4 of 6 open", report, want)
	}
	due, mails := map[string]int64{}, map[string]int64{}
	for bucket := range figures.Buckets {
		for name, into := range map[string]map[string]int64{"money_due": due, "mails_due": mails} {
			var items figures.Items
			d.get(t, fmt.Sprintf("/internal/figures/%s/%d", name, bucket), &items)
			for k, v := range items.Items {
				if outbox.Shard(k) != bucket {
					t.Errorf("%s is in bucket %d", k, bucket)
				}
				into[k] = v
			}
		}
	}
	if got, want := fmt.Sprint(due), "map[ord_1:298 ord_2:298]"; got != want {
		t.Errorf("money due %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(mails), "map[ord_1:confirmed:1 ord_1:shipped:1 ord_3:rejected:1]"; got != want {
		t.Errorf("mails due %s, want %s", got, want)
	}

	var statuses statusAnswer
	d.call(t, http.MethodPost, "/internal/orders/status", `{"ids": ["ord_1", "ord_3", "ord_9"]}`).into(t, http.StatusOK, &statuses)
	if got, want := fmt.Sprint(statuses.Statuses), "map[ord_1:completed ord_3:rejected]"; got != want {
		t.Errorf("statuses %s, want %s", got, want)
	}
	if a := d.call(t, http.MethodPost, "/internal/orders/status", "["); a.status != http.StatusBadRequest {
		t.Errorf("nonsense: %d %s", a.status, a.body)
	}
}

// How the saga's task queues stand; an engine that does not answer is named.
func TestBrokerFigures(t *testing.T) {
	d := open(t)
	var got brokerFigures
	d.get(t, "/internal/brokers", &got)
	var names []string
	for _, q := range got.TaskQueues {
		names = append(names, q.Name)
		if q.Kind != "workflow" || q.Pollers != 1 || q.Backlog != 2 {
			t.Errorf("%s stands at %+v", q.Name, q)
		}
	}
	if want := []string{commands.OrderQueue, commands.InventoryQueue, commands.PaymentQueue}; !slices.Equal(names, want) || len(got.Missing) != 0 {
		t.Errorf("task queues %v, missing %v; want %v", names, got.Missing, want)
	}
	d.sagas.answers(away)
	got = brokerFigures{}
	if d.get(t, "/internal/brokers", &got); !slices.Equal(got.Missing, []string{"temporal"}) || len(got.TaskQueues) != 0 {
		t.Errorf("with the engine away: %+v, want it named", got)
	}
}

// Who sends a mail or a parcel asks where to; the answer is the order's
// recipient, whatever the customer was called later.
func TestContact(t *testing.T) {
	d := open(t)
	d.place(t, "ord_1")
	d.place(t, "ord_2", func(p *Placing) { p.Order.Customer.Name = "Ada King" })
	want := questions.Contact{CustomerID: "cus_ada", Name: "Ada Byron", Email: "ada@example.com", Address: questions.Address(ada().Address)}
	if got, err := d.contact(t.Context(), questions.ContactRequest{OrderID: "ord_1"}); err != nil || got != want {
		t.Errorf("contact = %+v, %v; want %+v", got, err, want)
	}
	_, err := d.contact(t.Context(), questions.ContactRequest{OrderID: "ord_9"})
	var refusal *questions.Error
	if !errors.As(err, &refusal) || refusal.Code != questions.NotFound {
		t.Errorf("of an unknown order: %v, want not_found", err)
	}
}
