package inventory

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/commands"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox/outboxtest"
	"github.com/cartwheel-shop/cartwheel/pkg/postgres"
	"github.com/cartwheel-shop/cartwheel/pkg/postgres/postgrestest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// warehouse is a store on a fresh database with the whole catalogue, and a clock
// that the test turns.
type warehouse struct {
	*Store
	at time.Time
}

func open(t *testing.T) *warehouse {
	t.Helper()
	pool := postgrestest.Open(t, outbox.Migrations, postgres.Embedded("inventory", migrations))
	w := &warehouse{at: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	w.Store = NewStore(outbox.Open(pool, "inventory"), func() time.Time { return w.at })
	return w
}

// order asks for lines, written as "milk 2".
func (w *warehouse) order(id string, lines ...string) commands.Order {
	o := commands.Order{OrderID: id, CustomerID: "cus_1", Channel: "market", ReserveUntil: w.at.Add(15 * time.Minute)}
	for _, l := range lines {
		var it events.Item
		if _, err := fmt.Sscan(l, &it.SKU, &it.Quantity); err != nil {
			panic(err)
		}
		o.Lines = append(o.Lines, it)
	}
	return o
}

// levels is where the pieces of a SKU are: "on hand/reserved/shipped".
func (w *warehouse) levels(t *testing.T, sku string) string {
	t.Helper()
	st, err := w.Stock(t.Context(), sku)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d/%d/%d", st.OnHand, st.Reserved, st.Shipped)
}

// states is where an order's reservation and shipment are.
func (w *warehouse) states(t *testing.T, orderID string) string {
	t.Helper()
	var reservation, shipment string
	err := w.db.Pool().QueryRow(t.Context(), `
		SELECT coalesce((SELECT state FROM reservations WHERE order_id = $1), 'none'), coalesce((SELECT state FROM shipments WHERE order_id = $1), 'none')`, orderID).
		Scan(&reservation, &shipment)
	if err != nil {
		t.Fatal(err)
	}
	return reservation + ", " + shipment
}

// facts are the facts of an order in the order in which they were written.
func (w *warehouse) facts(t *testing.T, orderID string) []events.Envelope {
	t.Helper()
	return slices.DeleteFunc(outboxtest.Written(t, w.db), func(env events.Envelope) bool { return env.Metadata.CorrelationID != orderID })
}

// told is the names of an order's facts.
func (w *warehouse) told(t *testing.T, orderID string) string {
	t.Helper()
	var names []string
	for _, env := range w.facts(t, orderID) {
		names = append(names, strings.TrimSuffix(env.Type, ".v1"))
	}
	return strings.Join(names, " ")
}

// addsUp asks for the service's own figures, which find any SKU whose pieces are
// not where reservations and shipments say.
func (w *warehouse) addsUp(t *testing.T) {
	t.Helper()
	report, err := w.service(nil).figures(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if wrong := report.Offenders["stock"]; len(wrong) > 0 {
		t.Errorf("stock does not add up: %v", wrong)
	}
}

// service is the inventory service on this store, without its connections.
func (w *warehouse) service(c Courier) *Service {
	return &Service{store: w.Store, courier: c, now: w.now, log: slog.New(slog.DiscardHandler)}
}

// outcome names how a command ended: "done", the code of its refusal, or "again"
// for an error that the saga retries.
func outcome(err error) string {
	if r, ok := commands.AsRefusal(err); ok {
		return string(r.Code)
	}
	if err != nil {
		return "again"
	}
	return "done"
}

// do runs a command by its name.
func (w *warehouse) do(ctx context.Context, name string, o commands.Order) (commands.Result, error) {
	switch name {
	case "reserve":
		return w.Reserve(ctx, o)
	case "release":
		return w.Release(ctx, o)
	case "prepare":
		return w.Prepare(ctx, o)
	case "cancel":
		return w.Cancel(ctx, o)
	case "hand-over":
		_, res, err := w.HandOver(ctx, o)
		return res, err
	case "dispatched":
		return w.Dispatched(ctx, o, "Cartwheel Courier", "CW1")
	case "turned-down":
		return w.TurnedDown(ctx, o, "we do not deliver there")
	case "expire": // the reservation's time passes
		w.at = w.at.Add(time.Hour)
		_, err := w.Expire(ctx)
		return commands.Result{}, err
	case "sold": // somebody else buys what is on hand
		_, err := w.db.Pool().Exec(ctx, `UPDATE stock SET received = received - on_hand, on_hand = 0 WHERE sku = $1`, o.Lines[0].SKU)
		return commands.Result{}, err
	}
	panic("no such command: " + name)
}
