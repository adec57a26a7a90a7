package analytics

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
)

// shopLog is a log of orders' facts, as the consumers get it.
type shopLog struct {
	facts []events.Envelope
}

func (l *shopLog) add(t tb, order string, p events.Payload) {
	t.Helper()
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	l.facts = append(l.facts, events.Envelope{
		Type: events.Type(p), ID: fmt.Sprintf("e%d", len(l.facts)), Timestamp: noon.Add(time.Duration(len(l.facts)) * time.Second), Data: data,
		Metadata: events.Metadata{AggregateID: order},
	})
}

func (l *shopLog) place(t tb, order string, at time.Time, lines ...events.Line) {
	t.Helper()
	l.add(t, order, events.OrderCreated{OrderID: order, OrderedAt: at, Lines: lines})
}

func line(sku string, units, amount int64, currency string) events.Line {
	return events.Line{SKU: sku, Quantity: units, Total: events.Money{Amount: amount, Currency: currency}}
}

// consume hands facts to the consumer of products, as one batch.
func (s *Store) consume(t tb, facts []events.Envelope) {
	t.Helper()
	svc := &Service{store: s}
	if err := s.db.Tx(background, func(tx outbox.Tx) error { return svc.product(background, tx, facts) }); err != nil {
		t.Fatal(err)
	}
}

func day(s string) time.Time {
	d, err := time.Parse(dayFormat, s)
	if err != nil {
		panic(err)
	}
	return d
}

// A product is sold when its order is shipped, on the day the order was placed.
func TestBestSellers(t *testing.T) {
	s := open(t)
	var l shopLog
	monday, tuesday := day("2026-11-23"), day("2026-11-24")
	l.place(t, "ord_1", monday.Add(time.Hour), line("tea", 2, 2000, "EUR"), line("milk", 9, 900, "EUR"), line("tea", 1, 1000, "EUR"))
	l.place(t, "ord_2", monday, line("tea", 100, 99, "EUR"))
	l.place(t, "ord_3", tuesday, line("tea", 4, 4000, "USD"))
	l.place(t, "ord_4", tuesday, line("milk", 50, 1, "EUR"))
	l.add(t, "ord_1", events.OrderConfirmed{OrderID: "ord_1"})
	l.add(t, "ord_2", events.OrderRejected{OrderID: "ord_2"})
	l.add(t, "ord_1", events.OrderShipped{OrderID: "ord_1"})
	l.add(t, "ord_3", events.OrderShipped{OrderID: "ord_3"})
	s.consume(t, l.facts)
	for _, tc := range []struct {
		from, to time.Time
		limit    int
		want     string
	}{
		{monday, tuesday, 10, "[{milk EUR 9 900} {tea USD 4 4000} {tea EUR 3 3000}]"},
		{monday, monday, 10, "[{milk EUR 9 900} {tea EUR 3 3000}]"},
		{monday, tuesday, 1, "[{milk EUR 9 900}]"},
		{day("2026-01-01"), day("2026-01-02"), 10, "[]"},
	} {
		got, err := s.BestSellers(t.Context(), tc.from, tc.to, tc.limit)
		if err != nil || fmt.Sprint(got) != tc.want {
			t.Errorf("%s to %s, %d: got %v, %v, want %s", tc.from, tc.to, tc.limit, got, err, tc.want)
		}
	}
}

// However the log is cut into batches, the read model is a fold of it.
func TestPropertyProductsEqualTheLog(t *testing.T) {
	base := open(t)
	rapid.Check(t, func(t *rapid.T) {
		if _, err := base.db.Pool().Exec(background, `TRUNCATE placed_lines, products_daily`); err != nil {
			t.Fatal(err)
		}
		var l shopLog
		ended := map[string]bool{}
		for i := range rapid.IntRange(1, 40).Draw(t, "facts") {
			order := fmt.Sprintf("ord_%d", i)
			if i > 0 && rapid.Bool().Draw(t, "goes on") {
				order = fmt.Sprintf("ord_%d", rapid.IntRange(0, i-1).Draw(t, "order"))
			} else {
				l.place(t, order, noon.AddDate(0, 0, rapid.IntRange(0, 2).Draw(t, "day")), line(rapid.SampledFrom([]string{"tea", "milk"}).Draw(t, "sku"), 1, 100, "EUR"))
				continue
			}
			if ended[order] {
				continue
			}
			ended[order] = true
			l.add(t, order, rapid.SampledFrom([]events.Payload{
				events.OrderShipped{OrderID: order}, events.OrderCancelled{OrderID: order}, events.OrderRejected{OrderID: order},
			}).Draw(t, "end"))
		}
		f := newProductFold()
		for _, e := range l.facts {
			for range rapid.IntRange(1, 2).Draw(t, "times in the log") {
				if err := f.add(e); err != nil {
					t.Fatal(err)
				}
			}
		}
		for rest := l.facts; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "batch")
			base.consume(t, rest[:n])
			rest = rest[n:]
		}
		model, err := base.products(background)
		if err != nil {
			t.Fatal(err)
		}
		if wrong := f.compare(model); len(wrong) > 0 {
			t.Fatalf("the read model differs from the log: %v", wrong)
		}
	})
}

func TestOrdersPerMinute(t *testing.T) {
	s := open(t)
	var l shopLog
	for i, seconds := range []int{-61, 0, 1, 59, 60, 179} {
		l.place(t, fmt.Sprintf("ord_%d", i), noon)
		l.facts[i].Timestamp = noon.Add(time.Duration(seconds) * time.Second)
	}
	l.add(t, "ord_1", events.OrderShipped{OrderID: "ord_1"})
	if err := s.db.Tx(t.Context(), func(tx outbox.Tx) error { return insertFacts(t.Context(), tx, l.facts) }); err != nil {
		t.Fatal(err)
	}
	got, err := s.OrdersPerMinute(t.Context(), noon.Add(2*time.Minute+59*time.Second), 4)
	if err != nil {
		t.Fatal(err)
	}
	want := []Minute{{noon.Add(-time.Minute), 0}, {noon, 3}, {noon.Add(time.Minute), 1}, {noon.Add(2 * time.Minute), 1}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
