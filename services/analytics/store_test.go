package analytics

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/figures"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
)

// sale is a shipped order: when it was placed, its units, and its total in minor
// units.
func sale(orderedAt string, units, amount int64, currency string) events.OrderShipped {
	at, err := time.Parse(time.RFC3339, orderedAt)
	if err != nil {
		panic(err)
	}
	return events.OrderShipped{OrderID: events.NewID("ord"), CustomerID: "cus_1", Channel: "web", ShipmentID: "shp_1", Carrier: "c", Tracking: "1",
		Total: events.Money{Amount: amount, Currency: currency}, Units: units, OrderedAt: at}
}

// sell counts orders as one batch of the consumer.
func (s *Store) sell(t *testing.T, orders ...events.OrderShipped) {
	t.Helper()
	list := make([]events.Of[events.OrderShipped], len(orders))
	for i, o := range orders {
		list[i].Data = o
	}
	err := s.db.Tx(t.Context(), func(tx outbox.Tx) error { return (&Service{store: s}).sold(t.Context(), tx, list) })
	if err != nil {
		t.Fatal(err)
	}
}

// sales are the days of the read model: "2026-11-23 EUR 1 order of 2 for 298".
func (s *Store) sales(t *testing.T, from, to string) string {
	t.Helper()
	first, err1 := time.Parse(dayFormat, from)
	last, err2 := time.Parse(dayFormat, to)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	days, err := s.Sales(t.Context(), first, last)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, k := range sortedSales(days) {
		out = append(out, fmt.Sprintf("%s %s %d of %d for %d", k.day, k.currency, days[k].Orders, days[k].Units, days[k].Revenue))
	}
	return strings.Join(out, ", ")
}

// An order counts on the day that it was placed, in UTC, in its currency.
func TestSales(t *testing.T) {
	for _, tc := range []struct {
		name   string
		orders []events.OrderShipped
		want   string
	}{
		{"nothing", nil, ""},
		{"one order", []events.OrderShipped{sale("2026-11-23T12:00:00Z", 2, 298, "EUR")}, "2026-11-23 EUR 1 of 2 for 298"},
		{"two on a day", []events.OrderShipped{sale("2026-11-23T12:00:00Z", 2, 298, "EUR"), sale("2026-11-23T13:00:00Z", 1, 2, "EUR")}, "2026-11-23 EUR 2 of 3 for 300"},
		{"the last and the first moment of days", []events.OrderShipped{sale("2026-11-23T23:59:59.999999999Z", 1, 1, "EUR"), sale("2026-11-24T00:00:00Z", 1, 2, "EUR")},
			"2026-11-23 EUR 1 of 1 for 1, 2026-11-24 EUR 1 of 1 for 2"},
		{"the day where the customer is does not count", []events.OrderShipped{sale("2026-11-24T13:30:00+14:00", 1, 1, "EUR"), sale("2026-11-23T13:00:00-11:00", 1, 2, "EUR")},
			"2026-11-23 EUR 1 of 1 for 1, 2026-11-24 EUR 1 of 1 for 2"},
		{"two currencies", []events.OrderShipped{sale("2026-11-23T12:00:00Z", 1, 1, "USD"), sale("2026-11-23T12:00:00Z", 1, 2, "EUR")},
			"2026-11-23 EUR 1 of 1 for 2, 2026-11-23 USD 1 of 1 for 1"},
		{"an order that cost nothing", []events.OrderShipped{sale("1997-01-12T00:00:00Z", 3, 0, "USD")}, "1997-01-12 USD 1 of 3 for 0"},
		{"a leap day", []events.OrderShipped{sale("2024-02-29T00:00:00Z", 1, 1, "EUR")}, "2024-02-29 EUR 1 of 1 for 1"},
		{"more than 32 bits", []events.OrderShipped{sale("2026-11-23T12:00:00Z", 1, 1<<40, "EUR"), sale("2026-11-23T12:00:00Z", 1, 1<<40, "EUR")}, "2026-11-23 EUR 2 of 2 for 2199023255552"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for name, batches := range map[string][][]events.OrderShipped{"in one batch": {tc.orders}, "one by one": each(tc.orders)} {
				s := open(t)
				for _, b := range batches {
					s.sell(t, b...)
				}
				if got := s.sales(t, "0001-01-01", "9999-12-31"); got != tc.want {
					t.Errorf("%s: %s, want %s", name, got, tc.want)
				}
			}
		})
	}
}

func each[T any](list []T) (out [][]T) {
	for _, v := range list {
		out = append(out, []T{v})
	}
	return out
}

func TestSalesBetweenTwoDays(t *testing.T) {
	s := open(t)
	for day := 20; day <= 24; day++ {
		s.sell(t, sale(fmt.Sprintf("2026-11-%dT12:00:00Z", day), 1, int64(day), "EUR"))
	}
	for _, tc := range []struct{ from, to, want string }{
		{"2026-11-21", "2026-11-22", "2026-11-21 EUR 1 of 1 for 21, 2026-11-22 EUR 1 of 1 for 22"},
		{"2026-11-24", "2026-11-24", "2026-11-24 EUR 1 of 1 for 24"},
		{"2026-11-25", "9999-12-31", ""},
		{"0001-01-01", "2026-11-19", ""},
	} {
		if got := s.sales(t, tc.from, tc.to); got != tc.want {
			t.Errorf("%s to %s: %s, want %s", tc.from, tc.to, got, tc.want)
		}
	}
}

// A batch whose sum is no number any more is refused as a whole.
func TestABatchIsCountedWholeOrNotAtAll(t *testing.T) {
	s := open(t)
	s.sell(t, sale("2026-11-23T12:00:00Z", 1, math.MaxInt64, "EUR"))
	err := s.db.Tx(t.Context(), func(tx outbox.Tx) error {
		return (&Service{store: s}).sold(t.Context(), tx, []events.Of[events.OrderShipped]{
			{Data: sale("2026-11-22T12:00:00Z", 1, 1, "EUR")}, {Data: sale("2026-11-23T12:00:00Z", 1, 1, "EUR")},
		})
	})
	if got, want := s.sales(t, "2026-11-01", "2026-11-30"), fmt.Sprintf("2026-11-23 EUR 1 of 1 for %d", int64(math.MaxInt64)); err == nil || got != want {
		t.Errorf("%s (%v), want an error and %s", got, err, want)
	}
}

// heard puts facts into the log: "ord_1 1", a key and a version, each at the next
// offset.
func (s *Store) heard(t *testing.T, facts ...string) {
	t.Helper()
	list := make([]events.Envelope, len(facts))
	for i, f := range facts {
		e := &list[i]
		e.ID, e.Type, e.Timestamp = events.NewEventID(), "order.confirmed.v1", noon
		e.Source = events.Source{Topic: "orders", Partition: 3, Offset: int64(i)}
		e.Metadata.Producer = "order"
		if _, err := fmt.Sscan(f, &e.Metadata.AggregateID, &e.Metadata.AggregateVersion); err != nil {
			t.Fatal(err)
		}
		e.Metadata.CorrelationID = e.Metadata.AggregateID
	}
	err := s.db.Tx(t.Context(), func(tx outbox.Tx) error { return (&Service{store: s}).fact(t.Context(), tx, list) })
	if err != nil {
		t.Fatal(err)
	}
}

// How far a key was followed: the number of its facts, or, below 0, how many of
// them were not the next one.
func TestTheLogFollowsVersions(t *testing.T) {
	for _, tc := range []struct {
		name  string
		facts string // a batch between bars
		want  int64
	}{
		{"in order", "ord_1 1, ord_1 2, ord_1 3", 3},
		{"in order, over batches", "ord_1 1 | ord_1 2 | ord_1 3", 3},
		{"beside another key", "ord_1 1, ord_2 1, ord_1 2, ord_2 2 | ord_2 3", 2},
		{"one is missing", "ord_1 1, ord_1 3", -1},
		{"one is missing, over batches", "ord_1 1 | ord_1 3", -1},
		{"the first is missing", "ord_1 2", -1},
		{"two change places", "ord_1 1, ord_1 3, ord_1 2 | ord_1 4", -2},
		{"one comes twice", "ord_1 1, ord_1 1 | ord_1 2", -1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := open(t)
			for batch := range strings.SplitSeq(tc.facts, " | ") {
				s.heard(t, strings.Split(batch, ", ")...)
			}
			items, err := s.factKeys(t.Context(), "orders", outbox.Shard("ord_1"))
			if err != nil || items.Items["ord_1"] != tc.want {
				t.Errorf("followed %v, %v; want %d", items.Items, err, tc.want)
			}
			report := figures.NewReport()
			if err := s.factDigests(t.Context(), &report); err != nil {
				t.Fatal(err)
			}
			var keys, sum int64
			for _, b := range report.Digests["facts:orders"] {
				keys, sum = keys+b.Count, sum+b.Sum
			}
			others := int64(strings.Count(tc.facts, "ord_2"))
			if want := min(others, 1) + 1; keys != want || sum != tc.want+others || report.Values["facts"] != int64(strings.Count(tc.facts, "ord_")) {
				t.Errorf("digest of %d keys, sum %d, %d facts", keys, sum, report.Values["facts"])
			}
		})
	}
}

// A stream has one reader at a time, and another as soon as that one ends.
func TestTheLease(t *testing.T) {
	s := open(t)
	ran := ""
	run := func(name, then string) {
		t.Helper()
		err := s.leased(t.Context(), name, func(ctx context.Context) error {
			ran += name + " "
			if then != "" {
				return s.leased(ctx, then, func(context.Context) error { ran += then + " "; return nil })
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	run("a", "a")
	run("a", "b")
	run("b", "")
	if want := "a a b b "; ran != want {
		t.Errorf("ran %s, want %s", ran, want)
	}
}
