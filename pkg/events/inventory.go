package events

import "time"

// Item is a number of pieces of a product.
type Item struct {
	SKU      string `json:"sku"`
	Quantity int64  `json:"quantity"`
}

// InventoryReserved says that stock is held for an order until expires_at.
type InventoryReserved struct {
	OrderID   string    `json:"order_id"`
	Lines     []Item    `json:"lines"`
	ExpiresAt time.Time `json:"expires_at"`
}

// EventName implements Payload.
func (InventoryReserved) EventName() string { return "inventory.reserved" }

// EventVersion implements Payload.
func (InventoryReserved) EventVersion() int { return 1 }

// AggregateID implements Payload.
func (p InventoryReserved) AggregateID() string { return p.OrderID }

// InventoryReleased says that held stock is free again.
type InventoryReleased struct {
	OrderID string `json:"order_id"`
	Lines   []Item `json:"lines"`
	Reason  string `json:"reason"`
}

// EventName implements Payload.
func (InventoryReleased) EventName() string { return "inventory.released" }

// EventVersion implements Payload.
func (InventoryReleased) EventVersion() int { return 1 }

// AggregateID implements Payload.
func (p InventoryReleased) AggregateID() string { return p.OrderID }

// InventoryRejected says that stock could not be held.
type InventoryRejected struct {
	OrderID string `json:"order_id"`
	Code    string `json:"code"`
	Reason  string `json:"reason"`
	SKU     string `json:"sku"`
}

// EventName implements Payload.
func (InventoryRejected) EventName() string { return "inventory.rejected" }

// EventVersion implements Payload.
func (InventoryRejected) EventVersion() int { return 1 }

// AggregateID implements Payload.
func (p InventoryRejected) AggregateID() string { return p.OrderID }

// InventoryStockLow says that a product has fallen below its threshold.
type InventoryStockLow struct {
	SKU       string `json:"sku"`
	OnHand    int64  `json:"on_hand"`
	Threshold int64  `json:"threshold"`
}

// EventName implements Payload.
func (InventoryStockLow) EventName() string { return "inventory.stock_low" }

// EventVersion implements Payload.
func (InventoryStockLow) EventVersion() int { return 1 }

// AggregateID implements Payload.
func (p InventoryStockLow) AggregateID() string { return p.SKU }
