package notification

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"testing"

	"github.com/cartwheel-shop/cartwheel/pkg/figures"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
	"github.com/cartwheel-shop/cartwheel/pkg/service"
)

// get asks the service's HTTP interface and decodes the answer into v.
func (o *office) get(t *testing.T, path string, v any) int {
	t.Helper()
	rec := httptest.NewRecorder()
	o.api().Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
	if err := json.Unmarshal(rec.Body.Bytes(), v); err != nil {
		t.Fatalf("GET %s: %d %s: %v", path, rec.Code, rec.Body, err)
	}
	return rec.Code
}

type page struct {
	Items      []emailBody `json:"items"`
	NextCursor string      `json:"next_cursor"`
}

// ids are the ids of a page's mails.
func (p page) ids() []string {
	var list []string
	for _, e := range p.Items {
		list = append(list, e.ID)
	}
	return list
}

func TestTheListOfMails(t *testing.T) {
	o := open(t)
	var want []string // newest first
	for _, k := range []Kind{Confirmed, Shipped, Rejected, Refunded, Cancelled} {
		want = slices.Insert(want, 0, o.write(t, "ord_1", k, Details{Reason: "it is so", Total: euros(100)}))
	}
	other := o.write(t, "ord_2", Confirmed, Details{Total: euros(100)})
	if err := o.send(t.Context(), want[4]); err != nil {
		t.Fatal(err)
	}
	o.smtp.next(plan{rcpt: nobody})
	_ = o.send(t.Context(), want[3])

	var all page
	if status := o.get(t, "/api/emails?order_id=ord_1", &all); status != http.StatusOK || !slices.Equal(all.ids(), want) || all.NextCursor != "" {
		t.Fatalf("status %d, %v, want %v", status, all.ids(), want)
	}
	if e := all.Items[4]; e.State != Sent || e.SentAt == nil || !e.SentAt.Equal(o.at) || e.Attempts != 1 || e.Kind != Confirmed || e.Error != "" {
		t.Errorf("the sent mail is %+v", e)
	}
	if e := all.Items[3]; e.State != Failed || e.SentAt != nil || e.Error == "" {
		t.Errorf("the failed mail is %+v", e)
	}
	if e := all.Items[0]; e.State != Queued || e.Attempts != 0 || e.MessageID != e.ID+"@cartwheel.example" {
		t.Errorf("the waiting mail is %+v", e)
	}
	var everybody, none page
	if o.get(t, "/api/emails", &everybody); !slices.Equal(everybody.ids(), append([]string{other}, want...)) {
		t.Errorf("all mails: %v", everybody.ids())
	}
	if o.get(t, "/api/emails?order_id=ord_3", &none); none.Items == nil || len(none.Items) != 0 {
		t.Errorf("mails of an unknown order: %v, want an empty list", none.Items)
	}

	var paged []string
	for cursor, n := "", 0; ; n++ {
		var p page
		if status := o.get(t, "/api/emails?order_id=ord_1&limit=2&cursor="+cursor, &p); status != http.StatusOK || len(p.Items) > 2 || n > 3 {
			t.Fatalf("page %d: status %d, %d items", n, status, len(p.Items))
		}
		paged = append(paged, p.ids()...)
		if cursor = p.NextCursor; cursor == "" {
			break
		}
	}
	if !slices.Equal(paged, want) {
		t.Errorf("the pages together are %v, want %v", paged, want)
	}
	for _, path := range []string{"/api/emails?cursor=nonsense", "/api/emails?limit=0"} {
		var problem struct{ Code, Detail string }
		if status := o.get(t, path, &problem); status != http.StatusUnprocessableEntity || problem.Code != "invalid" || problem.Detail == "" {
			t.Errorf("GET %s: %d %+v, want 422 invalid", path, status, problem)
		}
	}
}

// What the edge asks: the trail of an order, and the mails that are there.
func TestInternalCalls(t *testing.T) {
	o := open(t)
	if err := o.send(t.Context(), o.write(t, "ord_1", Confirmed, Details{Total: euros(100)})); err != nil {
		t.Fatal(err)
	}
	o.write(t, "ord_1", Shipped, Details{})

	var trail service.Trail
	o.get(t, "/internal/trail/ord_1", &trail)
	states := map[string]any{}
	facts := 0
	for _, it := range trail.Items {
		switch it.Kind {
		case service.TrailEmail:
			states[it.Name] = it.Detail["state"]
		case service.TrailOutbox:
			facts++
		}
	}
	if states["confirmed"] != "sent" || states["shipped"] != "queued" || facts != 1 {
		t.Errorf("trail: %v, %d facts; want a sent and a queued mail and one fact", states, facts)
	}

	var report figures.Report
	o.get(t, "/internal/figures", &report)
	if report.Values["mails_sent"] != 1 || report.Values["mails_queued"] != 1 || report.Digests["mails"] == nil || len(report.Offenders["mails_failed"]) != 0 {
		t.Errorf("figures %+v", report)
	}
	items, err := o.figureItems(t.Context(), "mails", outbox.Shard("ord_1:confirmed"))
	if err != nil || items.Items["ord_1:confirmed"] != 1 {
		t.Errorf("items %v, %v; want the confirmation", items.Items, err)
	}
}

// A mail is shown as the inbox got it, whichever inbox it is; why it cannot be
// shown is said.
func TestAMailAsItWasSent(t *testing.T) {
	type answer struct {
		Mail    emailBody `json:"mail"`
		AsSent  *AsSent   `json:"as_sent"`
		Missing string    `json:"missing"`
	}
	o := open(t)
	sent, waits := o.write(t, "ord_1", Confirmed, Details{Total: euros(1999)}), o.write(t, "ord_2", Confirmed, Details{Total: euros(100)})
	if err := o.send(t.Context(), sent); err != nil {
		t.Fatal(err)
	}
	letter := o.smtp.got()[0]
	for _, like := range []string{"embedded", "mailpit"} {
		o.inboxOf(o.smtp.inbox(t, like))
		var a answer
		if status := o.get(t, "/api/emails/"+sent, &a); status != http.StatusOK || a.Mail.ID != sent || a.Mail.State != Sent || a.AsSent == nil {
			t.Fatalf("%s: status %d, %+v", like, status, a)
		}
		want := AsSent{
			From: "Cartwheel <" + letter.from + ">", To: []string{letter.name + " <" + letter.to + ">"}, Subject: letter.subject, Text: letter.text, HTML: letter.html,
		}
		if !reflect.DeepEqual(*a.AsSent, want) {
			t.Errorf("%s: shown as %+v, want %+v", like, *a.AsSent, want)
		}
	}
	empty := openMailServer(t)
	for _, tc := range []struct{ name, id, inbox, missing string }{
		{"it waits", waits, empty.inbox(t, "embedded"), "not_sent"},
		{"nobody can be asked", sent, "", "no_inbox"},
		{"the inbox is broken", sent, empty.inbox(t, "broken"), "inbox_away"},
		{"the inbox has lost it", sent, empty.inbox(t, "embedded"), "not_there"},
		{"Mailpit has lost it", sent, empty.inbox(t, "mailpit"), "not_there"},
	} {
		o.inboxOf(tc.inbox)
		var a answer
		if status := o.get(t, "/api/emails/"+tc.id, &a); status != http.StatusOK || a.AsSent != nil || a.Missing != tc.missing {
			t.Errorf("%s: status %d, %+v, want %s", tc.name, status, a, tc.missing)
		}
	}
	var problem struct{ Code string }
	if status := o.get(t, "/api/emails/eml_none", &problem); status != http.StatusNotFound || problem.Code != "email_not_found" {
		t.Errorf("an unknown mail: %d %s", status, problem.Code)
	}
}
