package events

import "time"

// Topic is how a topic of the contract is made.
type Topic struct {
	Name        string
	Partitions  int32
	Retention   time.Duration
	MaxBytes    int // of a record batch
	Description string
}

// Topics lists the topics of the contract, with partitions and retention in
// this one place. The replication factor is 3, or the number of brokers when
// there are fewer.
func Topics() []Topic {
	const facts = 30 * 24 * time.Hour
	topic := func(name string, keep time.Duration, description string) Topic {
		return Topic{Name: name, Partitions: 16, Retention: keep, MaxBytes: 1<<20 + 1<<16, Description: description}
	}
	return []Topic{
		topic(TopicOrders, facts, "The life of each order, keyed by the order's id."),
		topic(TopicInventory, facts, "What happens to stock, keyed by the order's id, for stock_low by the SKU."),
		topic(TopicShipments, facts, "The way of each parcel, keyed by the shipment's id."),
		topic(TopicPayments, facts, "Money set aside, taken and given back, keyed by the payment's id."),
		topic(TopicNotifications, facts, "What became of mails, keyed by the mail's id."),
		topic(TopicTelemetry, 7*24*time.Hour, "Minutes and anomalies of each sensor, keyed by the sensor."),
	}
}
