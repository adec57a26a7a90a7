package analytics

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
)

const dayFormat = time.DateOnly

type saleKey struct{ day, currency string }

// Sale is what was sold on a day, in one currency.
type Sale struct {
	Orders, Units, Revenue int64
}

// addSale counts an order by the day it was placed, UTC.
func addSale(days map[saleKey]Sale, e events.OrderShipped) {
	k := saleKey{e.OrderedAt.UTC().Format(dayFormat), e.Total.Currency}
	s := days[k]
	days[k] = Sale{s.Orders + 1, s.Units + e.Units, s.Revenue + e.Total.Amount}
}

func sortedSales(days map[saleKey]Sale) []saleKey {
	return slices.SortedFunc(maps.Keys(days), func(a, b saleKey) int {
		return cmp.Or(cmp.Compare(a.day, b.day), cmp.Compare(a.currency, b.currency))
	})
}

// addSales adds to the read model, in the order of its key.
func addSales(ctx context.Context, tx pgx.Tx, days map[saleKey]Sale) error {
	n := len(days)
	day, currency, orders, units, revenue := make([]string, n), make([]string, n), make([]int64, n), make([]int64, n), make([]int64, n)
	for i, k := range sortedSales(days) {
		day[i], currency[i], orders[i], units[i], revenue[i] = k.day, k.currency, days[k].Orders, days[k].Units, days[k].Revenue
	}
	_, err := tx.Exec(ctx, `
		INSERT INTO sales_daily AS s (day, currency, orders, units, revenue)
		SELECT * FROM unnest($1::date[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[])
		ON CONFLICT (day, currency) DO UPDATE SET orders = s.orders + excluded.orders, units = s.units + excluded.units, revenue = s.revenue + excluded.revenue`,
		day, currency, orders, units, revenue)
	if err != nil {
		return fmt.Errorf("add sales: %w", err)
	}
	return nil
}

// Sales returns the read model between two days, both included.
func (s *Store) Sales(ctx context.Context, from, to time.Time) (map[saleKey]Sale, error) {
	rows, err := s.db.Pool().Query(ctx, `SELECT to_char(day, 'YYYY-MM-DD'), currency, orders, units, revenue FROM sales_daily WHERE day BETWEEN $1 AND $2`, from, to)
	if err != nil {
		return nil, fmt.Errorf("read sales: %w", err)
	}
	out := map[saleKey]Sale{}
	var k saleKey
	var v Sale
	if _, err := pgx.ForEachRow(rows, []any{&k.day, &k.currency, &v.Orders, &v.Units, &v.Revenue}, func() error { out[k] = v; return nil }); err != nil {
		return nil, fmt.Errorf("read sales: %w", err)
	}
	return out, nil
}

// fold keeps the sales as the log itself says them, to compare the read model
// with. It reads the log on from where it stood, in memory.
type fold struct {
	kafka bus.Config

	mu        sync.Mutex
	at        bus.Positions
	days      map[saleKey]Sale
	shipped   map[string]bool // orders counted: the log may hold a fact twice
	products  productFold
	truncated bool // retention has taken the log's beginning
}

func newFold(kafka bus.Config) *fold {
	return &fold{kafka: kafka, at: bus.Positions{}, days: map[saleKey]Sale{}, shipped: map[string]bool{}, products: newProductFold()}
}

// advance folds what was added to the log.
func (f *fold) advance(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	first := len(f.at) == 0
	seen := map[int32]bool{}
	next, err := bus.ReadToEnd(ctx, f.kafka, []string{events.TopicOrders}, f.at, func(r bus.Record) error {
		if first && !seen[r.Partition] {
			seen[r.Partition] = true
			f.truncated = f.truncated || r.Offset > 0
		}
		env, err := events.Decode(r.Value)
		if err != nil || f.products.add(env) != nil || !events.Matches[events.OrderShipped](env) {
			return nil //nolint:nilerr // the dead letters' matter
		}
		e, err := events.As[events.OrderShipped](env)
		if err != nil || f.shipped[e.Data.OrderID] {
			return nil //nolint:nilerr // the dead letters' matter
		}
		f.shipped[e.Data.OrderID] = true
		addSale(f.days, e.Data)
		return nil
	})
	if err != nil {
		// Part of it may be folded already: begin anew next time.
		f.at, f.days, f.shipped, f.products = bus.Positions{}, map[saleKey]Sale{}, map[string]bool{}, newProductFold()
		return err
	}
	f.at = next
	return nil
}

// compare names the days on which the read models differ from the log.
func (f *fold) compare(model map[saleKey]Sale, products map[productKey]Sold) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	offenders := []string{}
	if f.truncated {
		return offenders // the log no longer tells
	}
	all := maps.Clone(f.days)
	for k := range model {
		all[k] = f.days[k]
	}
	for _, k := range sortedSales(all) {
		if model[k] != f.days[k] {
			offenders = append(offenders, fmt.Sprintf("%s %s: read model %+v, log %+v", k.day, k.currency, model[k], f.days[k]))
		}
	}
	return append(offenders, f.products.compare(products)...)
}
