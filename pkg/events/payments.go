package events

// PaymentAuthorized says that the money is set aside.
type PaymentAuthorized struct {
	PaymentID         string `json:"payment_id"`
	OrderID           string `json:"order_id"`
	Amount            Money  `json:"amount"`
	ProviderReference string `json:"provider_reference"`
}

// EventName implements Payload.
func (PaymentAuthorized) EventName() string { return "payment.authorized" }

// EventVersion implements Payload.
func (PaymentAuthorized) EventVersion() int { return 1 }

// AggregateID implements Payload.
func (p PaymentAuthorized) AggregateID() string { return p.PaymentID }

// PaymentVoided says that money set aside is free again.
type PaymentVoided struct {
	PaymentID string `json:"payment_id"`
	OrderID   string `json:"order_id"`
	Amount    Money  `json:"amount"`
}

// EventName implements Payload.
func (PaymentVoided) EventName() string { return "payment.voided" }

// EventVersion implements Payload.
func (PaymentVoided) EventVersion() int { return 1 }

// AggregateID implements Payload.
func (p PaymentVoided) AggregateID() string { return p.PaymentID }

// PaymentCaptured says that the money is ours.
type PaymentCaptured struct {
	PaymentID         string `json:"payment_id"`
	OrderID           string `json:"order_id"`
	Amount            Money  `json:"amount"`
	ProviderReference string `json:"provider_reference"`
}

// EventName implements Payload.
func (PaymentCaptured) EventName() string { return "payment.captured" }

// EventVersion implements Payload.
func (PaymentCaptured) EventVersion() int { return 1 }

// AggregateID implements Payload.
func (p PaymentCaptured) AggregateID() string { return p.PaymentID }

// PaymentDeclined says that the provider refused for good.
type PaymentDeclined struct {
	PaymentID string `json:"payment_id"`
	OrderID   string `json:"order_id"`
	Amount    Money  `json:"amount"`
	Command   string `json:"command"`
	Code      string `json:"code"`
	Reason    string `json:"reason"`
}

// EventName implements Payload.
func (PaymentDeclined) EventName() string { return "payment.declined" }

// EventVersion implements Payload.
func (PaymentDeclined) EventVersion() int { return 1 }

// AggregateID implements Payload.
func (p PaymentDeclined) AggregateID() string { return p.PaymentID }

// PaymentRefunded says that captured money went back.
type PaymentRefunded struct {
	PaymentID         string `json:"payment_id"`
	OrderID           string `json:"order_id"`
	Amount            Money  `json:"amount"`
	ProviderReference string `json:"provider_reference"`
}

// EventName implements Payload.
func (PaymentRefunded) EventName() string { return "payment.refunded" }

// EventVersion implements Payload.
func (PaymentRefunded) EventVersion() int { return 1 }

// AggregateID implements Payload.
func (p PaymentRefunded) AggregateID() string { return p.PaymentID }
