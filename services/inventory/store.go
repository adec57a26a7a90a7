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

// alreadyShipped refuses to undo what the courier has.
const alreadyShipped commands.Code = "already_shipped"

// Store is the inventory's database. Exported methods are a transaction each;
// unexported helpers take one.
type Store struct {
	db  *outbox.DB
	now func() time.Time
}

// NewStore returns the store over an opened, migrated database.
func NewStore(db *outbox.DB, now func() time.Time) *Store { return &Store{db, now} }

// entry is a line of the journal of commands, which the timeline of an order
// shows. A refusal becomes its outcome.
type entry struct {
	command  commands.Command
	outcome  string
	attempts int // to count; 0 for the second half of an attempt
}

func done(c commands.Command) *entry { return &entry{c, "done", 1} }

// transition runs fn under the lock of an order's reservation, which it makes
// when there is none, and writes the command down. A refusal that fn returns is
// committed with what fn wrote, and then returned.
func (s *Store) transition(ctx context.Context, o commands.Order, e *entry, fn func(outbox.Tx, *Reservation) (commands.Result, error)) (commands.Result, error) {
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
		if why, ok := commands.AsRefusal(err); ok {
			refusal, e.outcome = err, string(why.Code)
		} else if err != nil {
			return err
		}
		return finish(ctx, tx, before, r, e)
	})
	if err != nil {
		return commands.Result{}, fmt.Errorf("%s of %s: %w", e.command.Name, o.OrderID, err)
	}
	return res, refusal
}

const selectReservation = `SELECT state, lines, expires_at, code, reason FROM reservations WHERE order_id = $1 FOR UPDATE`

func (r *Reservation) scan(row pgx.Row) error {
	return row.Scan(&r.State, &r.Lines, &r.ExpiresAt, &r.Code, &r.Reason)
}

// lockReservation locks an order's reservation, and makes it when there is none.
func lockReservation(ctx context.Context, tx pgx.Tx, o commands.Order) (Reservation, error) {
	r := Reservation{OrderID: o.OrderID}
	origin := events.OriginFrom(ctx)
	batch := &pgx.Batch{}
	batch.Queue(`INSERT INTO reservations (order_id, state, lines, expires_at, caused_by, traceparent) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
		o.OrderID, Fresh, o.Lines, o.ReserveUntil, origin.CausationID, origin.Traceparent)
	batch.Queue(selectReservation, o.OrderID).QueryRow(r.scan)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return r, fmt.Errorf("lock reservation: %w", err)
	}
	return r, nil
}

// finish stores a changed reservation, and the command for the timeline.
func finish(ctx context.Context, tx pgx.Tx, before, after Reservation, e *entry) error {
	batch := &pgx.Batch{}
	if before.State != after.State || !before.ExpiresAt.Equal(after.ExpiresAt) {
		batch.Queue(`UPDATE reservations SET state = $2, expires_at = $3, code = $4, reason = $5, updated_at = now() WHERE order_id = $1`,
			after.OrderID, after.State, after.ExpiresAt, after.Code, after.Reason)
	}
	batch.Queue(`
		INSERT INTO commands (order_id, command, attempts, outcome) VALUES ($1, $2, $3, $4)
		ON CONFLICT (order_id, command) DO UPDATE SET attempts = commands.attempts + excluded.attempts, last_at = now(), outcome = excluded.outcome`,
		after.OrderID, e.command.Name, e.attempts, e.outcome)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("store reservation: %w", err)
	}
	return nil
}

// Reserve holds all lines of an order, or refuses.
func (s *Store) Reserve(ctx context.Context, o commands.Order) (commands.Result, error) {
	return s.transition(ctx, o, done(commands.ReserveStock), func(tx outbox.Tx, r *Reservation) (commands.Result, error) {
		res := commands.Result{Reference: o.OrderID}
		switch r.State {
		case Released:
			return res, undone("the reservation was released before it was made")
		case Refused:
			return res, commands.Refuse(commands.Code(r.Code), r.Reason)
		case Reserved, Expired, Allocated, Shipped:
			return res, nil
		}
		short, err := takeStock(ctx, tx, r.Lines)
		if err != nil {
			return res, err
		}
		if short != nil {
			r.State, r.Code, r.Reason = Refused, string(short.code), short.reason
			tx.Publish(events.InventoryRejected{OrderID: o.OrderID, Code: r.Code, Reason: r.Reason, SKU: short.sku})
			return res, commands.Refuse(short.code, short.reason)
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
	return s.transition(ctx, o, done(commands.ReleaseStock), func(tx outbox.Tx, r *Reservation) (commands.Result, error) {
		if r.State == Shipped {
			return commands.Result{}, commands.Refuse(alreadyShipped, "the goods are on their way")
		}
		if r.State == Allocated { // its shipment was not cancelled before, as it is by habit
			sh, err := lockShipment(ctx, tx, o.OrderID)
			if err != nil {
				return commands.Result{}, err
			}
			if sh != nil && sh.State == HandingOver {
				return commands.Result{}, errHandingOver
			}
		}
		if r.State.Holds() {
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
	return s.transition(ctx, o, done(commands.PrepareShipment), func(tx outbox.Tx, r *Reservation) (commands.Result, error) {
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
				return commands.Result{}, commands.Refuse(commands.ReservationExpired, "the goods were held too long and are sold now: "+short.reason)
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

// errHandingOver is to be tried again: only the courier knows who has the parcel.
var errHandingOver = errors.New("the parcel is being handed to the courier")

// Cancel unpacks a shipment, or sees to it that a later Prepare makes none. What
// the courier has cannot be cancelled.
func (s *Store) Cancel(ctx context.Context, o commands.Order) (commands.Result, error) {
	return s.transition(ctx, o, done(commands.CancelShipment), func(tx outbox.Tx, r *Reservation) (commands.Result, error) {
		sh, err := lockShipment(ctx, tx, o.OrderID)
		if err != nil {
			return commands.Result{}, err
		}
		if sh == nil {
			return commands.Result{}, insertShipment(ctx, tx, Shipment{ID: events.NewID("shp"), OrderID: o.OrderID, State: Unpacked})
		}
		switch sh.State {
		case Dispatched, Delivered:
			return commands.Result{}, commands.Refuse(alreadyShipped, "the parcel is with the courier")
		case HandingOver:
			return commands.Result{}, errHandingOver
		case Prepared, TurnedDown:
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

// HandOver says that the parcel is about to be handed to the courier, so that
// nothing undoes the shipment until the courier's answer is recorded, and returns
// it. When the courier has answered before, it returns no shipment but the answer.
func (s *Store) HandOver(ctx context.Context, o commands.Order) (hand *Shipment, res commands.Result, err error) {
	e := done(commands.Dispatch)
	res, err = s.transition(ctx, o, e, func(tx outbox.Tx, r *Reservation) (commands.Result, error) {
		sh, err := lockShipment(ctx, tx, o.OrderID)
		switch {
		case err != nil:
			return commands.Result{}, err
		case sh == nil:
			return commands.Result{}, errors.New("the order has no shipment")
		case sh.State == HandingOver: // the answer to an earlier attempt was lost
		case sh.State == Prepared && r.State == Allocated:
			sh.State = HandingOver
			if err := updateShipment(ctx, tx, *sh); err != nil {
				return commands.Result{}, err
			}
		default:
			return sh.answer()
		}
		hand, e.outcome = sh, "the courier was asked"
		return commands.Result{}, nil
	})
	if err != nil {
		return nil, res, err
	}
	return hand, res, nil
}

// answer is what became of a dispatch that is over.
func (sh Shipment) answer() (commands.Result, error) {
	switch sh.State {
	case Dispatched, Delivered:
		return commands.Result{Reference: sh.ID, ShipmentID: sh.ID, Carrier: sh.Carrier, Tracking: sh.Tracking}, nil
	case TurnedDown:
		return commands.Result{}, commands.Refuse(commands.CourierRefused, sh.Reason)
	}
	return commands.Result{}, undone("the shipment was cancelled before it was dispatched")
}

// answered runs fn on a shipment whose handing over the courier has answered,
// unless another attempt has recorded the answer.
func (s *Store) answered(ctx context.Context, o commands.Order, fn func(outbox.Tx, *Reservation, *Shipment) error) (commands.Result, error) {
	return s.transition(ctx, o, &entry{commands.Dispatch, "done", 0}, func(tx outbox.Tx, r *Reservation) (commands.Result, error) {
		sh, err := lockShipment(ctx, tx, o.OrderID)
		switch {
		case err != nil:
			return commands.Result{}, err
		case sh == nil:
			return commands.Result{}, errors.New("the order has no shipment")
		case sh.State == HandingOver:
			if err := fn(tx, r, sh); err != nil {
				return commands.Result{}, err
			}
			if err := updateShipment(ctx, tx, *sh); err != nil {
				return commands.Result{}, err
			}
		}
		return sh.answer()
	})
}

// Dispatched records that the courier has the parcel. With a courier as quick as
// in tests, its delivery may be known already.
func (s *Store) Dispatched(ctx context.Context, o commands.Order, carrier, tracking string) (commands.Result, error) {
	return s.answered(ctx, o, func(tx outbox.Tx, r *Reservation, sh *Shipment) error {
		if err := shipStock(ctx, tx, r.Lines); err != nil {
			return err
		}
		r.State = Shipped
		sh.State, sh.Carrier, sh.Tracking = Dispatched, carrier, tracking
		tx.Publish(events.ShipmentDispatched{ShipmentID: sh.ID, OrderID: o.OrderID, Carrier: carrier, Tracking: tracking})
		if sh.DeliveredAt != nil {
			sh.State = Delivered
			tx.Publish(events.ShipmentDelivered{ShipmentID: sh.ID, OrderID: o.OrderID, DeliveredAt: sh.DeliveredAt.UTC()})
		}
		return nil
	})
}

// TurnedDown records that the courier refuses the parcel, and returns the refusal.
func (s *Store) TurnedDown(ctx context.Context, o commands.Order, reason string) (commands.Result, error) {
	return s.answered(ctx, o, func(_ outbox.Tx, _ *Reservation, sh *Shipment) error {
		sh.State, sh.Reason = TurnedDown, reason
		return nil
	})
}

// Expire gives the stock of reservations back whose time is over, and returns
// how many there were. One that fails does not keep the others.
func (s *Store) Expire(ctx context.Context) (int, error) {
	rows, err := s.db.Pool().Query(ctx, `SELECT order_id, caused_by, traceparent FROM reservations WHERE state = 'reserved' AND expires_at < $1 ORDER BY expires_at LIMIT 100`, s.now())
	if err != nil {
		return 0, fmt.Errorf("find expired reservations: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (o events.Origin, err error) {
		return o, row.Scan(&o.CorrelationID, &o.CausationID, &o.Traceparent)
	})
	if err != nil {
		return 0, fmt.Errorf("find expired reservations: %w", err)
	}
	expired := 0
	for _, o := range list {
		if e := s.db.Tx(o.Context(ctx), func(tx outbox.Tx) error { return s.expire(ctx, tx, o.CorrelationID) }); e != nil {
			err = errors.Join(err, fmt.Errorf("expire reservation of %s: %w", o.CorrelationID, e))
			continue
		}
		expired++
	}
	return expired, err
}

func (s *Store) expire(ctx context.Context, tx outbox.Tx, orderID string) error {
	r := Reservation{OrderID: orderID}
	err := r.scan(tx.QueryRow(ctx, selectReservation, orderID))
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
