package inventory

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cartwheel-shop/cartwheel/pkg/commands"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
)

//go:embed migrations/*.sql
var migrations embed.FS

// ErrNotFound says that there is no such product.
var ErrNotFound = errors.New("no such product")

// Store is the inventory's database. Exported methods are a transaction each;
// unexported helpers take one.
type Store struct {
	db  *outbox.DB
	now func() time.Time
}

// NewStore returns the store over an opened, migrated database.
func NewStore(db *outbox.DB, now func() time.Time) *Store { return &Store{db, now} }

// transition runs fn under the lock of an order's reservation, which it makes
// when there is none, and writes the command down. A refusal that fn returns is
// committed with what fn wrote, and then returned.
func (s *Store) transition(ctx context.Context, o commands.Order, c commands.Command, fn func(outbox.Tx, *Reservation) (commands.Result, error)) (commands.Result, error) {
	var res commands.Result
	var refusal error
	ctx = events.WithCorrelation(ctx, o.OrderID)
	err := s.db.Tx(ctx, func(tx outbox.Tx) error {
		r, err := lockReservation(ctx, tx, o)
		if err != nil {
			return err
		}
		before := r
		res, err = fn(tx, &r)
		outcome := "done"
		if why, ok := commands.AsRefusal(err); ok {
			refusal, outcome = err, string(why.Code)
		} else if err != nil {
			return err
		}
		return finish(ctx, tx, before, r, c, outcome)
	})
	if err != nil {
		return commands.Result{}, fmt.Errorf("%s of %s: %w", c.Name, o.OrderID, err)
	}
	return res, refusal
}

const selectReservation = `SELECT state, lines, expires_at FROM reservations WHERE order_id = $1 FOR UPDATE`

// lockReservation locks an order's reservation, and makes it when there is none.
func lockReservation(ctx context.Context, tx pgx.Tx, o commands.Order) (Reservation, error) {
	r := Reservation{OrderID: o.OrderID}
	batch := &pgx.Batch{}
	batch.Queue(`INSERT INTO reservations (order_id, state, lines, expires_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
		o.OrderID, Fresh, o.Lines, o.ReserveUntil)
	batch.Queue(selectReservation, o.OrderID).QueryRow(func(row pgx.Row) error {
		return row.Scan(&r.State, &r.Lines, &r.ExpiresAt)
	})
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return r, fmt.Errorf("lock reservation: %w", err)
	}
	return r, nil
}

// finish stores a changed reservation, and the command for the timeline.
func finish(ctx context.Context, tx pgx.Tx, before, after Reservation, c commands.Command, outcome string) error {
	batch := &pgx.Batch{}
	if before.State != after.State || !before.ExpiresAt.Equal(after.ExpiresAt) {
		batch.Queue(`UPDATE reservations SET state = $2, expires_at = $3, updated_at = now() WHERE order_id = $1`, after.OrderID, after.State, after.ExpiresAt)
	}
	batch.Queue(`
		INSERT INTO commands (order_id, command, outcome) VALUES ($1, $2, $3)
		ON CONFLICT (order_id, command) DO UPDATE SET attempts = commands.attempts + 1, last_at = now(), outcome = excluded.outcome`,
		after.OrderID, c.Name, outcome)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("store reservation: %w", err)
	}
	return nil
}

// Reserve holds all lines of an order, or refuses.
func (s *Store) Reserve(ctx context.Context, o commands.Order) (commands.Result, error) {
	return s.transition(ctx, o, commands.ReserveStock, func(tx outbox.Tx, r *Reservation) (commands.Result, error) {
		res := commands.Result{Reference: o.OrderID}
		switch r.State {
		case Released:
			return res, undone("the reservation was released before it was made")
		case Refused:
			return res, commands.Refuse(commands.OutOfStock, "there was not enough in stock")
		case Reserved, Expired, Allocated, Shipped:
			return res, nil
		}
		short, err := takeStock(ctx, tx, r.Lines)
		if err != nil {
			return res, err
		}
		if short != nil {
			r.State = Refused
			tx.Publish(events.InventoryRejected{OrderID: o.OrderID, Code: string(commands.OutOfStock), Reason: short.reason(), SKU: short.sku})
			return res, commands.Refuse(commands.OutOfStock, short.reason())
		}
		r.State, r.ExpiresAt = Reserved, o.ReserveUntil
		tx.Publish(events.InventoryReserved{OrderID: o.OrderID, Lines: r.Lines, ExpiresAt: o.ReserveUntil.UTC()})
		return res, nil
	})
}

func undone(detail string) error { return commands.Refuse(commands.Undone, detail) }

// Release gives an order's stock back, or sees to it that a later Reserve gets
// none.
func (s *Store) Release(ctx context.Context, o commands.Order) (commands.Result, error) {
	return s.transition(ctx, o, commands.ReleaseStock, func(tx outbox.Tx, r *Reservation) (commands.Result, error) {
		switch {
		case r.State == Shipped:
			return commands.Result{}, commands.Refuse("already_shipped", "the goods are on their way")
		case r.State.Holds():
			if err := returnStock(ctx, tx, r.Lines); err != nil {
				return commands.Result{}, err
			}
			tx.Publish(events.InventoryReleased{OrderID: o.OrderID, Lines: r.Lines, Reason: "the order was undone"})
		}
		r.State = Released
		return commands.Result{Reference: o.OrderID}, nil
	})
}

// Prepare turns a reservation into a shipment, which does not expire. A
// reservation that has expired takes its stock again, or refuses.
func (s *Store) Prepare(ctx context.Context, o commands.Order) (commands.Result, error) {
	return s.transition(ctx, o, commands.PrepareShipment, func(tx outbox.Tx, r *Reservation) (commands.Result, error) {
		sh, err := lockShipment(ctx, tx, o.OrderID)
		if err != nil {
			return commands.Result{}, err
		}
		if sh != nil && sh.State == Unpacked || r.State == Released {
			return commands.Result{}, undone("the shipment was cancelled before it was prepared")
		}
		if sh != nil {
			return commands.Result{Reference: sh.ID, ShipmentID: sh.ID}, nil
		}
		switch r.State {
		case Reserved:
		case Expired:
			short, err := takeStock(ctx, tx, r.Lines)
			if err != nil {
				return commands.Result{}, err
			}
			if short != nil {
				return commands.Result{}, commands.Refuse(commands.ReservationExpired, "the goods were held too long and are sold now: "+short.reason())
			}
		default:
			return commands.Result{}, commands.Refuse(commands.ReservationExpired, "nothing is reserved for the order")
		}
		r.State = Allocated
		storage, err := storageOf(ctx, tx, r.Lines)
		if err != nil {
			return commands.Result{}, err
		}
		id := events.NewID("shp")
		if err := insertShipment(ctx, tx, Shipment{ID: id, OrderID: o.OrderID, State: Prepared}); err != nil {
			return commands.Result{}, err
		}
		tx.Publish(events.ShipmentPrepared{ShipmentID: id, OrderID: o.OrderID, Lines: r.Lines, Storage: string(storage)})
		return commands.Result{Reference: id, ShipmentID: id}, nil
	})
}

// holdAfterCancel is how long unpacked goods stay reserved: the release of the
// reservation comes next.
const holdAfterCancel = 15 * time.Minute

// Cancel unpacks a shipment, or sees to it that a later Prepare makes none. What
// the courier has cannot be cancelled.
func (s *Store) Cancel(ctx context.Context, o commands.Order) (commands.Result, error) {
	return s.transition(ctx, o, commands.CancelShipment, func(tx outbox.Tx, r *Reservation) (commands.Result, error) {
		sh, err := lockShipment(ctx, tx, o.OrderID)
		switch {
		case err != nil:
			return commands.Result{}, err
		case sh == nil:
			return commands.Result{}, insertShipment(ctx, tx, Shipment{ID: events.NewID("shp"), OrderID: o.OrderID, State: Unpacked})
		case sh.State == Dispatched || sh.State == Delivered:
			return commands.Result{}, commands.Refuse("already_shipped", "the parcel is with the courier")
		case sh.State == Prepared:
			sh.State = Unpacked
			if err := updateShipment(ctx, tx, *sh); err != nil {
				return commands.Result{}, err
			}
			tx.Publish(events.ShipmentCancelled{ShipmentID: sh.ID, OrderID: o.OrderID, Reason: "the order was undone"})
		}
		if r.State == Allocated {
			r.State, r.ExpiresAt = Reserved, s.now().Add(holdAfterCancel)
		}
		return commands.Result{Reference: sh.ID}, nil
	})
}

// ToDispatch returns the shipment that is to be handed to the courier, or the
// result when that has happened already.
func (s *Store) ToDispatch(ctx context.Context, o commands.Order) (*Shipment, commands.Result, error) {
	sh, err := shipmentOf(ctx, s.db.Pool(), o.OrderID)
	switch {
	case err != nil:
		return nil, commands.Result{}, err
	case sh == nil:
		return nil, commands.Result{}, fmt.Errorf("order %s has no shipment to dispatch", o.OrderID)
	case sh.State == Unpacked:
		return nil, commands.Result{}, undone("the shipment was cancelled before it was dispatched")
	case sh.State == Prepared:
		return sh, commands.Result{}, nil
	}
	return nil, sh.result(), nil
}

func (sh Shipment) result() commands.Result {
	return commands.Result{Reference: sh.ID, ShipmentID: sh.ID, Carrier: sh.Carrier, Tracking: sh.Tracking}
}

// Dispatched records that the courier has the parcel. With a courier as quick as
// in tests, its delivery may be known already.
func (s *Store) Dispatched(ctx context.Context, o commands.Order, carrier, tracking string) (commands.Result, error) {
	return s.transition(ctx, o, commands.Dispatch, func(tx outbox.Tx, r *Reservation) (commands.Result, error) {
		sh, err := lockShipment(ctx, tx, o.OrderID)
		if err != nil {
			return commands.Result{}, err
		}
		if sh == nil || sh.State == Unpacked {
			return commands.Result{}, undone("the shipment was cancelled before it was dispatched")
		}
		if sh.State != Prepared {
			return sh.result(), nil
		}
		if err := shipStock(ctx, tx, r.Lines); err != nil {
			return commands.Result{}, err
		}
		r.State = Shipped
		sh.State, sh.Carrier, sh.Tracking = Dispatched, carrier, tracking
		tx.Publish(events.ShipmentDispatched{ShipmentID: sh.ID, OrderID: o.OrderID, Carrier: carrier, Tracking: tracking})
		if sh.DeliveredAt != nil {
			sh.State = Delivered
			tx.Publish(events.ShipmentDelivered{ShipmentID: sh.ID, OrderID: o.OrderID, DeliveredAt: sh.DeliveredAt.UTC()})
		}
		return sh.result(), updateShipment(ctx, tx, *sh)
	})
}

// Refused writes down that the courier refused a parcel.
func (s *Store) Refused(ctx context.Context, o commands.Order, detail string) error {
	_, err := s.transition(ctx, o, commands.Dispatch, func(outbox.Tx, *Reservation) (commands.Result, error) {
		return commands.Result{}, commands.Refuse(commands.CourierRefused, detail)
	})
	return err
}

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

// RecordDeliveries records deliveries together with the feed's position, so that
// each counts once. Another reader that was faster makes it do nothing.
func (s *Store) RecordDeliveries(ctx context.Context, after int64, list []Delivery) error {
	return s.db.Tx(ctx, func(tx outbox.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE courier_feed SET last = $2 WHERE last = $1`, after, list[len(list)-1].Number)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		for _, d := range list {
			var orderID string
			var state ShipmentState
			err := tx.QueryRow(ctx, `
				UPDATE shipments SET delivered_at = $2, state = CASE state WHEN 'dispatched' THEN 'delivered' ELSE state END, updated_at = now()
				WHERE id = $1 AND delivered_at IS NULL RETURNING order_id, state`, d.Reference, d.DeliveredAt).Scan(&orderID, &state)
			if errors.Is(err, pgx.ErrNoRows) {
				continue // somebody else's parcel
			}
			if err != nil {
				return fmt.Errorf("record delivery: %w", err)
			}
			if state == Delivered {
				tx.Publish(events.ShipmentDelivered{ShipmentID: d.Reference, OrderID: orderID, DeliveredAt: d.DeliveredAt.UTC()})
			}
		}
		return nil
	})
}

// Expire gives the stock of reservations back whose time is over, and returns
// how many there were.
func (s *Store) Expire(ctx context.Context) (int, error) {
	rows, err := s.db.Pool().Query(ctx, `SELECT order_id FROM reservations WHERE state = 'reserved' AND expires_at < $1 LIMIT 100`, s.now())
	if err != nil {
		return 0, fmt.Errorf("find expired reservations: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return 0, fmt.Errorf("find expired reservations: %w", err)
	}
	for _, id := range ids {
		err := s.db.Tx(events.WithCorrelation(ctx, id), func(tx outbox.Tx) error { return s.expire(ctx, tx, id) })
		if err != nil {
			return 0, fmt.Errorf("expire reservation of %s: %w", id, err)
		}
	}
	return len(ids), nil
}

func (s *Store) expire(ctx context.Context, tx outbox.Tx, orderID string) error {
	r := Reservation{OrderID: orderID}
	err := tx.QueryRow(ctx, selectReservation, orderID).Scan(&r.State, &r.Lines, &r.ExpiresAt)
	if err != nil || r.State != Reserved || r.ExpiresAt.After(s.now()) {
		return err // something happened to it meanwhile
	}
	if err := returnStock(ctx, tx, r.Lines); err != nil {
		return err
	}
	tx.Publish(events.InventoryReleased{OrderID: orderID, Lines: r.Lines, Reason: "expired"})
	_, err = tx.Exec(ctx, `UPDATE reservations SET state = $2, updated_at = now() WHERE order_id = $1`, orderID, Expired)
	return err
}
