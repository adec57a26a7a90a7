package analytics

import (
	"context"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
)

const batchSize = 500

func (s *Service) consumers() []bus.Consumer {
	var topics []string
	for _, t := range events.Topics() {
		topics = append(topics, t.Name)
	}
	return []bus.Consumer{
		bus.BatchAll("facts", s.store.db, batchSize, topics, s.fact),
		bus.Batch("sales", s.store.db, batchSize, s.sold),
		bus.BatchAll("products", s.store.db, batchSize, []string{events.TopicOrders}, s.product),
	}
}

// fact keeps facts in the log.
func (s *Service) fact(ctx context.Context, tx outbox.Tx, list []events.Envelope) error {
	return insertFacts(ctx, tx, list)
}

// product counts pieces, from an order's lines, when it is on its way.
func (s *Service) product(ctx context.Context, tx outbox.Tx, list []events.Envelope) error {
	var m lineMoves
	for _, e := range list {
		if err := m.add(e); err != nil {
			return err
		}
	}
	return moveLines(ctx, tx, m)
}

// sold counts orders that are on their way.
func (s *Service) sold(ctx context.Context, tx outbox.Tx, list []events.Of[events.OrderShipped]) error {
	days := map[saleKey]Sale{}
	for _, e := range list {
		addSale(days, e.Data)
	}
	return addSales(ctx, tx, days)
}
