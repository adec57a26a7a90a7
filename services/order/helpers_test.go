package order

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/fault"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox/outboxtest"
	"github.com/cartwheel-shop/cartwheel/pkg/postgres"
	"github.com/cartwheel-shop/cartwheel/pkg/postgres/postgrestest"
	"github.com/cartwheel-shop/cartwheel/pkg/questions"
	"github.com/cartwheel-shop/cartwheel/pkg/saga"
	"github.com/cartwheel-shop/cartwheel/pkg/service"
)

const longEnough = 20 * time.Second

func TestMain(m *testing.M) { postgrestest.Main(m) }

// desk is the order service on a fresh database, with a NATS on which the stock
// is answered, a saga engine that writes down what it is asked, faults, and a
// clock that the test turns. Nothing of it runs by itself.
type desk struct {
	*Service
	sagas *sagas

	mu sync.Mutex
	at time.Time
}

func open(t *testing.T) *desk {
	t.Helper()
	d := &desk{sagas: &sagas{}, at: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	cfg := Config{
		ApprovalThreshold: 50000, ApprovalDeadline: 30 * time.Minute, OrderDeadline: time.Hour, ReservationTTL: 15 * time.Minute, DeliveryDeadline: 72 * time.Hour,
		PaymentTokens: []string{"tok_visa", "tok_declined"},
	}
	cfg.OperatorToken = operatorToken
	log := slog.New(slog.DiscardHandler)
	var err error
	if d.Service, err = New(cfg, service.Deps{Log: log, Now: d.now, Faults: fault.New(log)}); err != nil {
		t.Fatal(err)
	}
	pool := postgrestest.Open(t, outbox.Migrations, postgres.Embedded("order", migrations))
	d.store = NewStore(outbox.Open(pool, "order", outbox.WithFaults(d.faults)), d.now)
	d.engine = NewEngine(d.sagas, Policy{ApprovalThreshold: cfg.ApprovalThreshold})
	return d
}

func (d *desk) now() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at
}

// pass turns the clock.
func (d *desk) pass(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = d.at.Add(by)
}

// ada is who orders, where nothing else is said.
func ada() Customer {
	return Customer{ID: "cus_ada", Name: "Ada Byron", Email: "ada@example.com", Address: Address{Line1: "1 Mill Lane", City: "London", Postcode: "N1 9GU", Country: "GB"}}
}

// placing is an order of two of milk for 2.98 euros, under a key of its own.
func (d *desk) placing(id string) Placing {
	total := events.Money{Amount: 298, Currency: "EUR"}
	return Placing{Key: "key of " + id, BodyHash: []byte("body of " + id), RequestID: "req_1", Order: Order{
		ID: id, Customer: ada(), Channel: Web, Status: Pending, Lines: []events.Line{{SKU: "milk", Quantity: 2, Total: total}}, Total: total,
		PaymentToken: "tok_visa", OrderedAt: d.now(), CreatedAt: d.now(), UpdatedAt: d.now(), Deadline: d.now().Add(time.Hour),
	}}
}

// place stores an order, which change may have changed.
func (d *desk) place(t *testing.T, id string, change ...func(*Placing)) Row {
	t.Helper()
	p := d.placing(id)
	for _, fn := range change {
		fn(&p)
	}
	if _, err := d.store.Place(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	return d.row(t, id)
}

// row is an order as it is stored.
func (d *desk) row(t *testing.T, id string) Row {
	t.Helper()
	o, err := d.store.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// goes records transitions one after the other.
func (d *desk) goes(t *testing.T, id string, statuses ...Status) {
	t.Helper()
	for _, to := range statuses {
		tr := Transition{OrderID: id, To: to, ShipmentID: "shp_1", Carrier: "c", Tracking: "1", Code: "declined", Reason: "because", ApprovalDeadline: d.now()}
		if err := d.store.Record(t.Context(), Recording{Transition: tr, Steps: reserved}); err != nil {
			t.Fatalf("%s to %s: %v", id, to, err)
		}
	}
}

// reserved are the steps of a saga that has begun.
var reserved = []saga.Progress{{Name: "inventory.reserve", State: saga.Done, Attempts: 1}}

// wayTo is how an order gets to a status.
var wayTo = map[Status][]Status{
	Pending: {}, AwaitingApproval: {AwaitingApproval}, Confirmed: {Confirmed}, Shipped: {Confirmed, Shipped},
	Completed: {Confirmed, Shipped, Completed}, Cancelled: {Cancelled}, Rejected: {Rejected},
}

// count is how many rows a table has.
func (d *desk) count(t *testing.T, table string) (n int) {
	t.Helper()
	if err := d.store.db.Pool().QueryRow(t.Context(), `SELECT count(*) FROM `+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// stored is what there is of orders, keys, customers and facts.
func (d *desk) stored(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("%d orders, %d keys, %d customers, %d facts", d.count(t, "orders"), d.count(t, "idempotency_keys"), d.count(t, "customers"), d.count(t, "outbox"))
}

const nothing = "0 orders, 0 keys, 0 customers, 0 facts"

// facts are the facts of an order in the order in which they were written, each
// held against the event contract, and against what no fact may say.
func (d *desk) facts(t *testing.T, orderID string) []events.Envelope {
	t.Helper()
	var list []events.Envelope
	for _, env := range outboxtest.Written(t, d.store.db) {
		if env.Metadata.AggregateID != orderID {
			continue
		}
		list = append(list, env)
		if m := env.Metadata; m.CorrelationID != orderID || m.AggregateVersion != int64(len(list)) {
			t.Errorf("%s has correlation %s and version %d, want %s and %d", env.Type, m.CorrelationID, m.AggregateVersion, orderID, len(list))
		}
		for _, personal := range []string{ada().Name, ada().Email, ada().Address.Line1, ada().Address.Postcode} {
			if strings.Contains(string(env.Data), personal) {
				t.Errorf("%s says %s: %s", env.Type, personal, env.Data)
			}
		}
	}
	return list
}

// told is the names of an order's facts.
func (d *desk) told(t *testing.T, orderID string) string {
	t.Helper()
	var names []string
	for _, env := range d.facts(t, orderID) {
		names = append(names, strings.Split(env.Type, ".")[1])
	}
	return strings.Join(names, " ")
}

// fact is the last fact of an order, which must be a T.
func fact[T events.Payload](t *testing.T, d *desk, orderID string) T {
	t.Helper()
	list := d.facts(t, orderID)
	e, err := events.As[T](list[len(list)-1])
	if err != nil {
		t.Fatal(err)
	}
	return e.Data
}

const operatorToken = "an operator's"

// answer is what the HTTP interface answers.
type answer struct {
	status int
	header http.Header
	body   []byte

	Code   string
	Detail string
	Errors []struct{ Pointer, Detail string }
}

// pointers names the wrong fields.
func (a answer) pointers() string {
	var list []string
	for _, e := range a.Errors {
		list = append(list, e.Pointer)
	}
	return strings.Join(list, " ")
}

// into decodes the answer, which must be of the given status.
func (a answer) into(t *testing.T, status int, v any) {
	t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil || a.status != status {
		t.Fatalf("%d %s (%v), want %d", a.status, a.body, err, status)
	}
}

// call asks the service's HTTP interface as the operator; headers are names and
// values.
func (d *desk) call(t *testing.T, method, path, body string, headers ...string) answer {
	t.Helper()
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+operatorToken)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	d.api().Handler().ServeHTTP(rec, req)
	a := answer{status: rec.Code, header: rec.Header(), body: rec.Body.Bytes()}
	if a.status >= 400 {
		if err := json.Unmarshal(a.body, &a); err != nil {
			t.Fatalf("%s %s: %d %s is no problem: %v", method, path, a.status, a.body, err)
		}
	}
	return a
}

// get reads what must be there.
func (d *desk) get(t *testing.T, path string, v any) {
	t.Helper()
	d.call(t, http.MethodGet, path, "").into(t, http.StatusOK, v)
}

// sell has the stock answered: milk and butter for everybody, cd for channels.
func (d *desk) sell(t *testing.T) {
	t.Helper()
	srv, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(longEnough) {
		t.Fatal("NATS did not start")
	}
	if d.nats, err = nats.Connect(srv.ClientURL()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.nats.Close)
	euros := func(cents int64) events.Money { return events.Money{Amount: cents, Currency: "EUR"} }
	stock := map[string]questions.StockItem{
		"milk":   {SKU: "milk", Price: euros(149), Available: 8000, Listed: true},
		"butter": {SKU: "butter", Price: euros(299), Available: 3, Listed: true},
		"watch":  {SKU: "watch", Price: euros(40000), Available: 10, Listed: true},
		"cd":     {SKU: "cd", Price: euros(0), Available: 1_000_000},
	}
	ctx, stop := context.WithCancel(context.Background())
	var answering sync.WaitGroup
	answering.Go(func() {
		err := questions.Answer(ctx, d.nats, d.log, questions.StockGet, "inventory", func(_ context.Context, r questions.StockRequest) (a questions.StockAnswer, _ error) {
			for _, sku := range r.SKUs {
				if item, ok := stock[sku]; ok {
					a.Items = append(a.Items, item)
				}
			}
			return a, nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); answering.Wait() })
	until(t, "the stock to be answered", func() bool {
		_, err := questions.Ask(t.Context(), d.nats, questions.StockGet, questions.StockRequest{})
		return err == nil
	})
}

// until waits for a condition.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(longEnough)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
