package analytics

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
	"github.com/cartwheel-shop/cartwheel/pkg/bus/bustest"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/figures"
)

// all dead letters.
var all = bus.Filter{}

func TestSalesOverHTTP(t *testing.T) {
	w := openTower(t)
	w.store.sell(t, sale("2026-11-24T00:00:00Z", 1, 5, "EUR"), sale("2026-11-23T12:00:00Z", 2, 298, "USD"), sale("2026-11-23T12:00:00Z", 3, 7, "EUR"), sale("2026-11-22T12:00:00Z", 1, 1, "EUR"))
	var got struct{ Items []saleBody }
	w.get(t, "/api/sales?from=2026-11-23&to=2026-11-24&group=day", &got)
	want := []saleBody{
		{"2026-11-23", 1, 3, events.Money{Amount: 7, Currency: "EUR"}}, {"2026-11-23", 1, 2, events.Money{Amount: 298, Currency: "USD"}},
		{"2026-11-24", 1, 1, events.Money{Amount: 5, Currency: "EUR"}},
	}
	if !slices.Equal(got.Items, want) {
		t.Errorf("sales %v, want %v", got.Items, want)
	}
	var none struct{ Items []saleBody }
	if w.get(t, "/api/sales?from=0000-01-01&to=0001-01-01", &none); none.Items == nil || len(none.Items) != 0 {
		t.Errorf("sales of no day: %v, want an empty list", none.Items)
	}
}

func TestWhatCannotBeAnswered(t *testing.T) {
	w := openTower(t)
	for _, tc := range []struct {
		method, path, body string
		status             int
		code, pointer      string
	}{
		{"GET", "/api/sales", "", 422, "invalid", "from"},
		{"GET", "/api/sales?from=2026-11-23", "", 422, "invalid", "to"},
		{"GET", "/api/sales?from=2026-02-30&to=2026-11-23", "", 422, "invalid", "from"},
		{"GET", "/api/sales?from=2026-1-2&to=2026-11-23", "", 422, "invalid", "from"},
		{"GET", "/api/sales?from=2026-11-23&to=2026-11-23T00:00:00Z", "", 422, "invalid", "to"},
		{"GET", "/api/sales?from=2026-11-23&to=2026-11-22", "", 422, "invalid", "to"},
		{"GET", "/api/sales?from=2026-11-23&to=2026-11-23&group=week", "", 422, "invalid", "group"},
		{"GET", "/api/sales?from=2026-11-23%00&to=2026-11-23", "", 400, "bad_request", ""},
		{"GET", "/api/dead-letters?cursor=nonsense", "", 422, "invalid", "cursor"},
		{"GET", "/api/dead-letters?cursor=bW9vbg", "", 422, "invalid", "cursor"}, // well formed, and of no list of ours
		{"GET", "/api/dead-letters?limit=0", "", 422, "invalid", "limit"},
		{"GET", "/api/dead-letters?reason=bored", "", 422, "invalid", "reason"},
		{"GET", "/api/dead-letters?state=lost", "", 422, "invalid", "state"},
		{"GET", "/api/dead-letters?since=yesterday", "", 422, "invalid", "since"},
		{"GET", "/api/dead-letters/analytics.sales/0/7", "", 404, "dead_letter_not_found", ""},
		{"GET", "/api/dead-letters/analytics.moon/0/0", "", 404, "dead_letter_not_found", ""},
		{"GET", "/api/dead-letters/analytics.sales/0/-1", "", 422, "invalid", "offset"},
		{"GET", "/api/dead-letters/analytics.sales/x/0", "", 422, "invalid", "partition"},
		{"POST", "/api/dead-letters/redrive", "[", 400, "not_json", ""},
		{"POST", "/api/dead-letters/redrive", "{}", 422, "invalid", "/ids"},
		{"POST", "/api/dead-letters/redrive", `{"dry_run": true, "force": true, "rate": 5}`, 422, "invalid", "/ids"},
		{"POST", "/api/dead-letters/redrive", `{"all": true, "rate": 0}`, 422, "invalid", "/rate"},
		{"POST", "/api/dead-letters/redrive", `{"all": true, "topic": "orders"}`, 422, "invalid", "/topic"},
		{"POST", "/api/dead-letters/redrive", `{"reason": "bored"}`, 422, "invalid", "/reason"},
	} {
		a := w.call(t, tc.method, tc.path, tc.body)
		if a.status != tc.status || a.Code != tc.code || a.Detail == "" || tc.pointer != "" && (len(a.Errors) == 0 || a.Errors[0].Pointer != tc.pointer || a.Errors[0].Detail == "") {
			t.Errorf("%s %s %s: %d %s, want %d %s naming %s", tc.method, tc.path, tc.body, a.status, a.body, tc.status, tc.code, tc.pointer)
		}
	}
	for _, call := range []string{"GET /api/dead-letters", "GET /api/dead-letters/analytics.sales/0/0", "POST /api/dead-letters/redrive"} {
		method, path, _ := strings.Cut(call, " ")
		if a := w.callAs(t, "a visitor's", method, path, "{}"); a.status != http.StatusUnauthorized || a.Code != "operator_only" {
			t.Errorf("%s by a visitor: %d %s, want 401 operator_only", call, a.status, a.body)
		}
	}
}

// letters is a page of dead letters.
type letters struct {
	Items      []deadLetterBody
	NextCursor string `json:"next_cursor"`
}

// What a consumer gave up is listed, shown with what is wrong with it, and goes
// back to that consumer when it is redriven, to no other.
func TestDeadLetters(t *testing.T) {
	w := openTower(t)
	w.consume(t)
	newer, nonsense, broken := shipped(t, "ord_1"), shipped(t, "ord_2"), shipped(t, "ord_3")
	newer.Type = "order.shipped.v9"
	broken.Data = []byte(`{"order_id": "ord_3", "units": "two"}`)
	garbage := bustest.Record(t, events.TopicOrders, nonsense)
	garbage.Value = []byte("no event")
	w.write(t, newer)
	bustest.Write(t, w.kafka.Brokers, garbage)
	w.write(t, broken, shipped(t, "ord_4"))
	w.settled(t)

	const ofSales = "/api/dead-letters?group=analytics.sales"
	var list letters
	w.get(t, ofSales, &list)
	said := map[string]string{}
	ids := map[string]string{}
	for _, l := range list.Items {
		said[l.Key] = fmt.Sprintf("%s %s", l.Reason, l.Type)
		ids[l.Key] = l.ID
	}
	if got, want := fmt.Sprint(said), "map[ord_1:unknown_version order.shipped.v9 ord_2:undecodable order.shipped.v1 ord_3:undecodable order.shipped.v1]"; got != want {
		t.Fatalf("dead letters %s, want %s", got, want)
	}
	for query, want := range map[string]int{
		"": 3, "&reason=undecodable": 2, "&reason=failed": 0, "&type=order.shipped": 3, "&type=order.shipped.v9": 1, "&type=order": 0, "&key=ord_3": 1, "&text=no+such+words": 0,
		"&state=dead": 3, "&state=redriven": 0, "&since=2999-01-01T00:00:00Z": 0, "&until=2999-01-01T00:00:00Z": 3,
	} {
		var some letters
		if w.get(t, ofSales+query, &some); some.Items == nil || len(some.Items) != want {
			t.Errorf("%s: %d letters, want %d", query, len(some.Items), want)
		}
	}
	var paged []string
	for cursor, n := "", 0; ; n++ {
		var p letters
		if w.get(t, ofSales+"&limit=2&cursor="+cursor, &p); len(p.Items) > 2 || n > 1 {
			t.Fatalf("page %d has %d letters", n, len(p.Items))
		}
		for _, l := range p.Items {
			paged = append(paged, l.Key)
		}
		if cursor = p.NextCursor; cursor == "" {
			break
		}
	}
	if slices.Sort(paged); !slices.Equal(paged, []string{"ord_1", "ord_2", "ord_3"}) {
		t.Errorf("the pages together have %v", paged)
	}

	var one struct {
		Raw      string
		Payload  any
		Problems []struct{ Pointer, Detail string }
	}
	w.get(t, "/api/dead-letters/"+ids["ord_2"], &one)
	if raw, err := base64.StdEncoding.DecodeString(one.Raw); err != nil || string(raw) != "no event" || one.Payload != nil || len(one.Problems) != 1 {
		t.Errorf("what is no event is shown as %+v (%v)", one, err)
	}
	if w.get(t, "/api/dead-letters/"+ids["ord_3"], &one); one.Payload == nil || !slices.ContainsFunc(one.Problems, func(p struct{ Pointer, Detail string }) bool { return p.Pointer == "/data/units" }) {
		t.Errorf("what breaks its schema is shown with %+v, want /data/units named", one.Problems)
	}

	redrive := func(body string) (out struct {
		Items  []bus.Redriven
		More   bool
		DryRun bool `json:"dry_run"`
	}) {
		t.Helper()
		w.call(t, http.MethodPost, "/api/dead-letters/redrive", body).into(t, http.StatusOK, &out)
		return out
	}
	if got := redrive(`{"group": "analytics.sales", "dry_run": true}`); len(got.Items) != 3 || got.Items[0].Outcome != bus.OutcomeWouldRedrive || !got.DryRun || got.More {
		t.Errorf("a dry run says %+v", got)
	}
	if got := redrive(`{"group": "analytics.sales", "key": "ord_9"}`); got.Items == nil || len(got.Items) != 0 {
		t.Errorf("of none it says %+v, want an empty list", got)
	}
	if got := redrive(fmt.Sprintf(`{"ids": [%q, "analytics.sales/0/99"]}`, ids["ord_2"])); len(got.Items) != 2 || got.Items[0].Outcome == got.Items[1].Outcome {
		t.Errorf("by id it says %+v, want one redriven and one not found", got)
	}
	bustest.Await(t, func() bool {
		w.get(t, ofSales+"&key=ord_2", &list)
		return len(list.Items) == 2
	}, "it to come back, since it is still no event")
	var facts letters
	if w.get(t, "/api/dead-letters?group=analytics.facts&key=ord_2", &facts); len(facts.Items) != 1 {
		t.Errorf("the other consumer has %d letters of it, want the one that it had", len(facts.Items))
	}
	if got := redrive(`{"group": "analytics.sales", "limit": 1}`); len(got.Items) != 1 || !got.More {
		t.Errorf("with a limit it says %+v, want that there are more", got)
	}
}

// Sensors with their newest minutes, the last one open, and what was unusual.
func TestSensorsOverHTTP(t *testing.T) {
	w := openTower(t)
	type body struct {
		Items     []SensorView
		BadFrames int64 `json:"bad_frames"`
	}
	var none body
	if w.get(t, "/api/sensors", &none); none.Items == nil || len(none.Items) != 0 || none.BadFrames != 0 {
		t.Errorf("without sensors: %+v, want an empty list", none)
	}
	quiet, warm := w.store.device(Sensor{"lab", "bench", "probe"}), w.store.device(Sensor{"lab", "cold-room-3", "probe"})
	quiet.now, warm.now = noon.Add(5*time.Minute), noon.Add(5*time.Minute)
	quiet.send(t, quiet.frame(1, read(0, 20), read(1, 22)))
	for minute := range 5 {
		at := float64(60 * minute)
		warm.send(t, warm.frame(int64(minute+1), read(at, 9), read(at+30, 10)))
	}
	w.badFrames.Add(3)
	var got body
	w.get(t, "/api/sensors", &got)
	if len(got.Items) != 2 || got.BadFrames != 3 {
		t.Fatalf("%d sensors, %d bad frames", len(got.Items), got.BadFrames)
	}
	a, b := got.Items[0], got.Items[1]
	if a.Sensor != "lab.bench.probe" || a.Unit != "C" || a.Value != 22 || !a.At.Equal(noon.Add(time.Second)) || len(a.Anomalies) != 0 || a.Anomalies == nil {
		t.Errorf("the quiet one is %+v", a)
	}
	if want := (WindowView{Start: noon, Count: 2, Min: 20, Max: 22, Mean: 21}); len(a.Windows) != 1 || a.Windows[0] != want {
		t.Errorf("its minutes are %+v, want %+v", a.Windows, want)
	}
	if b.Zone != "cold-room-3" || len(b.Windows) != 5 || b.Windows[0].Revision != 1 || b.Windows[4].Revision != 0 || !b.Windows[4].Start.After(b.Windows[3].Start) {
		t.Errorf("the warm one is %+v", b)
	}
	if len(b.Anomalies) != 1 || b.Anomalies[0].Rule != "too_warm" || b.Anomalies[0].Limit != 8 || b.Anomalies[0].Severity != "critical" {
		t.Errorf("what was unusual about it: %+v, want once that it was too warm", b.Anomalies)
	}
}

// The read model is compared with what the log itself says.
func TestSalesAreComparedWithTheLog(t *testing.T) {
	w := openTower(t)
	w.consume(t)
	w.write(t, shipped(t, "ord_1"))
	w.settled(t)
	offenders := func() []string {
		t.Helper()
		var report figures.Report
		w.get(t, "/internal/figures", &report)
		if report.Digests["facts:orders"] == nil {
			t.Errorf("digests %v", report.Digests)
		}
		wrong, ok := report.Offenders["sales"]
		if !ok {
			t.Errorf("nothing is said of sales")
		}
		return wrong
	}
	if wrong := offenders(); len(wrong) != 0 {
		t.Errorf("offenders %v, want none", wrong)
	}
	w.write(t, shipped(t, "ord_2"))
	w.settled(t)
	if wrong := offenders(); len(wrong) != 0 {
		t.Errorf("offenders %v after another order, want none", wrong)
	}
	if _, err := w.store.db.Pool().Exec(t.Context(), `UPDATE sales_daily SET revenue = revenue + 1`); err != nil {
		t.Fatal(err)
	}
	w.store.sell(t, sale("2026-11-20T12:00:00Z", 1, 1, "USD")) // which the log does not have
	wrong := offenders()
	if len(wrong) != 2 || !strings.Contains(wrong[0], "2026-11-20 USD") || !strings.Contains(wrong[1], "2026-11-23 EUR") || !strings.Contains(wrong[1], "597") || !strings.Contains(wrong[1], "596") {
		t.Errorf("offenders %v, want both days with what each side says", wrong)
	}
	var items figures.Items
	total := int64(0)
	for bucket := range figures.Buckets {
		items = figures.Items{}
		w.get(t, fmt.Sprintf("/internal/figures/facts:orders/%d", bucket), &items)
		for _, n := range items.Items {
			total += n
		}
	}
	if total != -2 { // of each order the second version came without a first
		t.Errorf("the keys are followed to %d, want -2", total)
	}
}

// How the brokers stand; one that does not answer is named, and the other is
// still told of.
func TestBrokerFigures(t *testing.T) {
	w := openTower(t)
	w.connect(t)
	if _, err := w.stream(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.nats.Publish("telemetry.lab.bench.probe", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	var got brokerFigures
	bustest.Await(t, func() bool {
		got = brokerFigures{}
		w.get(t, "/internal/brokers", &got)
		return len(got.Streams) == 1 && got.Streams[0].Messages == 1
	}, "the stream to have the frame")
	if got.Streams[0].Name != Stream || !slices.ContainsFunc(got.Topics, func(f bus.TopicFigures) bool { return f.Name == "orders" && f.Partitions == 16 }) || len(got.Missing) != 0 {
		t.Errorf("brokers %+v", got)
	}
	w.nats.Close()
	got = brokerFigures{}
	if w.get(t, "/internal/brokers", &got); !slices.Equal(got.Missing, []string{"nats"}) || len(got.Topics) == 0 {
		t.Errorf("without NATS %+v, want it named and the topics there", got)
	}
}
