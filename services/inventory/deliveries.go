package inventory

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
)

// Delivery is an entry of the courier's feed.
type Delivery struct {
	Number      int64     `json:"number"`
	Reference   string    `json:"reference"` // our shipment id
	DeliveredAt time.Time `json:"delivered_at"`
}

// FeedPosition is the number of the last delivery that was recorded.
func (s *Store) FeedPosition(ctx context.Context) (int64, error) {
	var last int64
	if err := s.db.Pool().QueryRow(ctx, `SELECT last FROM courier_feed`).Scan(&last); err != nil {
		return 0, fmt.Errorf("courier feed: %w", err)
	}
	return last, nil
}

// RecordDeliveries records the deliveries that follow a position of the feed,
// each in one transaction with the position that it moves to, so that each counts
// once. It stops where another reader was faster.
//
// A delivery is a transaction of its own because its fact belongs to an order,
// and all facts of a transaction have the same correlation.
func (s *Store) RecordDeliveries(ctx context.Context, position int64, list []Delivery) error {
	for _, d := range list {
		moved, err := s.recordDelivery(ctx, position, d)
		if err != nil {
			return fmt.Errorf("record delivery %d of %s: %w", d.Number, d.Reference, err)
		}
		if !moved {
			return nil
		}
		position = d.Number
	}
	return nil
}

func (s *Store) recordDelivery(ctx context.Context, position int64, d Delivery) (moved bool, err error) {
	var o events.Origin
	err = s.db.Pool().QueryRow(ctx, `SELECT order_id, caused_by, traceparent FROM shipments JOIN reservations USING (order_id) WHERE id = $1`, d.Reference).
		Scan(&o.CorrelationID, &o.CausationID, &o.Traceparent)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) { // without a row it is somebody else's parcel
		return false, err
	}
	err = s.db.Tx(o.Context(ctx), func(tx outbox.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE courier_feed SET last = $2 WHERE last = $1`, position, d.Number)
		if err != nil {
			return err
		}
		if moved = tag.RowsAffected() == 1; !moved || o.CorrelationID == "" {
			return nil
		}
		var state ShipmentState
		err = tx.QueryRow(ctx, `
			UPDATE shipments SET delivered_at = $2, state = CASE state WHEN $3 THEN $4 ELSE state END, updated_at = now()
			WHERE id = $1 AND delivered_at IS NULL RETURNING state`, d.Reference, d.DeliveredAt, string(Dispatched), string(Delivered)).Scan(&state)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil // it was delivered before
		}
		if err == nil && state == Delivered {
			tx.Publish(events.ShipmentDelivered{ShipmentID: d.Reference, OrderID: o.CorrelationID, DeliveredAt: d.DeliveredAt.UTC()})
		}
		return err
	})
	return moved, err
}
