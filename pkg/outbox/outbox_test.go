package outbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox/outboxtest"
	"github.com/cartwheel-shop/cartwheel/pkg/postgres/postgrestest"
)

func open(t *testing.T, opts ...outbox.Option) *outbox.DB {
	t.Helper()
	return outbox.Open(postgrestest.Open(t, outbox.Migrations), "order", opts...)
}

func confirmed(id, customer string) events.OrderConfirmed {
	return events.OrderConfirmed{OrderID: id, CustomerID: customer, Channel: "web", Total: events.Money{Amount: 100, Currency: "EUR"}}
}

func publish(t *testing.T, db *outbox.DB, payloads ...events.Payload) {
	t.Helper()
	if err := db.Tx(t.Context(), func(tx outbox.Tx) error {
		tx.Publish(payloads...)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, db *outbox.DB, sql string, args ...any) (n int) {
	t.Helper()
	if err := db.Pool().QueryRow(t.Context(), sql, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAFactIsAnEnvelopeWithItsVersionKeyAndHeaders(t *testing.T) {
	otel.SetTextMapPropagator(propagation.TraceContext{})
	at := time.Date(2026, 11, 23, 14, 0, 0, 5_000_000, time.FixedZone("CET", 3600))
	db := open(t, outbox.WithClock(func() time.Time { return at }))
	log := outboxtest.Run(t, db)

	cause := events.Envelope{ID: "cause-1", Metadata: events.Metadata{CorrelationID: "ord_1"}}
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{0xab, 1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	ctx := trace.ContextWithSpanContext(events.WithCause(t.Context(), cause), span)
	err := db.Tx(ctx, func(tx outbox.Tx) error {
		tx.Publish(confirmed("ord_1", `cus_1 "aggregate_version":0}}`), confirmed("ord_1", "cus_1"))
		tx.Publish(events.InventoryReleased{OrderID: "ord_1", Reason: "cancelled"})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	facts := log.Await(t, 3)
	byTopic := map[string][]outboxtest.Fact{}
	for _, f := range facts {
		byTopic[f.Topic] = append(byTopic[f.Topic], f)
	}
	orders, stock := byTopic[events.TopicOrders], byTopic[events.TopicInventory]
	if len(orders) != 2 || len(stock) != 1 {
		t.Fatalf("got %d facts on orders and %d on inventory, want 2 and 1", len(orders), len(stock))
	}
	for i, f := range orders {
		want := events.Metadata{
			Producer: "order", TraceID: span.TraceID().String(), CorrelationID: "ord_1", CausationID: "cause-1", AggregateID: "ord_1", AggregateVersion: int64(i + 1),
		}
		if f.Envelope.Metadata != want {
			t.Errorf("metadata %d: got %+v, want %+v", i, f.Envelope.Metadata, want)
		}
		if f.Key != "ord_1" || f.Envelope.Type != "order.confirmed.v1" || f.Envelope.Version != "1.0" {
			t.Errorf("got key %s, type %s, version %s", f.Key, f.Envelope.Type, f.Envelope.Version)
		}
		for name, want := range map[string]string{
			"ce_id": f.Envelope.ID, "ce_type": "order.confirmed.v1", "ce_source": "/order", "ce_specversion": "1.0", "ce_subject": "ord_1",
			"ce_time": "2026-11-23T13:00:00.005Z", "content-type": "application/json",
			"traceparent": "00-" + span.TraceID().String() + "-" + span.SpanID().String() + "-01",
		} {
			if f.Headers[name] != want {
				t.Errorf("header %s: got %q, want %q", name, f.Headers[name], want)
			}
		}
		if !strings.Contains(string(f.Raw), `"timestamp":"2026-11-23T13:00:00.005Z"`) {
			t.Errorf("the time is not in UTC: %s", f.Raw)
		}
	}
	if v := stock[0].Envelope.Metadata.AggregateVersion; v != 1 {
		t.Errorf("the same key in another topic has version %d, want 1", v)
	}
	// The version goes where it belongs even if the body contains its likeness.
	var body events.OrderConfirmed
	if err := json.Unmarshal(orders[0].Envelope.Data, &body); err != nil || body.CustomerID != `cus_1 "aggregate_version":0}}` {
		t.Errorf("the body was changed: %s, %v", orders[0].Envelope.Data, err)
	}
	if ids := []string{orders[0].Envelope.ID, orders[1].Envelope.ID}; ids[0] >= ids[1] || ids[0][14] != '7' {
		t.Errorf("event ids %v are not ascending UUIDv7", ids)
	}
}

func TestFactsAndRowsCommitTogetherOrNotAtAll(t *testing.T) {
	db := open(t)
	if _, err := db.Pool().Exec(t.Context(), `CREATE TABLE orders (id text PRIMARY KEY DEFERRABLE INITIALLY DEFERRED)`); err != nil {
		t.Fatal(err)
	}
	place := func(ctx context.Context, id string, after func() error) error {
		return db.Tx(ctx, func(tx outbox.Tx) error {
			if _, err := tx.Exec(ctx, `INSERT INTO orders VALUES ($1)`, id); err != nil {
				return err
			}
			tx.Publish(confirmed(id, "cus_1"))
			return after()
		})
	}
	well := func() error { return nil }
	if err := place(t.Context(), "first", well); err != nil {
		t.Fatal(err)
	}
	refused := errors.New("refused")
	ended, end := context.WithCancel(t.Context())
	tests := map[string]func() error{
		"the function refuses":  func() error { return place(t.Context(), "refused", func() error { return refused }) },
		"the commit fails":      func() error { return place(t.Context(), "first", well) },
		"the context has ended": func() error { return place(ended, "ended", func() error { end(); return nil }) },
		"the function panics": func() (err error) {
			defer func() { err = fmt.Errorf("panic: %v", recover()) }()
			return place(t.Context(), "panicked", func() error { panic("bug") })
		},
	}
	for name, do := range tests {
		t.Run(name, func(t *testing.T) {
			if err := do(); err == nil {
				t.Fatal("no error")
			}
			if rows, facts := count(t, db, `SELECT count(*) FROM orders`), count(t, db, `SELECT count(*) FROM outbox`); rows != 1 || facts != 1 {
				t.Fatalf("%d rows and %d facts, want one of each", rows, facts)
			}
		})
	}
	publish(t, db, confirmed("first", "cus_2"))
	if v := count(t, db, `SELECT version FROM outbox_keys WHERE key = 'first'`); v != 2 {
		t.Fatalf("version %d after a rollback, want 2: no gaps", v)
	}
	if n := db.Pool().Stat().AcquiredConns(); n != 0 {
		t.Fatalf("%d connections were not given back", n)
	}
}

func TestWhatCanNeverBeSentFailsTheTransaction(t *testing.T) {
	db := open(t)
	var tooLarge *outbox.TooLargeError
	var unknown *outbox.UnknownEventError
	var noKey *outbox.NoKeyError
	tests := map[string]struct {
		payload events.Payload
		as      any
	}{
		"too large":          {confirmed("ord_1", strings.Repeat("x", outbox.MaxPayload)), &tooLarge},
		"of no topic":        {foreign{}, &unknown},
		"without a key":      {confirmed("", "cus_1"), &noKey},
		"of no JSON":         {unencodable{}, new(*json.UnsupportedTypeError)},
		"too large after \"": {confirmed("ord_1", strings.Repeat(`"`, outbox.MaxPayload/2)), &tooLarge},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := db.Tx(t.Context(), func(tx outbox.Tx) error {
				tx.Publish(confirmed("ord_2", "cus_1"), tt.payload)
				return nil
			})
			if !errors.As(err, tt.as) {
				t.Fatalf("got %v, want a %T", err, tt.as)
			}
			if n := count(t, db, `SELECT count(*) FROM outbox`); n != 0 {
				t.Fatalf("%d facts were written", n)
			}
		})
	}
	publish(t, db, confirmed("ord_1", strings.Repeat("x", 900<<10))) // large, but it can be sent
}

type foreign struct{}

func (foreign) EventName() string   { return "cart.abandoned" }
func (foreign) EventVersion() int   { return 1 }
func (foreign) AggregateID() string { return "cart_1" }

type unencodable struct {
	events.OrderConfirmed
	C chan int
}

func (unencodable) AggregateID() string { return "ord_1" }

func TestSavepoints(t *testing.T) {
	db := open(t)
	log := outboxtest.Run(t, db)
	failed := errors.New("not this part")
	err := db.Tx(t.Context(), func(tx outbox.Tx) error {
		tx.Publish(confirmed("ord_1", "before"))
		if err := pgx.BeginFunc(t.Context(), tx, func(inner pgx.Tx) error {
			tx.Publish(confirmed("ord_1", "given up"))
			if err := pgx.BeginFunc(t.Context(), inner, func(innermost pgx.Tx) error {
				innermost.(outbox.Tx).Publish(confirmed("ord_1", "given up with its parent"))
				return nil
			}); err != nil {
				return err
			}
			return failed
		}); !errors.Is(err, failed) {
			return fmt.Errorf("got %w", err)
		}
		if err := pgx.BeginFunc(t.Context(), tx, func(pgx.Tx) error {
			tx.Publish(confirmed("ord_1", "kept"))
			return nil
		}); err != nil {
			return err
		}
		tx.Publish(confirmed("ord_1", "after"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := customers(log.Await(t, 3)), []string{"1:before", "2:kept", "3:after"}; !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

// customers shows facts of orders as version and customer.
func customers(facts []outboxtest.Fact) (out []string) {
	for _, f := range facts {
		var body events.OrderConfirmed
		if err := json.Unmarshal(f.Envelope.Data, &body); err != nil {
			out = append(out, err.Error())
			continue
		}
		out = append(out, fmt.Sprintf("%d:%s", f.Envelope.Metadata.AggregateVersion, body.CustomerID))
	}
	return out
}

func TestTheFunctionCannotEndTheTransactionItself(t *testing.T) {
	db := open(t)
	err := db.Tx(t.Context(), func(tx outbox.Tx) error {
		if err := tx.Commit(t.Context()); err == nil {
			t.Error("committed without the facts")
		}
		if err := tx.Rollback(t.Context()); err == nil {
			t.Error("rolled back under the helper")
		}
		tx.Publish(confirmed("ord_1", "cus_1"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := count(t, db, `SELECT count(*) FROM outbox`); n != 1 {
		t.Fatalf("%d facts, want 1", n)
	}
}

func TestPublishAfterTheEndPanics(t *testing.T) {
	db := open(t)
	for name, end := range map[string]error{"after a commit": nil, "after a rollback": errors.New("no")} {
		t.Run(name, func(t *testing.T) {
			var kept outbox.Tx
			_ = db.Tx(t.Context(), func(tx outbox.Tx) error { kept = tx; return end })
			defer func() {
				if recover() == nil {
					t.Error("the fact was lost without a word")
				}
			}()
			kept.Publish(confirmed("ord_1", "cus_1"))
		})
	}
}

// Transactions that publish to the same keys in opposite orders would deadlock if
// counters were locked in the order of publishing.
func TestWritersOfTheSameKeysDoNotDeadlock(t *testing.T) {
	db := open(t)
	log := outboxtest.Run(t, db)
	const writers, rounds = 8, 25
	keys := []string{"ord_1", "ord_2", "ord_3", "ord_4", "ord_5"}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 1))
			for range rounds {
				err := db.Tx(t.Context(), func(tx outbox.Tx) error {
					for _, i := range random.Perm(len(keys)) {
						tx.Publish(confirmed(keys[i], "cus_1"))
					}
					return nil
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	facts := log.Await(t, writers*rounds*len(keys))
	inOrder(t, facts)
	if len(facts) != writers*rounds*len(keys) {
		t.Fatalf("%d facts, want %d", len(facts), writers*rounds*len(keys))
	}
}

// inOrder checks that versions of each key appear first as 1, 2, 3.
func inOrder(t *testing.T, facts []outboxtest.Fact) {
	t.Helper()
	newest := map[string]int64{}
	for _, f := range facts {
		k, v := f.Topic+"/"+f.Key, f.Envelope.Metadata.AggregateVersion
		if v > newest[k]+1 {
			t.Fatalf("%s: version %d after %d", k, v, newest[k])
		}
		newest[k] = max(newest[k], v)
	}
}
