package outbox_test

import (
	"context"
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/figures"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox/outboxtest"
)

func pending(t *testing.T, db *outbox.DB) int64 {
	t.Helper()
	n, err := db.Pending(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTrailSaysWhatWasPublished(t *testing.T) {
	db := open(t)
	publish(t, db, confirmed("ord_1", "a"), events.InventoryReleased{OrderID: "ord_1", Reason: "x"}, confirmed("ord_2", "b"))
	for _, published := range []bool{false, true} {
		if published {
			outboxtest.Run(t, db).Await(t, 3)
			waitFor(t, func() bool { return pending(t, db) == 0 })
		}
		rows, err := db.Trail(t.Context(), "ord_1")
		if err != nil || len(rows) != 2 {
			t.Fatalf("got %+v, %v", rows, err)
		}
		for i, want := range []outbox.Row{
			{Seq: 1, Type: "order.confirmed.v1", Topic: events.TopicOrders, Key: "ord_1", Published: published},
			{Seq: 2, Type: "inventory.released.v1", Topic: events.TopicInventory, Key: "ord_1", Published: published},
		} {
			if rows[i].EventID == "" || rows[i].CreatedAt.IsZero() {
				t.Errorf("row without id or time: %+v", rows[i])
			}
			if !strings.Contains(string(rows[i].Payload), rows[i].EventID) {
				t.Errorf("the payload is not the fact's: %s", rows[i].Payload)
			}
			rows[i].EventID, rows[i].CreatedAt, rows[i].Payload = want.EventID, want.CreatedAt, nil
			if !reflect.DeepEqual(rows[i], want) {
				t.Errorf("got %+v, want %+v", rows[i], want)
			}
		}
	}
}

// A row below the cursor that commits late waits like any other.
func TestPendingCountsLateRows(t *testing.T) {
	db := open(t)
	slow, err := db.Pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Rollback(context.Background())
	insert := func(q interface {
		Query(context.Context, string, ...any) (pgx.Rows, error)
	}) {
		t.Helper()
		rows, err := q.Query(t.Context(), `INSERT INTO outbox (shard, event_id, topic, key, headers, payload) VALUES ($1, gen_random_uuid(), 'orders', 'ord_1', '{}',
			'{"event_type":"order.confirmed.v1","event_id":"x","timestamp":"2026-11-23T13:00:00Z","version":"1.0","data":{},"metadata":{"aggregate_id":"ord_1","aggregate_version":1}}')`,
			outbox.Shard("ord_1"))
		if err != nil {
			t.Fatal(err)
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
	insert(slow)
	insert(db.Pool())
	if n := pending(t, db); n != 1 {
		t.Fatalf("%d pending, want the committed one", n)
	}
	ctx, end := context.WithCancel(t.Context())
	log := outboxtest.NewLog()
	ended := make(chan error, 1)
	go func() { ended <- outbox.NewRelay(db, log, quiet).Run(ctx) }()
	log.Await(t, 1)
	waitFor(t, func() bool { return pending(t, db) == 0 })
	end()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if err := slow.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := pending(t, db); n != 1 {
		t.Fatalf("%d pending, want the late one", n)
	}
	outboxtest.Run(t, db).Await(t, 1)
	waitFor(t, func() bool { return pending(t, db) == 0 })
}

func TestReportCondensesVersionsByTopicAndShard(t *testing.T) {
	db := open(t)
	publish(t, db, confirmed("ord_1", "a"), confirmed("ord_1", "b"), confirmed("ord_2", "c"), events.InventoryReleased{OrderID: "ord_1", Reason: "x"})
	report := figures.NewReport()
	if err := db.Report(t.Context(), &report); err != nil {
		t.Fatal(err)
	}
	if report.Values["outbox_pending"] != 4 {
		t.Errorf("pending: got %d, want 4", report.Values["outbox_pending"])
	}
	var orders, stock figures.Digest
	orders.Add(outbox.Shard("ord_1"), 2)
	orders.Add(outbox.Shard("ord_2"), 1)
	stock.Add(outbox.Shard("ord_1"), 1)
	for name, want := range map[string]*figures.Digest{"outbox:orders": &orders, "outbox:inventory": &stock} {
		if got := report.Digests[name]; got == nil || *got != *want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
	items, err := db.FigureItems(t.Context(), "outbox:orders", outbox.Shard("ord_1"))
	if want := map[string]int64{"ord_1": 2}; err != nil || !maps.Equal(items.Items, want) {
		t.Errorf("got %v, %v; want %v", items.Items, err, want)
	}
	if items, err = db.FigureItems(t.Context(), "mails", 1); err != nil || len(items.Items) != 0 {
		t.Errorf("a figure of somebody else: got %v, %v", items.Items, err)
	}
}
