package order

import (
	"context"
	"errors"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/saga"
)

func (s *Service) consumers() []bus.Consumer {
	return []bus.Consumer{
		bus.Each("start-saga", bus.On(s.created)),
		bus.Each("deliveries", bus.On(s.delivered)),
	}
}

// created starts the saga of an order that was placed. A repeat, even after the
// order has ended, changes nothing.
func (s *Service) created(ctx context.Context, e events.Of[events.OrderCreated]) error {
	o, err := s.store.Get(ctx, e.Data.OrderID)
	if errors.Is(err, ErrNotFound) {
		s.log.WarnContext(ctx, "order.created for an order that this shop does not have: ignored", "order_id", e.Data.OrderID, "event_id", e.ID)
		return nil
	}
	if err != nil {
		return err
	}
	if o.Status.Terminal() {
		return nil
	}
	return patiently(s.engine.Start(ctx, o.Order))
}

// delivered lets the saga complete. The row is written first: a saga that is
// started anew reads it there.
func (s *Service) delivered(ctx context.Context, e events.Of[events.ShipmentDelivered]) error {
	known, err := s.store.Delivered(ctx, e.Data.OrderID, e.Data.DeliveredAt)
	if err != nil || !known {
		return err
	}
	return patiently(s.engine.Delivered(ctx, e.Data.OrderID, e.Data.DeliveredAt))
}

// patiently has a fact wait for a saga engine that is away.
func patiently(err error) error {
	if saga.IsUnavailable(err) {
		return bus.Unavailable(err)
	}
	return err
}
