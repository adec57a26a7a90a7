package events

// Definition describes one published version of an event.
type Definition struct {
	Type        string `json:"event_type"` // with its version
	Topic       string `json:"topic"`
	Key         string `json:"key"` // what the aggregate id is
	Producer    string `json:"producer"`
	Description string `json:"description"`
}

// about says, by topic, who publishes to it and what its key is.
var about = map[string]struct{ producer, key string }{
	TopicOrders:        {"order", "order id"},
	TopicInventory:     {"inventory", "order id or SKU"},
	TopicShipments:     {"inventory", "shipment id"},
	TopicPayments:      {"payment", "payment id"},
	TopicNotifications: {"notification", "mail id"},
	TopicTelemetry:     {"analytics", "sensor"},
}

// descriptions say what each event tells, in a sentence.
var descriptions = map[string]string{
	"order.created":              "An order was accepted; its saga starts.",
	"order.approval_requested":   "A person must decide before the deadline.",
	"order.confirmed":            "The goods are held and the money is captured.",
	"order.shipped":              "The courier has the parcel; the order counts as sold.",
	"order.completed":            "The parcel arrived.",
	"order.cancelled":            "The order was cancelled and all is undone.",
	"order.rejected":             "The order could not be fulfilled and all is undone.",
	"inventory.reserved":         "Stock is held for an order until it expires.",
	"inventory.released":         "Held stock is free again.",
	"inventory.rejected":         "Stock could not be held.",
	"inventory.stock_low":        "A product has fallen below its threshold.",
	"shipment.prepared":          "The goods of an order are packed.",
	"shipment.dispatched":        "The courier took the parcel.",
	"shipment.cancelled":         "A packed parcel was unpacked again.",
	"shipment.delivered":         "The courier handed the parcel over.",
	"payment.authorized":         "The money is set aside.",
	"payment.voided":             "Money set aside is free again.",
	"payment.captured":           "The money is ours.",
	"payment.declined":           "The provider refused for good.",
	"payment.refunded":           "Captured money went back.",
	"notification.email_sent":    "The mail server took a mail.",
	"notification.email_failed":  "A mail was given up.",
	"telemetry.aggregated":       "A sensor's minute; a higher revision replaces a lower one.",
	"telemetry.anomaly_detected": "A sensor is not as it should be.",
}

// Registered lists every published version of every event.
func Registered() []Definition {
	list := make([]Definition, len(registered))
	for i, r := range registered {
		list[i] = Definition{Type: Type(r.payload), Topic: r.topic, Key: about[r.topic].key, Producer: about[r.topic].producer, Description: descriptions[r.payload.EventName()]}
	}
	return list
}
