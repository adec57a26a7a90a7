package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
)

func (s *shop) kafka(t testing.TB, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(strings.Split(s.endpoints["kafka"], ",")...))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// envelope is what any client sees in Kafka.
type envelope struct {
	Type     string `json:"event_type"`
	ID       string `json:"event_id"`
	Metadata struct {
		AggregateID string `json:"aggregate_id"`
		Version     int64  `json:"aggregate_version"`
		Correlation string `json:"correlation_id"`
		Causation   string `json:"causation_id"`
	} `json:"metadata"`
}

// A client that knows nothing of ours reads orders: keys, and versions 1, 2, 3 …
// in order, without gaps.
func TestVersionsInKafka(t *testing.T) {
	s := start(t)
	const orders = 30
	for _, id := range s.flood(t, orders) {
		s.ends(t, id)
	}
	c := s.kafka(t, kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	newest, completed, seen := map[string]int64{}, 0, map[string]bool{}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for completed < orders && ctx.Err() == nil {
		c.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			var e envelope
			if err := json.Unmarshal(r.Value, &e); err != nil {
				t.Fatalf("%s: %v", r.Value, err)
			}
			if string(r.Key) != e.Metadata.AggregateID {
				t.Errorf("key %s of an event of %s", r.Key, e.Metadata.AggregateID)
			}
			if seen[e.ID] {
				return // delivered again
			}
			seen[e.ID] = true
			if e.Metadata.Version != newest[e.Metadata.AggregateID]+1 {
				t.Errorf("%s: version %d after %d", e.Metadata.AggregateID, e.Metadata.Version, newest[e.Metadata.AggregateID])
			}
			newest[e.Metadata.AggregateID] = e.Metadata.Version
			if e.Type == "order.completed.v1" {
				completed++
			}
		})
	}
	if completed != orders {
		t.Errorf("%d orders completed in Kafka, want %d", completed, orders)
	}
}

// Every fact on an order's way, whichever service publishes it, belongs to the order
// and to a trace, and names the fact that it is caused by: of the saga's that is
// order.created.
func TestFactsNameTheirCause(t *testing.T) {
	s := start(t)
	id := s.place(t, basket("tok_visa", "GB", line{"milk", 1}))
	s.ends(t, id)
	topics := []string{"orders", "inventory", "shipments", "payments", "notifications"}
	c := s.kafka(t, kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	facts := map[string]envelope{} // by event id
	types := map[string]bool{}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for !(types["order.completed.v1"] && types["inventory.reserved.v1"] && types["payment.captured.v1"] && types["shipment.delivered.v1"] && types["notification.email_sent.v1"]) && ctx.Err() == nil {
		c.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			var e envelope
			if json.Unmarshal(r.Value, &e) != nil || e.Metadata.Correlation != id {
				return
			}
			facts[e.ID], types[e.Type] = e, true
			if !slices.ContainsFunc(r.Headers, func(h kgo.RecordHeader) bool { return h.Key == "traceparent" }) {
				t.Errorf("%s carries no traceparent", e.Type)
			}
		})
	}
	for _, e := range facts {
		cause := facts[e.Metadata.Causation].Type
		switch {
		case e.Type == "order.created.v2":
			if e.Metadata.Causation != "" {
				t.Errorf("order.created is caused by %s", e.Metadata.Causation)
			}
		case strings.HasPrefix(e.Type, "notification."):
			if cause != "order.confirmed.v1" && cause != "order.shipped.v1" {
				t.Errorf("%s is caused by %q, want order.confirmed or order.shipped", e.Type, cause)
			}
		default:
			if cause != "order.created.v2" {
				t.Errorf("%s is caused by %q, want order.created.v2", e.Type, cause)
			}
		}
	}
	if len(facts) < 8 {
		t.Errorf("%d facts on the order's way: %v", len(facts), types)
	}
}

// What does not belong into a topic goes to the dead letters with its bytes and a
// reason, or is skipped, and the partition goes on.
func TestForeignMessages(t *testing.T) {
	s := start(t)
	good := func(typ, version, data string) string {
		return fmt.Sprintf(`{"event_type":%q,"event_id":%q,"timestamp":"2026-01-02T03:04:05Z","version":%q,"data":%s,"metadata":{"producer":"test","trace_id":"","correlation_id":"","causation_id":"","aggregate_id":"ord_x","aggregate_version":1}}`,
			typ, uuid.NewString(), version, data)
	}
	created := `{"order_id":"ord_x","customer_id":"cus_x","channel":"web","ordered_at":"2026-01-02T03:04:05Z","lines":[{"sku":"milk","quantity":1,"total":{"amount":1,"currency":"EUR"}}],"total":{"amount":1,"currency":"EUR"}%s}`
	valid := good("order.created.v2", "2.0", fmt.Sprintf(created, ""))
	cases := []struct{ name, value, reason string }{
		{"truncated", valid[:len(valid)/2], "undecodable"},
		{"not JSON", "\x00\x01 no JSON", "undecodable"},
		{"unknown newer version", good("order.created.v9", "9.0", "{}"), "unknown_version"},
		{"wrong field type", good("order.created.v2", "2.0", `{"order_id":7}`), "undecodable"},
		{"unknown type", good("order.teleported.v1", "1.0", "{}"), ""},
		{"an order of others", good("order.confirmed.v1", "1.0", `{"order_id":"ord_x","customer_id":"cus_x","channel":"web","total":{"amount":1,"currency":"EUR"}}`), ""},
		{"900 KiB", good("order.created.v2", "2.0", fmt.Sprintf(created, `,"padding":"`+strings.Repeat("x", 900<<10)+`"`)), ""},
	}
	c := s.kafka(t, kgo.ProducerBatchMaxBytes(2<<20))
	for _, tc := range cases {
		r := &kgo.Record{Topic: "orders", Key: []byte("ord_x"), Value: []byte(tc.value)}
		if err := c.ProduceSync(context.Background(), r).FirstErr(); err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
	}
	// The partition goes on: enough orders to reach each of its sixteen.
	for _, id := range s.flood(t, 40) {
		if got := s.ends(t, id); got != "completed" {
			t.Errorf("%s ends %s", id, got)
		}
	}
	// Mails look at no order.created, so what is wrong with one is not their matter.
	for group, concern := range map[string][]string{
		"order.start-saga":   {"truncated", "not JSON", "unknown newer version", "wrong field type"},
		"analytics.facts":    {"truncated", "not JSON", "unknown newer version", "wrong field type"},
		"notification.mails": {"truncated", "not JSON"},
	} {
		letters := map[string]string{}
		within(t, 30*time.Second, "the dead letters of "+group, func() bool {
			letters = map[string]string{}
			for _, l := range s.call(t, http.MethodGet, "/api/dead-letters?limit=200&group="+group, nil).items() {
				raw, err := base64.StdEncoding.DecodeString(l["raw"].(string))
				if err != nil {
					t.Fatal(err)
				}
				letters[string(raw)] = l["reason"].(string)
			}
			return len(letters) >= len(concern)
		})
		for _, tc := range cases {
			want := ""
			if slices.Contains(concern, tc.name) {
				want = tc.reason
			}
			if got := letters[tc.value]; got != want {
				t.Errorf("%s: %s has reason %q, want %q", group, tc.name, got, want)
			}
		}
	}
	s.holds(t) // what others write breaks no promise of ours
}

// order.created delivered again after the order has ended changes nothing.
func TestCreatedAgainAfterTheEnd(t *testing.T) {
	s := start(t)
	id := s.place(t, basket("tok_visa", "GB", line{"milk", 1}))
	s.ends(t, id)
	c := s.kafka(t, kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var created *kgo.Record
	for created == nil && ctx.Err() == nil {
		c.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			if string(r.Key) == id && bytes.Contains(r.Value, []byte("order.created.v2")) {
				created = r
			}
		})
	}
	if created == nil {
		t.Fatal("order.created is not in Kafka")
	}
	again := &kgo.Record{Topic: "orders", Key: created.Key, Value: created.Value, Headers: created.Headers}
	if err := c.ProduceSync(ctx, again).FirstErr(); err != nil {
		t.Fatal(err)
	}
	other := s.place(t, basket("tok_visa", "GB", line{"milk", 1}))
	s.ends(t, other)
	if charges, _, _, _ := s.charges(t, id); charges != 1 {
		t.Errorf("%v charges, want 1", charges)
	}
	if _, reserved, shipped := s.stock(t, "milk"); reserved != 0 || shipped != 2 {
		t.Errorf("reserved %v, shipped %v; want 0 and 2", reserved, shipped)
	}
	s.holds(t)
}
