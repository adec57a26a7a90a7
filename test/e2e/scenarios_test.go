package e2e

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

// Every way that an order can go, on the whole system: its status, its mails, and
// that an order which did not go through holds neither stock nor money.
func TestScenarios(t *testing.T) {
	s := start(t, "APPROVAL_DEADLINE=8s")
	expensive := line{"stand-mixer", 2} // above the threshold of 500.00
	for _, tc := range []struct {
		name    string
		body    map[string]any
		before  func(t *testing.T) (goOn func()) // holds up something before the order is placed
		refused string                           // there is no order, because of this code
		then    func(t *testing.T, id string)
		status  string
		mails   []string
		reason  string
	}{
		{name: "all well", body: basket("tok_visa", "GB", line{"milk", 2}, line{"peas", 1}), status: "completed", mails: []string{"confirmed", "shipped"}},
		{name: "card declined", body: basket("tok_declined", "GB", line{"milk", 1}), status: "rejected", mails: []string{"rejected"}, reason: "declined"},
		{name: "not enough money", body: basket("tok_insufficient_funds", "GB", line{"milk", 1}), status: "rejected", mails: []string{"rejected"}, reason: "not enough money"},
		{name: "capture refused", body: basket("tok_capture_fails", "GB", line{"milk", 1}), status: "rejected", mails: []string{"rejected"}, reason: "release the money"},
		{name: "card that times out", body: basket("tok_timeout_once", "GB", line{"milk", 1}), status: "completed", mails: []string{"confirmed", "shipped"}},
		{name: "slow card", body: basket("tok_slow", "GB", line{"milk", 1}), status: "completed", mails: []string{"confirmed", "shipped"}},
		{name: "courier refuses", body: basket("tok_visa", "ZZ", line{"milk", 1}), status: "rejected", mails: []string{"confirmed", "refunded"}, reason: "do not deliver"},
		{name: "out of stock", body: basket("tok_visa", "GB", line{"milk", 10_000}), refused: "out_of_stock"},
		{name: "out of stock by losing a race", body: basket("tok_visa", "GB", line{"coffee-grinder", 1}), before: s.takesAllFirst("coffee-grinder"),
			status: "rejected", mails: []string{"rejected"}, reason: "left"},
		{name: "approval granted", body: basket("tok_visa", "GB", expensive), status: "completed", mails: []string{"confirmed", "shipped"},
			then: func(t *testing.T, id string) {
				s.becomes(t, id, "awaiting_approval")
				if a := s.call(t, http.MethodPost, "/api/orders/"+id+"/approve", map[string]any{}); a.status != http.StatusAccepted {
					t.Errorf("approve answered %d: %s", a.status, a.raw)
				}
				if a := s.call(t, http.MethodPost, "/api/orders/"+id+"/approve", map[string]any{}); a.status != http.StatusConflict || a.code() != "order_state" {
					t.Errorf("a second approve answered %d: %s", a.status, a.raw)
				}
			}},
		{name: "approval refused", body: basket("tok_visa", "GB", expensive), status: "rejected", mails: []string{"rejected"}, reason: "too good to be true",
			then: func(t *testing.T, id string) {
				s.becomes(t, id, "awaiting_approval")
				if a := s.call(t, http.MethodPost, "/api/orders/"+id+"/reject", map[string]any{"reason": "too good to be true"}); a.status != http.StatusAccepted {
					t.Errorf("reject answered %d: %s", a.status, a.raw)
				}
			}},
		{name: "approval expired", body: basket("tok_visa", "GB", expensive), status: "rejected", mails: []string{"rejected"}, reason: "in time",
			then: func(t *testing.T, id string) {
				s.becomes(t, id, "rejected")
				if a := s.call(t, http.MethodPost, "/api/orders/"+id+"/reject", map[string]any{}); a.status != http.StatusConflict || a.code() != "order_state" {
					t.Errorf("reject after the deadline answered %d: %s", a.status, a.raw)
				}
			}},
		{name: "cancelled before its saga exists", body: basket("tok_visa", "GB", line{"milk", 1}), status: "cancelled", mails: []string{"cancelled"}, reason: "changed my mind",
			before: func(t *testing.T) func() { return s.locked(t, "order", `LOCK TABLE outbox_cursors`) }, // no fact is sent, so nothing starts it
			then:   func(t *testing.T, id string) { cancel(t, s, id, http.StatusAccepted) }},
		{name: "cancelled before capture", body: basket("tok_slow", "GB", line{"milk", 1}), status: "cancelled", mails: []string{"cancelled"},
			then: func(t *testing.T, id string) {
				awaitStep(t, s, id, "payment.authorize")
				cancel(t, s, id, http.StatusAccepted)
			}},
		{name: "cancelled while the money is taken", body: basket("tok_slow", "GB", line{"milk", 1}), status: "cancelled", mails: []string{"cancelled"},
			then: func(t *testing.T, id string) {
				awaitStep(t, s, id, "payment.capture")
				cancel(t, s, id, http.StatusAccepted)
			}},
		{name: "cancelled after capture", body: basket("tok_slow", "GB", line{"milk", 1}), status: "cancelled", mails: []string{"cancelled", "confirmed"}, reason: "changed my mind",
			then: func(t *testing.T, id string) {
				awaitStep(t, s, id, "payment.capture")
				goOn := s.locked(t, "order", `SELECT FROM orders WHERE id = $1 FOR UPDATE`, id) // confirmed is not recorded, so dispatch is not reached
				s.waits(t, "order", 1)
				for range 4 { // longer than the saga may record something before it listens again
					cancel(t, s, id, http.StatusServiceUnavailable)
				}
				goOn()
			}},
		{name: "cancelled after dispatch", body: basket("tok_visa", "GB", line{"milk", 1}), status: "completed", mails: []string{"confirmed", "shipped"},
			then: func(t *testing.T, id string) {
				s.becomes(t, id, "shipped", "completed")
				cancel(t, s, id, http.StatusConflict)
			}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			goOn := func() {}
			if tc.before != nil {
				goOn = tc.before(t)
			}
			if tc.refused != "" {
				if a := s.call(t, http.MethodPost, "/api/orders", tc.body, "Idempotency-Key", uuid.NewString()); a.status != http.StatusConflict || a.code() != tc.refused {
					t.Errorf("answered %d %s, want %s", a.status, a.raw, tc.refused)
				}
				return
			}
			id := s.place(t, tc.body)
			if tc.then != nil {
				tc.then(t, id)
			}
			goOn()
			if got := s.ends(t, id); got != tc.status {
				t.Errorf("ends %s, want %s", got, tc.status)
			}
			got := s.mails(t, id, len(tc.mails))
			slices.Sort(got)
			if !slices.Equal(got, tc.mails) {
				t.Errorf("mails %v, want %v", got, tc.mails)
			}
			o := s.call(t, http.MethodGet, "/api/orders/"+id, nil).body
			if reason, _ := o["reason"].(string); !strings.Contains(reason, tc.reason) {
				t.Errorf("reason %q, want one that says %q", reason, tc.reason)
			}
			_, captured, refunded, authorized := s.charges(t, id)
			if tc.status == "completed" {
				if want := o["total"].(map[string]any)["amount"]; captured-refunded != want {
					t.Errorf("the provider has %v of the order's %v", captured-refunded, want)
				}
			} else if captured != refunded || authorized != 0 {
				t.Errorf("the provider still holds money: captured %v, refunded %v, set aside %v", captured, refunded, authorized)
			}
		})
	}
	t.Cleanup(func() {
		if _, reserved, _ := s.stock(t, "milk"); reserved != 0 {
			t.Errorf("%v of milk are still reserved", reserved)
		}
		s.holds(t)
	})
}

// locked runs a statement in a service's database, whose locks are held until goOn
// is called: so a test stands between two steps of the shop.
func (s *shop) locked(t *testing.T, database, statement string, args ...any) (goOn func()) {
	t.Helper()
	ctx := context.Background()
	tx, err := s.database(t, database).Begin(ctx)
	if err == nil {
		_, err = tx.Exec(ctx, statement, args...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() { _ = tx.Rollback(ctx) } // once more does no harm
}

// waits waits until as many statements in a service's database wait for a row that
// the test holds.
func (s *shop) waits(t *testing.T, database string, n int) {
	t.Helper()
	conn := s.database(t, database)
	within(t, 30*time.Second, "a statement in "+database+" to wait", func() bool {
		var have int
		err := conn.QueryRow(context.Background(), `
			SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock' AND wait_event IN ('transactionid', 'tuple')`, database).Scan(&have)
		return err == nil && have >= n
	})
}

// takesAllFirst holds up the stock of a product and lets another order ask for
// all of it: whoever comes behind, while it still seems to be there, comes too
// late. The other cannot pay for it, so that later tests find it again.
func (s *shop) takesAllFirst(sku string) func(t *testing.T) func() {
	return func(t *testing.T) func() {
		goOn := s.locked(t, "inventory", `SELECT FROM stock WHERE sku = $1 FOR UPDATE`, sku)
		onHand, _, _ := s.stock(t, sku)
		a := s.call(t, http.MethodPost, "/api/channel-orders", map[string]any{
			"channel": "race", "external_id": uuid.NewString(), "ordered_at": time.Now().UTC(),
			"customer": map[string]any{"name": "Ada Byron", "email": "ada@example.com"}, "payment_token": "tok_declined",
			"lines": []any{map[string]any{"sku": sku, "quantity": onHand, "total": map[string]any{"amount": 100, "currency": "EUR"}}},
		})
		if a.status != http.StatusAccepted {
			t.Fatalf("the other order answered %d: %s", a.status, a.raw)
		}
		s.waits(t, "inventory", 1)
		return func() { s.waits(t, "inventory", 2); goOn() }
	}
}

func cancel(t *testing.T, s *shop, id string, want int) {
	t.Helper()
	a := s.call(t, http.MethodPost, "/api/orders/"+id+"/cancel", map[string]any{"reason": "changed my mind"})
	if a.status != want || want == http.StatusConflict && a.code() != "order_state" {
		t.Errorf("cancel answered %d %s, want %d", a.status, a.raw, want)
	}
}

// awaitStep waits until a step of the order's saga runs.
func awaitStep(t *testing.T, s *shop, id, name string) {
	t.Helper()
	within(t, 30*time.Second, name+" of "+id+" to run", func() bool { return stepIs(t, s, id, name, "running") })
}

func stepIs(t *testing.T, s *shop, id, name, state string) bool {
	t.Helper()
	steps, _ := s.call(t, http.MethodGet, "/api/orders/"+id, nil).body["steps"].([]any)
	return slices.ContainsFunc(steps, func(st any) bool {
		step, _ := st.(map[string]any)
		return step["name"] == name && step["state"] == state
	})
}

// A card that times out after charging is charged once.
func TestCardThatTimesOutIsChargedOnce(t *testing.T) {
	s := start(t)
	id := s.place(t, basket("tok_timeout_once", "GB", line{"gouda", 1}))
	if got := s.ends(t, id); got != "completed" {
		t.Fatalf("ends %s", got)
	}
	if charges, captured, _, _ := s.charges(t, id); charges != 1 || captured != 649 {
		t.Errorf("the provider's books: %v charges, %v captured; want 1 and 649", charges, captured)
	}
	for _, st := range s.call(t, http.MethodGet, "/api/orders/"+id, nil).body["steps"].([]any) {
		if st := st.(map[string]any); st["name"] == "payment.capture" && st["attempts"].(float64) < 2 {
			t.Errorf("capture took %v attempts; the first should have timed out", st["attempts"])
		}
	}
	s.holds(t)
}

// One key is one order, however often and however concurrently it is sent.
func TestOneKeyIsOneOrder(t *testing.T) {
	s := start(t)
	// Newest first; the shop may have had orders before.
	newest := func() (ids []any) {
		for _, o := range s.call(t, http.MethodGet, "/api/orders", nil).items() {
			ids = append(ids, o["order_id"])
		}
		return ids
	}
	before := newest()
	key := uuid.NewString()
	body := basket("tok_visa", "GB", line{"butter", 1})
	ids := make(chan string, 5)
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			for {
				a, err := s.try(http.MethodPost, "/api/orders", body, "Idempotency-Key", key)
				switch {
				case err != nil:
					t.Error(err)
					return
				case a.status == http.StatusConflict && a.code() == "idempotency_key_in_flight":
					continue // the first is still in flight
				case a.status != http.StatusAccepted:
					t.Errorf("answered %d: %s", a.status, a.raw)
					return
				}
				ids <- a.body["order_id"].(string)
				return
			}
		})
	}
	wg.Wait()
	close(ids)
	first := ""
	for id := range ids {
		if first == "" {
			first = id
		}
		if id != first {
			t.Errorf("two orders for one key: %s and %s", first, id)
		}
	}
	s.ends(t, first)
	after := newest()
	if after[0] != first {
		t.Errorf("the newest order is %v, want %s", after[0], first)
	}
	if len(after) > 1 && (len(before) == 0 || after[1] != before[0]) {
		t.Errorf("the order before it is %v: more than one was made", after[1])
	}
}

// 200 shoppers race for 50 pieces: exactly 50 are sold.
func TestRaceForTheLastPieces(t *testing.T) {
	s := start(t)
	var wg sync.WaitGroup
	ids := make(chan string, 200)
	for range 200 {
		wg.Go(func() {
			a, err := s.try(http.MethodPost, "/api/orders", basket("tok_visa", "GB", line{"truffle-box", 1}), "Idempotency-Key", uuid.NewString())
			switch {
			case err != nil:
				t.Error(err)
			case a.status == http.StatusAccepted:
				ids <- a.body["order_id"].(string)
			case a.status != http.StatusConflict || a.code() != "out_of_stock":
				t.Errorf("answered %d: %s", a.status, a.raw)
			}
		})
	}
	wg.Wait()
	close(ids)
	sold := 0
	for id := range ids {
		if s.ends(t, id) == "completed" {
			sold++
		}
	}
	if onHand, reserved, shipped := s.stock(t, "truffle-box"); sold != 50 || onHand != 0 || reserved != 0 || shipped != 50 {
		t.Errorf("%d orders completed; on hand %v, reserved %v, shipped %v; want 50 sold and shipped", sold, onHand, reserved, shipped)
	}
	if a := s.call(t, http.MethodPost, "/api/orders", basket("tok_visa", "GB", line{"truffle-box", 1}), "Idempotency-Key", uuid.NewString()); a.status != http.StatusConflict || a.code() != "out_of_stock" {
		t.Errorf("an order for what is sold out answered %d: %s", a.status, a.raw)
	}
	s.holds(t)
}

// A reservation that expires while the provider is away takes its stock again when
// it can, and else the order is rejected.
func TestReservationExpiresWhileTheProviderIsAway(t *testing.T) {
	s := start(t, "RESERVATION_TTL=1s")
	for _, tc := range []struct {
		name   string
		sold   int // meanwhile, of the 50 that there are
		status string
		mails  []string
	}{
		{"the stock is still there", 0, "completed", []string{"confirmed", "shipped"}},
		{"others bought it", 35, "rejected", []string{"rejected"}}, // 40 were left by the first
	} {
		s.providerAway(t, time.Hour)
		id := s.place(t, basket("tok_visa", "GB", line{"truffle-box", 10}))
		free, _, _ := s.stock(t, "truffle-box")
		within(t, time.Minute, "the reservation to expire", func() bool {
			onHand, reserved, _ := s.stock(t, "truffle-box")
			return reserved == 0 && onHand >= free && stepIs(t, s, id, "inventory.reserve", "done")
		})
		if tc.sold > 0 {
			a := s.call(t, http.MethodPost, "/api/channel-orders", map[string]any{
				"channel": "fair", "external_id": uuid.NewString(), "ordered_at": time.Now().UTC(),
				"customer": map[string]any{"name": "Ada Byron", "email": "ada@example.com"}, "payment_token": "tok_visa",
				"lines": []any{map[string]any{"sku": "truffle-box", "quantity": tc.sold, "total": map[string]any{"amount": 0, "currency": "EUR"}}}, // costs nothing, needs no provider
			})
			if other, _ := a.body["order_id"].(string); a.status != http.StatusAccepted || s.ends(t, other) != "completed" {
				t.Fatalf("the other order answered %d: %s", a.status, a.raw)
			}
		}
		s.providerAway(t, 0)
		if got := s.ends(t, id); got != tc.status {
			t.Errorf("%s: ends %s, want %s", tc.name, got, tc.status)
		}
		got := s.mails(t, id, len(tc.mails))
		slices.Sort(got)
		if !slices.Equal(got, tc.mails) {
			t.Errorf("%s: mails %v, want %v", tc.name, got, tc.mails)
		}
	}
	s.holds(t)
}
