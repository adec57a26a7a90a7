package events

import "time"

// Line is a position of an order; Total is for the whole quantity.
type Line struct {
	SKU      string `json:"sku"`
	Quantity int64  `json:"quantity"`
	Total    Money  `json:"total"`
}

// LineV1 is a position as order.created.v1 has it; Total is a decimal.
type LineV1 struct {
	SKU      string `json:"sku"`
	Quantity int64  `json:"quantity"`
	Total    string `json:"total"`
}

// OrderCreatedV1 is order.created as it was first published: amounts are decimal strings. It is read, through the upcaster, and no longer written.
type OrderCreatedV1 struct {
	OrderID    string    `json:"order_id"`
	CustomerID string    `json:"customer_id"`
	Channel    string    `json:"channel,omitempty"`
	Lines      []LineV1  `json:"lines"`
	Total      string    `json:"total"`
	Currency   string    `json:"currency"`
	OrderedAt  time.Time `json:"ordered_at"`
}

// EventName implements Payload.
func (OrderCreatedV1) EventName() string { return "order.created" }

// EventVersion implements Payload.
func (OrderCreatedV1) EventVersion() int { return 1 }

// AggregateID implements Payload.
func (p OrderCreatedV1) AggregateID() string { return p.OrderID }

// OrderCreated says that an order was accepted. The saga starts from it.
type OrderCreated struct {
	OrderID    string    `json:"order_id"`
	CustomerID string    `json:"customer_id"`
	Channel    string    `json:"channel"`
	ExternalID string    `json:"external_id,omitempty"`
	OrderedAt  time.Time `json:"ordered_at"`
	Lines      []Line    `json:"lines"`
	Total      Money     `json:"total"`
}

// EventName implements Payload.
func (OrderCreated) EventName() string { return "order.created" }

// EventVersion implements Payload.
func (OrderCreated) EventVersion() int { return 2 }

// AggregateID implements Payload.
func (p OrderCreated) AggregateID() string { return p.OrderID }

// OrderApprovalRequested says that a person must decide before the deadline.
type OrderApprovalRequested struct {
	OrderID    string    `json:"order_id"`
	CustomerID string    `json:"customer_id"`
	Channel    string    `json:"channel"`
	Total      Money     `json:"total"`
	Deadline   time.Time `json:"deadline"`
}

// EventName implements Payload.
func (OrderApprovalRequested) EventName() string { return "order.approval_requested" }

// EventVersion implements Payload.
func (OrderApprovalRequested) EventVersion() int { return 1 }

// AggregateID implements Payload.
func (p OrderApprovalRequested) AggregateID() string { return p.OrderID }

// OrderConfirmed says that the goods are held and the money is captured.
type OrderConfirmed struct {
	OrderID    string `json:"order_id"`
	CustomerID string `json:"customer_id"`
	Channel    string `json:"channel"`
	Total      Money  `json:"total"`
}

// EventName implements Payload.
func (OrderConfirmed) EventName() string { return "order.confirmed" }

// EventVersion implements Payload.
func (OrderConfirmed) EventVersion() int { return 1 }

// AggregateID implements Payload.
func (p OrderConfirmed) AggregateID() string { return p.OrderID }

// OrderShipped says that the courier has the parcel: from here the order counts as sold.
type OrderShipped struct {
	OrderID    string    `json:"order_id"`
	CustomerID string    `json:"customer_id"`
	Channel    string    `json:"channel"`
	ShipmentID string    `json:"shipment_id"`
	Carrier    string    `json:"carrier"`
	Tracking   string    `json:"tracking"`
	Total      Money     `json:"total"`
	Units      int64     `json:"units"`
	OrderedAt  time.Time `json:"ordered_at"`
}

// EventName implements Payload.
func (OrderShipped) EventName() string { return "order.shipped" }

// EventVersion implements Payload.
func (OrderShipped) EventVersion() int { return 1 }

// AggregateID implements Payload.
func (p OrderShipped) AggregateID() string { return p.OrderID }

// OrderCompleted says that the parcel arrived.
type OrderCompleted struct {
	OrderID     string    `json:"order_id"`
	CustomerID  string    `json:"customer_id"`
	Channel     string    `json:"channel"`
	Total       Money     `json:"total"`
	DeliveredAt time.Time `json:"delivered_at"`
}

// EventName implements Payload.
func (OrderCompleted) EventName() string { return "order.completed" }

// EventVersion implements Payload.
func (OrderCompleted) EventVersion() int { return 1 }

// AggregateID implements Payload.
func (p OrderCompleted) AggregateID() string { return p.OrderID }

// OrderCancelled says that the order was cancelled and all is undone.
type OrderCancelled struct {
	OrderID    string `json:"order_id"`
	CustomerID string `json:"customer_id"`
	Channel    string `json:"channel"`
	Reason     string `json:"reason"`
	Refunded   Money  `json:"refunded"`
}

// EventName implements Payload.
func (OrderCancelled) EventName() string { return "order.cancelled" }

// EventVersion implements Payload.
func (OrderCancelled) EventVersion() int { return 1 }

// AggregateID implements Payload.
func (p OrderCancelled) AggregateID() string { return p.OrderID }

// OrderRejected says that the order could not be fulfilled and all is undone.
type OrderRejected struct {
	OrderID    string `json:"order_id"`
	CustomerID string `json:"customer_id"`
	Channel    string `json:"channel"`
	Code       string `json:"code"`
	Reason     string `json:"reason"`
	Refunded   Money  `json:"refunded"`
}

// EventName implements Payload.
func (OrderRejected) EventName() string { return "order.rejected" }

// EventVersion implements Payload.
func (OrderRejected) EventVersion() int { return 1 }

// AggregateID implements Payload.
func (p OrderRejected) AggregateID() string { return p.OrderID }
