package events

// Topics of the contract. A topic is a domain; its key is the aggregate's id.
const (
	TopicOrders        = "orders"
	TopicInventory     = "inventory"
	TopicShipments     = "shipments"
	TopicPayments      = "payments"
	TopicNotifications = "notifications"
	TopicTelemetry     = "telemetry"
)

// registration is a published version of an event.
type registration struct {
	topic   string
	payload Payload
}

// registered lists every published version of every event.
var registered = []registration{
	{TopicOrders, OrderCreatedV1{}},
	{TopicOrders, OrderCreated{}},
	{TopicOrders, OrderApprovalRequested{}},
	{TopicOrders, OrderConfirmed{}},
	{TopicOrders, OrderShipped{}},
	{TopicOrders, OrderCompleted{}},
	{TopicOrders, OrderCancelled{}},
	{TopicOrders, OrderRejected{}},
	{TopicInventory, InventoryReserved{}},
	{TopicInventory, InventoryReleased{}},
	{TopicInventory, InventoryRejected{}},
	{TopicInventory, InventoryStockLow{}},
	{TopicShipments, ShipmentPrepared{}},
	{TopicShipments, ShipmentDispatched{}},
	{TopicShipments, ShipmentCancelled{}},
	{TopicShipments, ShipmentDelivered{}},
	{TopicPayments, PaymentAuthorized{}},
	{TopicPayments, PaymentVoided{}},
	{TopicPayments, PaymentCaptured{}},
	{TopicPayments, PaymentDeclined{}},
	{TopicPayments, PaymentRefunded{}},
	{TopicNotifications, EmailSent{}},
	{TopicNotifications, EmailFailed{}},
	{TopicTelemetry, TelemetryAggregated{}},
	{TopicTelemetry, TelemetryAnomalyDetected{}},
}

var byType, newest, topicOf = index()

// index derives what is registered for each type, and the newest version and the
// topic of each name.
func index() (byType map[string]registration, newest map[string]int, topicOf map[string]string) {
	byType, newest, topicOf = map[string]registration{}, map[string]int{}, map[string]string{}
	for _, r := range registered {
		name := r.payload.EventName()
		byType[Type(r.payload)] = r
		newest[name] = max(newest[name], r.payload.EventVersion())
		topicOf[name] = r.topic
	}
	return byType, newest, topicOf
}

// TopicOf returns the topic of an event by its name, without version.
func TopicOf(name string) (topic string, ok bool) {
	topic, ok = topicOf[name]
	return topic, ok
}
