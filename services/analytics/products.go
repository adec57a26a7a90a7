package analytics

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
)

type productKey struct{ day, sku, currency string }

// Sold is what was sold of a product.
type Sold struct {
	Units, Revenue int64
}

// placedLine is a position of an order that is not on its way yet, by the day the
// order was placed, UTC.
type placedLine struct {
	productKey
	Sold

	orderID string
}

// lineMoves is what some facts do to the positions of orders: they are noted when
// the order is placed, and sold when it is shipped, or forgotten when it ends
// before that. Only order.created has them.
type lineMoves struct {
	placed         []placedLine
	shipped, ended []string
}

func (m *lineMoves) add(e events.Envelope) error {
	switch {
	case events.Matches[events.OrderCreated](e):
		o, err := events.As[events.OrderCreated](e)
		if err != nil {
			return err
		}
		m.placed = slices.DeleteFunc(m.placed, func(l placedLine) bool { return l.orderID == o.Data.OrderID }) // the last word counts
		for _, l := range o.Data.Lines {
			key := productKey{o.Data.OrderedAt.UTC().Format(dayFormat), l.SKU, l.Total.Currency}
			m.placed = append(m.placed, placedLine{key, Sold{l.Quantity, l.Total.Amount}, o.Data.OrderID})
		}
	case events.Matches[events.OrderShipped](e):
		m.shipped = append(m.shipped, e.Metadata.AggregateID)
	case events.Matches[events.OrderCancelled](e), events.Matches[events.OrderRejected](e):
		m.ended = append(m.ended, e.Metadata.AggregateID)
	}
	return nil
}

// moveLines brings the read model of products up to date. The facts of an order
// come in the order of its partition, so a batch can do each kind at once.
func moveLines(ctx context.Context, tx pgx.Tx, m lineMoves) error {
	n := len(m.placed)
	orders, days, skus, currencies, units, revenue := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]int64, n), make([]int64, n)
	for i, l := range m.placed {
		orders[i], days[i], skus[i], currencies[i], units[i], revenue[i] = l.orderID, l.day, l.sku, l.currency, l.Units, l.Revenue
	}
	batch := &pgx.Batch{}
	if n > 0 {
		batch.Queue(`DELETE FROM placed_lines WHERE order_id = ANY ($1)`, orders)
		batch.Queue(`
			INSERT INTO placed_lines (order_id, day, sku, currency, units, revenue)
			SELECT * FROM unnest($1::text[], $2::date[], $3::text[], $4::text[], $5::bigint[], $6::bigint[])`, orders, days, skus, currencies, units, revenue)
	}
	if len(m.shipped) > 0 {
		batch.Queue(`
			WITH gone AS (DELETE FROM placed_lines WHERE order_id = ANY ($1) RETURNING *)
			INSERT INTO products_daily AS p (day, sku, currency, units, revenue)
			SELECT day, sku, currency, sum(units)::bigint, sum(revenue)::bigint FROM gone GROUP BY day, sku, currency ORDER BY day, sku, currency
			ON CONFLICT (day, sku, currency) DO UPDATE SET units = p.units + excluded.units, revenue = p.revenue + excluded.revenue`, m.shipped)
	}
	if len(m.ended) > 0 {
		batch.Queue(`DELETE FROM placed_lines WHERE order_id = ANY ($1)`, m.ended)
	}
	if batch.Len() == 0 {
		return nil
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("count products: %w", err)
	}
	return nil
}

// products returns the read model.
func (s *Store) products(ctx context.Context) (map[productKey]Sold, error) {
	rows, err := s.db.Pool().Query(ctx, `SELECT to_char(day, 'YYYY-MM-DD'), sku, currency, units, revenue FROM products_daily`)
	if err != nil {
		return nil, fmt.Errorf("read products: %w", err)
	}
	out := map[productKey]Sold{}
	var k productKey
	var v Sold
	if _, err := pgx.ForEachRow(rows, []any{&k.day, &k.sku, &k.currency, &v.Units, &v.Revenue}, func() error { out[k] = v; return nil }); err != nil {
		return nil, fmt.Errorf("read products: %w", err)
	}
	return out, nil
}

// Product is what was sold of a product over some days.
type Product struct {
	SKU, Currency  string
	Units, Revenue int64
}

// BestSellers returns the products of which most pieces were sold between two
// days, both included.
func (s *Store) BestSellers(ctx context.Context, from, to time.Time, limit int) ([]Product, error) {
	rows, err := s.db.Pool().Query(ctx, `
		SELECT sku, currency, sum(units)::bigint AS units, sum(revenue)::bigint AS revenue FROM products_daily WHERE day BETWEEN $1 AND $2
		GROUP BY sku, currency ORDER BY units DESC, revenue DESC, sku, currency LIMIT $3`, from, to, limit)
	if err != nil {
		return nil, fmt.Errorf("best sellers: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Product])
	if err != nil {
		return nil, fmt.Errorf("best sellers: %w", err)
	}
	return list, nil
}

// Minute is how many orders came in one.
type Minute struct {
	Start  time.Time
	Orders int64
}

// OrdersPerMinute counts orders by the minute in which they were accepted, over
// the minutes before until, oldest first.
func (s *Store) OrdersPerMinute(ctx context.Context, until time.Time, minutes int) ([]Minute, error) {
	last := until.UTC().Truncate(time.Minute)
	first := last.Add(-time.Duration(minutes-1) * time.Minute)
	rows, err := s.db.Pool().Query(ctx, `
		SELECT date_trunc('minute', at), count(*) FROM facts WHERE at >= $1 AND at < $2 AND type LIKE 'order.created.v%' GROUP BY 1`, first, last.Add(time.Minute))
	if err != nil {
		return nil, fmt.Errorf("orders per minute: %w", err)
	}
	counts := map[time.Time]int64{}
	var at time.Time
	var n int64
	if _, err := pgx.ForEachRow(rows, []any{&at, &n}, func() error { counts[at.UTC()] = n; return nil }); err != nil {
		return nil, fmt.Errorf("orders per minute: %w", err)
	}
	list := make([]Minute, minutes)
	for i := range list {
		start := first.Add(time.Duration(i) * time.Minute)
		list[i] = Minute{start, counts[start]}
	}
	return list, nil
}

// productFold is what the log itself says of products. The log may hold a fact
// twice, so it notes which orders are decided.
type productFold struct {
	placed map[string]map[productKey]Sold // by order
	past   map[string]bool                // orders that were shipped or have ended
	sold   map[productKey]Sold
}

func newProductFold() productFold {
	return productFold{placed: map[string]map[productKey]Sold{}, past: map[string]bool{}, sold: map[productKey]Sold{}}
}

func (f productFold) add(e events.Envelope) error {
	var m lineMoves
	if err := m.add(e); err != nil || f.past[e.Metadata.AggregateID] {
		return err
	}
	if len(m.placed) > 0 {
		lines := map[productKey]Sold{}
		for _, l := range m.placed {
			lines[l.productKey] = plus(lines[l.productKey], l.Sold)
		}
		f.placed[m.placed[0].orderID] = lines
	}
	for _, id := range m.shipped {
		for k, v := range f.placed[id] {
			f.sold[k] = plus(f.sold[k], v)
		}
	}
	for _, id := range append(m.shipped, m.ended...) {
		f.past[id] = true
		delete(f.placed, id)
	}
	return nil
}

func plus(a, b Sold) Sold { return Sold{a.Units + b.Units, a.Revenue + b.Revenue} }

// compare names the products of which the read model says something else.
func (f productFold) compare(model map[productKey]Sold) []string {
	all := maps.Clone(f.sold)
	for k := range model {
		all[k] = f.sold[k]
	}
	offenders := []string{}
	for _, k := range slices.SortedFunc(maps.Keys(all), func(a, b productKey) int {
		return cmp.Or(cmp.Compare(a.day, b.day), cmp.Compare(a.sku, b.sku), cmp.Compare(a.currency, b.currency))
	}) {
		if model[k] != f.sold[k] {
			offenders = append(offenders, fmt.Sprintf("%s %s %s: read model %+v, log %+v", k.day, k.sku, k.currency, model[k], f.sold[k]))
		}
	}
	return offenders
}
