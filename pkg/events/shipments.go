package events

import "time"

// ShipmentPrepared says that the goods of an order are packed and no longer expire.
type ShipmentPrepared struct {
	ShipmentID string `json:"shipment_id"`
	OrderID    string `json:"order_id"`
	Lines      []Item `json:"lines"`
	Storage    string `json:"storage"`
}

// EventName implements Payload.
func (ShipmentPrepared) EventName() string { return "shipment.prepared" }

// EventVersion implements Payload.
func (ShipmentPrepared) EventVersion() int { return 1 }

// AggregateID implements Payload.
func (p ShipmentPrepared) AggregateID() string { return p.ShipmentID }

// ShipmentDispatched says that the courier took the parcel.
type ShipmentDispatched struct {
	ShipmentID string `json:"shipment_id"`
	OrderID    string `json:"order_id"`
	Carrier    string `json:"carrier"`
	Tracking   string `json:"tracking"`
}

// EventName implements Payload.
func (ShipmentDispatched) EventName() string { return "shipment.dispatched" }

// EventVersion implements Payload.
func (ShipmentDispatched) EventVersion() int { return 1 }

// AggregateID implements Payload.
func (p ShipmentDispatched) AggregateID() string { return p.ShipmentID }

// ShipmentCancelled says that a packed parcel was unpacked again.
type ShipmentCancelled struct {
	ShipmentID string `json:"shipment_id"`
	OrderID    string `json:"order_id"`
	Reason     string `json:"reason"`
}

// EventName implements Payload.
func (ShipmentCancelled) EventName() string { return "shipment.cancelled" }

// EventVersion implements Payload.
func (ShipmentCancelled) EventVersion() int { return 1 }

// AggregateID implements Payload.
func (p ShipmentCancelled) AggregateID() string { return p.ShipmentID }

// ShipmentDelivered says that the courier handed the parcel over.
type ShipmentDelivered struct {
	ShipmentID  string    `json:"shipment_id"`
	OrderID     string    `json:"order_id"`
	DeliveredAt time.Time `json:"delivered_at"`
}

// EventName implements Payload.
func (ShipmentDelivered) EventName() string { return "shipment.delivered" }

// EventVersion implements Payload.
func (ShipmentDelivered) EventVersion() int { return 1 }

// AggregateID implements Payload.
func (p ShipmentDelivered) AggregateID() string { return p.ShipmentID }
