package notification

import (
	"context"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
)

// web is the channel of the storefront; marketplaces write to their customers
// themselves.
const web = "web"

func (s *Service) consumers() []bus.Consumer {
	return []bus.Consumer{
		bus.Once("mails", s.store.db, bus.OnTx(s.confirmed), bus.OnTx(s.shipped), bus.OnTx(s.cancelled), bus.OnTx(s.rejected)),
	}
}

func (s *Service) confirmed(ctx context.Context, tx outbox.Tx, e events.Of[events.OrderConfirmed]) error {
	return s.due(ctx, tx, e.Data.OrderID, e.Data.Channel, Confirmed, Details{Total: e.Data.Total})
}

func (s *Service) shipped(ctx context.Context, tx outbox.Tx, e events.Of[events.OrderShipped]) error {
	return s.due(ctx, tx, e.Data.OrderID, e.Data.Channel, Shipped, Details{Carrier: e.Data.Carrier, Tracking: e.Data.Tracking})
}

func (s *Service) cancelled(ctx context.Context, tx outbox.Tx, e events.Of[events.OrderCancelled]) error {
	return s.due(ctx, tx, e.Data.OrderID, e.Data.Channel, Cancelled, Details{Reason: e.Data.Reason, Refunded: e.Data.Refunded})
}

func (s *Service) rejected(ctx context.Context, tx outbox.Tx, e events.Of[events.OrderRejected]) error {
	kind := Rejected
	if !e.Data.Refunded.IsZero() {
		kind = Refunded
	}
	return s.due(ctx, tx, e.Data.OrderID, e.Data.Channel, kind, Details{Reason: e.Data.Reason, Refunded: e.Data.Refunded})
}

// due writes the mail that a fact is due.
func (s *Service) due(ctx context.Context, tx outbox.Tx, orderID, channel string, kind Kind, d Details) error {
	if channel != web {
		return nil
	}
	if err := s.store.insert(ctx, tx, orderID, kind, d, s.cfg.domain()); err != nil {
		return err
	}
	s.poke()
	return nil
}
