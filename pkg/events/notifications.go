package events

// EmailSent says that the mail server took a mail.
type EmailSent struct {
	EmailID           string `json:"email_id"`
	OrderID           string `json:"order_id"`
	Kind              string `json:"kind"`
	MessageID         string `json:"message_id"`
	Attempts          int    `json:"attempts"`
	PossibleDuplicate bool   `json:"possible_duplicate"`
}

// EventName implements Payload.
func (EmailSent) EventName() string { return "notification.email_sent" }

// EventVersion implements Payload.
func (EmailSent) EventVersion() int { return 1 }

// AggregateID implements Payload.
func (p EmailSent) AggregateID() string { return p.EmailID }

// EmailFailed says that a mail was given up.
type EmailFailed struct {
	EmailID  string `json:"email_id"`
	OrderID  string `json:"order_id"`
	Kind     string `json:"kind"`
	Attempts int    `json:"attempts"`
	Error    string `json:"error"`
}

// EventName implements Payload.
func (EmailFailed) EventName() string { return "notification.email_failed" }

// EventVersion implements Payload.
func (EmailFailed) EventVersion() int { return 1 }

// AggregateID implements Payload.
func (p EmailFailed) AggregateID() string { return p.EmailID }
