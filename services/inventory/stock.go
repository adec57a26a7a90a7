package inventory

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/cartwheel-shop/cartwheel/pkg/commands"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
)

// shortage is why stock could not be taken.
type shortage struct {
	sku    string
	code   commands.Code
	reason string
}

// takeStock reserves all items, or none and says which is short. The rows are
// locked in the order of their SKUs. A product that falls below its threshold is
// told of.
func takeStock(ctx context.Context, tx outbox.Tx, items []events.Item) (*shortage, error) {
	items = bySKU(items)
	skus, quantities := columns(items)
	rows, err := tx.Query(ctx, `SELECT sku, on_hand, threshold FROM stock WHERE sku = ANY ($1) ORDER BY sku FOR UPDATE`, skus)
	if err != nil {
		return nil, fmt.Errorf("lock stock: %w", err)
	}
	type level struct{ onHand, threshold int64 }
	levels := map[string]level{}
	var sku string
	var l level
	if _, err := pgx.ForEachRow(rows, []any{&sku, &l.onHand, &l.threshold}, func() error { levels[sku] = l; return nil }); err != nil {
		return nil, fmt.Errorf("lock stock: %w", err)
	}
	for _, it := range items {
		l, known := levels[it.SKU]
		switch {
		case !known:
			return &shortage{it.SKU, commands.UnknownSKU, "there is no product " + it.SKU}, nil
		case l.onHand < it.Quantity:
			return &shortage{it.SKU, commands.OutOfStock, fmt.Sprintf("%d of %s were ordered and %d are left", it.Quantity, it.SKU, l.onHand)}, nil
		}
	}
	if err := moveStock(ctx, tx, `on_hand = on_hand - n, reserved = reserved + n`, skus, quantities); err != nil {
		return nil, err
	}
	for _, it := range items {
		l := levels[it.SKU]
		if left := l.onHand - it.Quantity; l.onHand >= l.threshold && left < l.threshold {
			tx.Publish(events.InventoryStockLow{SKU: it.SKU, OnHand: left, Threshold: l.threshold})
		}
	}
	return nil, nil
}

// returnStock frees reserved items.
func returnStock(ctx context.Context, tx pgx.Tx, items []events.Item) error {
	skus, quantities := columns(bySKU(items))
	return lockAndMove(ctx, tx, `on_hand = on_hand + n, reserved = reserved - n`, skus, quantities)
}

// shipStock hands reserved items to the courier.
func shipStock(ctx context.Context, tx pgx.Tx, items []events.Item) error {
	skus, quantities := columns(bySKU(items))
	return lockAndMove(ctx, tx, `reserved = reserved - n, shipped = shipped + n`, skus, quantities)
}

func lockAndMove(ctx context.Context, tx pgx.Tx, set string, skus []string, quantities []int64) error {
	if len(skus) > 1 { // one row needs no order
		if _, err := tx.Exec(ctx, `SELECT FROM stock WHERE sku = ANY ($1) ORDER BY sku FOR UPDATE`, skus); err != nil {
			return fmt.Errorf("lock stock: %w", err)
		}
	}
	return moveStock(ctx, tx, set, skus, quantities)
}

func moveStock(ctx context.Context, tx pgx.Tx, set string, skus []string, quantities []int64) error {
	tag, err := tx.Exec(ctx, `UPDATE stock SET `+set+` FROM unnest($1::text[], $2::bigint[]) AS i (item, n) WHERE sku = item`, skus, quantities)
	if err != nil {
		return fmt.Errorf("move stock: %w", err)
	}
	if int(tag.RowsAffected()) != len(skus) {
		return fmt.Errorf("move stock: %d of %d products are there", tag.RowsAffected(), len(skus))
	}
	return nil
}

func columns(items []events.Item) (skus []string, quantities []int64) {
	for _, it := range items {
		skus, quantities = append(skus, it.SKU), append(quantities, it.Quantity)
	}
	return skus, quantities
}

func storageOf(ctx context.Context, tx pgx.Tx, items []events.Item) (Storage, error) {
	skus, _ := columns(items)
	rows, err := tx.Query(ctx, `SELECT storage FROM products WHERE sku = ANY ($1)`, skus)
	if err != nil {
		return "", fmt.Errorf("read products: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[Storage])
	if err != nil {
		return "", fmt.Errorf("read products: %w", err)
	}
	return coldest(all), nil
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// lockShipment returns an order's shipment, or nil. The courier's feed writes to
// it without the reservation's lock, so it has to be locked too.
func lockShipment(ctx context.Context, tx pgx.Tx, orderID string) (*Shipment, error) {
	return readShipment(ctx, tx, orderID, ` FOR UPDATE`)
}

// shipmentOf returns an order's shipment, or nil.
func shipmentOf(ctx context.Context, q querier, orderID string) (*Shipment, error) {
	return readShipment(ctx, q, orderID, "")
}

func readShipment(ctx context.Context, q querier, orderID, lock string) (*Shipment, error) {
	sh := Shipment{OrderID: orderID}
	err := q.QueryRow(ctx, `SELECT id, state, carrier, tracking, reason, delivered_at FROM shipments WHERE order_id = $1`+lock, orderID).
		Scan(&sh.ID, &sh.State, &sh.Carrier, &sh.Tracking, &sh.Reason, &sh.DeliveredAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read shipment: %w", err)
	}
	return &sh, nil
}

func insertShipment(ctx context.Context, tx pgx.Tx, sh Shipment) error {
	if _, err := tx.Exec(ctx, `INSERT INTO shipments (id, order_id, state) VALUES ($1, $2, $3)`, sh.ID, sh.OrderID, sh.State); err != nil {
		return fmt.Errorf("store shipment: %w", err)
	}
	return nil
}

func updateShipment(ctx context.Context, tx pgx.Tx, sh Shipment) error {
	_, err := tx.Exec(ctx, `UPDATE shipments SET state = $2, carrier = $3, tracking = $4, reason = $5, updated_at = now() WHERE id = $1`,
		sh.ID, sh.State, sh.Carrier, sh.Tracking, sh.Reason)
	if err != nil {
		return fmt.Errorf("store shipment: %w", err)
	}
	return nil
}

// Products lists the catalogue by position, after the given one.
func (s *Store) Products(ctx context.Context, after, limit int) (list []Product, positions []int, err error) {
	rows, err := s.db.Pool().Query(ctx, `
		SELECT p.sku, p.name, p.price, p.currency, p.storage, s.on_hand, p.position FROM products p JOIN stock s USING (sku)
		WHERE p.listed AND p.position > $1 ORDER BY p.position LIMIT $2`, after, limit)
	if err != nil {
		return nil, nil, fmt.Errorf("list products: %w", err)
	}
	p, position := Product{Listed: true}, 0
	_, err = pgx.ForEachRow(rows, []any{&p.SKU, &p.Name, &p.Price.Amount, &p.Price.Currency, &p.Storage, &p.Available, &position}, func() error {
		list, positions = append(list, p), append(positions, position)
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("list products: %w", err)
	}
	return list, positions, nil
}

// Lookup returns the products that are known among some SKUs.
func (s *Store) Lookup(ctx context.Context, skus []string) ([]Product, error) {
	rows, err := s.db.Pool().Query(ctx, `
		SELECT p.sku, p.name, p.price, p.currency, p.storage, p.listed, s.on_hand FROM products p JOIN stock s USING (sku) WHERE p.sku = ANY ($1)`, skus)
	if err != nil {
		return nil, fmt.Errorf("look up products: %w", err)
	}
	var list []Product
	var p Product
	_, err = pgx.ForEachRow(rows, []any{&p.SKU, &p.Name, &p.Price.Amount, &p.Price.Currency, &p.Storage, &p.Listed, &p.Available}, func() error {
		list = append(list, p)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look up products: %w", err)
	}
	return list, nil
}

// Stock returns where the pieces of a SKU are, or ErrNotFound.
func (s *Store) Stock(ctx context.Context, sku string) (Stock, error) {
	st := Stock{SKU: sku}
	err := s.db.Pool().QueryRow(ctx, `SELECT received, on_hand, reserved, shipped FROM stock WHERE sku = $1`, sku).
		Scan(&st.Received, &st.OnHand, &st.Reserved, &st.Shipped)
	if errors.Is(err, pgx.ErrNoRows) {
		return st, ErrNotFound
	}
	if err != nil {
		return st, fmt.Errorf("read stock: %w", err)
	}
	return st, nil
}

// Replenish takes goods in until so many pieces are on hand. A shelf that holds
// more stays as it is, so asking twice takes nothing in twice.
func (s *Store) Replenish(ctx context.Context, sku string, onHand int64) (Stock, error) {
	_, err := s.db.Pool().Exec(ctx, `UPDATE stock SET received = received + $2 - on_hand, on_hand = $2 WHERE sku = $1 AND on_hand < $2`, sku, onHand)
	if err != nil {
		return Stock{}, fmt.Errorf("replenish stock: %w", err)
	}
	return s.Stock(ctx, sku)
}
