package commands

import (
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
)

// Command names something the saga asks of a service.
type Command struct {
	Name      string // the activity's registered name, "service.verb"
	TaskQueue string // the queue that the owning service's worker polls
}

// Task queues, one for each service that works for the saga.
const (
	OrderQueue     = "order"
	InventoryQueue = "inventory"
	PaymentQueue   = "payment"
)

// The commands. Do and undo stand side by side.
var (
	ReserveStock = Command{"inventory.reserve", InventoryQueue}
	ReleaseStock = Command{"inventory.release", InventoryQueue}

	PrepareShipment = Command{"inventory.prepare", InventoryQueue}
	CancelShipment  = Command{"inventory.cancel", InventoryQueue}

	Dispatch = Command{"inventory.dispatch", InventoryQueue}

	Authorize = Command{"payment.authorize", PaymentQueue}
	Void      = Command{"payment.void", PaymentQueue}

	Capture = Command{"payment.capture", PaymentQueue}
	Refund  = Command{"payment.refund", PaymentQueue}
)

// Order is the snapshot of an order that every command takes. It is workflow
// input, kept in histories for as long as Temporal keeps them, and therefore
// without personal data.
type Order struct {
	OrderID      string        `json:"order_id"`
	CustomerID   string        `json:"customer_id"`
	Channel      string        `json:"channel"` // "web", or the marketplace that sold it
	Lines        []events.Item `json:"lines"`
	Total        events.Money  `json:"total"`
	PaymentToken string        `json:"payment_token"`
	// ReserveUntil is when a reservation that was not turned into a shipment
	// gives its stock back. Later than any deadline the saga waits for.
	ReserveUntil time.Time `json:"reserve_until"`
}

// Result is what a command reports of its transition. Fields that do not apply
// to a command stay empty.
type Result struct {
	Attempt    int32        `json:"attempt"`             // the delivery that answered, from 1
	Reference  string       `json:"reference,omitempty"` // reservation, shipment or payment id
	Amount     events.Money `json:"amount,omitzero"`     // moved by this command; zero when there was nothing to move
	ShipmentID string       `json:"shipment_id,omitempty"`
	Carrier    string       `json:"carrier,omitempty"`
	Tracking   string       `json:"tracking,omitempty"`
}
