package order

import (
	"fmt"
	"slices"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
)

// Status of an order, as the API shows it.
type Status string

// The statuses. Completed, Cancelled and Rejected are terminal.
const (
	Pending          Status = "pending"
	AwaitingApproval Status = "awaiting_approval"
	Confirmed        Status = "confirmed"
	Shipped          Status = "shipped"
	Completed        Status = "completed"
	Cancelled        Status = "cancelled"
	Rejected         Status = "rejected"
)

// Statuses lists all of them.
var Statuses = []Status{Pending, AwaitingApproval, Confirmed, Shipped, Completed, Cancelled, Rejected}

// Terminal says that nothing happens to the order any more.
func (s Status) Terminal() bool { return s == Completed || s == Cancelled || s == Rejected }

// next is the state machine: which statuses may follow a status.
var next = map[Status][]Status{
	Pending:          {AwaitingApproval, Confirmed, Cancelled, Rejected},
	AwaitingApproval: {Pending, Cancelled, Rejected}, // pending again once approved
	Confirmed:        {Shipped, Cancelled, Rejected},
	Shipped:          {Completed},
}

// Web is the channel of the shop's own storefront. Other channels are
// marketplaces, which sell at their own price and talk to their customers
// themselves.
const Web = "web"

// Customer is who ordered, and where the goods go.
type Customer struct {
	ID      string
	Name    string
	Email   string
	Address Address
}

// Address of a recipient. Channel orders may have none.
type Address struct {
	Line1    string `json:"line1" pattern:"\\S" patternDescription:"street and number" maxLength:"200"`
	City     string `json:"city" pattern:"\\S" patternDescription:"a city" maxLength:"100"`
	Postcode string `json:"postcode" pattern:"\\S" patternDescription:"a postcode" maxLength:"20"`
	Country  string `json:"country" pattern:"^[A-Z]{2}$" doc:"ISO 3166-1 alpha-2" example:"GB"`
}

// Order is the aggregate.
type Order struct {
	ID           string
	Customer     Customer
	Channel      string
	ExternalID   string // of a channel order: the marketplace's own number
	Status       Status
	Lines        []events.Line
	Total        events.Money
	PaymentToken string
	OrderedAt    time.Time // when the customer bought; for the storefront CreatedAt
	CreatedAt    time.Time
	UpdatedAt    time.Time
	Deadline     time.Time // not dispatched by then: compensated and rejected

	Approval    *Approval // nil for an order that needs none
	Reason      string    // why it was cancelled or rejected, in plain words
	DeliveredAt time.Time // zero until the courier says so
}

// Approval is what an order waits for whose total is above the threshold.
type Approval struct {
	Above    events.Money `json:"above" doc:"the threshold that the total is above"`
	Deadline time.Time    `json:"deadline" doc:"not decided by then: rejected"`

	DecidedAt time.Time `json:"decided_at,omitzero" doc:"absent while it waits"`
	Approved  bool      `json:"approved,omitempty"`
	Note      string    `json:"note,omitempty" doc:"of the person who decided"`
}

// Units is the number of pieces.
func (o Order) Units() int64 {
	var n int64
	for _, l := range o.Lines {
		n += l.Quantity
	}
	return n
}

// Items are the lines without prices, as the saga's commands take them.
func (o Order) Items() []events.Item {
	items := make([]events.Item, len(o.Lines))
	for i, l := range o.Lines {
		items[i] = events.Item{SKU: l.SKU, Quantity: l.Quantity}
	}
	return items
}

// Created is the order's first fact.
func (o Order) Created() events.Payload {
	return events.OrderCreated{
		OrderID: o.ID, CustomerID: o.Customer.ID, Channel: o.Channel, ExternalID: o.ExternalID,
		OrderedAt: o.OrderedAt, Lines: o.Lines, Total: o.Total,
	}
}

// Transition asks for a status, with what the fact about it needs to say.
type Transition struct {
	OrderID string `json:"order_id"`
	To      Status `json:"to"`

	ApprovalDeadline time.Time    `json:"approval_deadline,omitzero"` // to AwaitingApproval, like its threshold
	ApprovalAbove    int64        `json:"approval_above,omitzero"`
	DecidedAt        time.Time    `json:"decided_at,omitzero"` // to Pending or Rejected, by a person, like the note
	Note             string       `json:"note,omitempty"`
	ShipmentID       string       `json:"shipment_id,omitempty"` // to Shipped, like carrier and tracking
	Carrier          string       `json:"carrier,omitempty"`
	Tracking         string       `json:"tracking,omitempty"`
	Code             string       `json:"code,omitempty"`    // to Rejected
	Reason           string       `json:"reason,omitempty"`  // to Cancelled, Rejected
	Refunded         events.Money `json:"refunded,omitzero"` // to Cancelled, Rejected
}

// StateError says that an order's state does not allow what was asked for.
type StateError struct {
	OrderID string
	State   Status
	Wanted  string
}

func (e *StateError) Error() string {
	return fmt.Sprintf("order %s is %s: it cannot be %s any more", e.OrderID, e.State, e.Wanted)
}

// Apply makes a transition and returns the facts to publish. An order that is
// already where it should go stays as it is, without a fact, because the saga
// asks at least once. What the state machine does not allow is a *StateError.
func (o *Order) Apply(t Transition) ([]events.Payload, error) {
	if o.Status == t.To {
		return nil, nil
	}
	if !slices.Contains(next[o.Status], t.To) {
		return nil, &StateError{OrderID: o.ID, State: o.Status, Wanted: string(t.To)}
	}
	o.Status = t.To
	if t.Reason != "" {
		o.Reason = t.Reason
	}
	if t.To == AwaitingApproval {
		o.Approval = &Approval{Above: events.Money{Amount: t.ApprovalAbove, Currency: o.Total.Currency}, Deadline: t.ApprovalDeadline}
	}
	if o.Approval != nil && !t.DecidedAt.IsZero() {
		a := *o.Approval
		a.DecidedAt, a.Approved, a.Note = t.DecidedAt, t.To == Pending, t.Note
		o.Approval = &a
	}
	if fact := o.fact(t); fact != nil {
		return []events.Payload{fact}, nil
	}
	return nil, nil
}

// fact is what the world learns of a transition; nil for the way back from an
// approval, which is the order service's own affair.
func (o *Order) fact(t Transition) events.Payload {
	refunded := t.Refunded
	if refunded.Currency == "" {
		refunded = events.Money{Currency: o.Total.Currency}
	}
	switch t.To {
	case AwaitingApproval:
		return events.OrderApprovalRequested{OrderID: o.ID, CustomerID: o.Customer.ID, Channel: o.Channel, Total: o.Total, Deadline: t.ApprovalDeadline}
	case Confirmed:
		return events.OrderConfirmed{OrderID: o.ID, CustomerID: o.Customer.ID, Channel: o.Channel, Total: o.Total}
	case Shipped:
		return events.OrderShipped{OrderID: o.ID, CustomerID: o.Customer.ID, Channel: o.Channel, ShipmentID: t.ShipmentID,
			Carrier: t.Carrier, Tracking: t.Tracking, Total: o.Total, Units: o.Units(), OrderedAt: o.OrderedAt}
	case Completed:
		return events.OrderCompleted{OrderID: o.ID, CustomerID: o.Customer.ID, Channel: o.Channel, Total: o.Total, DeliveredAt: o.DeliveredAt}
	case Cancelled:
		return events.OrderCancelled{OrderID: o.ID, CustomerID: o.Customer.ID, Channel: o.Channel, Reason: t.Reason, Refunded: refunded}
	case Rejected:
		return events.OrderRejected{OrderID: o.ID, CustomerID: o.Customer.ID, Channel: o.Channel, Code: t.Code, Reason: t.Reason, Refunded: refunded}
	}
	return nil
}

// Task is something that a person must see to.
type Task struct {
	ID        string    `json:"id"`
	Kind      TaskKind  `json:"kind" enum:"compensation_failed,delivery_overdue,parked_message"`
	OrderID   string    `json:"order_id"`
	Command   string    `json:"command,omitempty" doc:"the command that could not be done; retry asks for it again"`
	Detail    string    `json:"detail" doc:"what happened, in plain words"`
	State     TaskState `json:"state" enum:"open,retrying,done"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// TaskState is how far a person, or the saga on a person's word, is with a task.
type TaskState string

// The states of tasks.
const (
	TaskOpen     TaskState = "open"
	TaskRetrying TaskState = "retrying" // its command was asked for again
	TaskDone     TaskState = "done"
)

// TaskKind says what a task is about.
type TaskKind string

// The kinds of tasks.
const (
	CompensationFailed TaskKind = "compensation_failed"
	DeliveryOverdue    TaskKind = "delivery_overdue"
	// ParkedMessage is a fact that Kafka refused for good. It waits in the outbox of
	// its service, and the edge shows it among the tasks.
	ParkedMessage TaskKind = "parked_message"
)
