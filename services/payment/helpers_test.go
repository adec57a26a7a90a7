package payment

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

// till is the payment service on a fresh database, without Kafka and Temporal,
// and the bank that it speaks to over HTTP.
type till struct {
	*Service
	bank *bank
}

func open(t *testing.T) *till {
	t.Helper()
	pool := postgrestest.Open(t, outbox.Migrations, postgres.Embedded("payment", migrations))
	b := openBank(t)
	provider, err := newHTTPProvider(b.url, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{ProviderURL: b.url, ProviderTimeout: 5 * time.Second}
	return &till{&Service{cfg: cfg, log: slog.New(slog.DiscardHandler), now: time.Now, store: NewStore(outbox.Open(pool, "payment")), provider: provider}, b}
}

// order is an order of 10 euros, paid with the token.
func order(id, token string) commands.Order {
	return commands.Order{OrderID: id, CustomerID: "cus_1", Channel: "web", Total: events.Money{Amount: 1000, Currency: "EUR"}, PaymentToken: token}
}

// do runs a step by its name: a command, the sweeper, or time that passes.
func (s *till) do(ctx context.Context, name string, o commands.Order) error {
	switch name {
	case "sweep":
		return s.sweepOnce(ctx)
	case "later": // no call that was made is on its way any more
		return s.later(ctx)
	}
	_, err := s.operate(ctx, o, Kind(name))
	return err
}

// later makes an hour pass for all that is stored.
func (s *till) later(ctx context.Context) error {
	_, err := s.store.db.Pool().Exec(ctx, `
		WITH p AS (UPDATE payments SET updated_at = updated_at - interval '1 hour')
		UPDATE intents SET last_at = last_at - interval '1 hour', checked_at = checked_at - interval '1 hour'`)
	return err
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

// state is where an order's payment is.
func (s *till) state(t *testing.T, orderID string) State {
	t.Helper()
	p, err := readPayment(t.Context(), s.store.db.Pool(), orderID, "")
	if err != nil {
		t.Fatal(err)
	}
	return p.State
}

// facts are the facts of an order in the order in which they were written.
func (s *till) facts(t *testing.T, orderID string) []events.Envelope {
	t.Helper()
	return slices.DeleteFunc(outboxtest.Written(t, s.store.db), func(env events.Envelope) bool { return env.Metadata.CorrelationID != orderID })
}

// told is the names of an order's facts.
func (s *till) told(t *testing.T, orderID string) string {
	t.Helper()
	var names []string
	for _, env := range s.facts(t, orderID) {
		names = append(names, strings.TrimPrefix(strings.TrimSuffix(env.Type, ".v1"), "payment."))
	}
	return strings.Join(names, " ")
}

// balances are the accounts of an order: "card holds/owed for them/at the
// provider/sales".
func (s *till) balances(t *testing.T, orderID string) string {
	t.Helper()
	list, err := s.store.Entries(t.Context(), orderID, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	last := map[Account]int64{}
	for _, e := range list {
		last[e.Account] = e.Balance
	}
	return fmt.Sprintf("%d/%d/%d/%d", last[CardHolds], last[HoldsOwed], last[ProviderBalance], last[Sales])
}

// shouldBe is the balances that a state means.
func shouldBe(st State) string {
	switch st {
	case Authorized:
		return "1000/-1000/0/0"
	case Captured:
		return "0/0/1000/-1000"
	}
	return "0/0/0/0"
}

// addsUp asks for the service's own figures, which find entries that do not sum
// to zero, and whatever the bank's books say otherwise.
func (s *till) addsUp(t *testing.T) {
	t.Helper()
	report, err := s.Service.figures(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ledger", "provider"} {
		if wrong, ok := report.Offenders[name]; !ok || len(wrong) > 0 {
			t.Errorf("%s does not add up: %v", name, wrong)
		}
	}
}
