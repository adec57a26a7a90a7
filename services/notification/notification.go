package notification

import (
	"fmt"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/jobs"
)

// Kind of a mail.
type Kind string

// The kinds. Refunded is the rejection of an order whose money had been taken.
const (
	Confirmed Kind = "confirmed"
	Shipped   Kind = "shipped"
	Rejected  Kind = "rejected"
	Refunded  Kind = "refunded"
	Cancelled Kind = "cancelled"
)

// queue is how urgent a kind is: people wait for bad news with the phone in hand.
func (k Kind) queue() string {
	switch k {
	case Rejected, Refunded, Cancelled:
		return jobs.Critical
	case Shipped:
		return jobs.Low
	}
	return jobs.Default
}

// State of a mail.
type State string

// The states. Sending is claimed by one attempt.
const (
	Queued  State = "queued"
	Sending State = "sending"
	Sent    State = "sent"
	Failed  State = "failed"
)

// Details are what a mail says besides name and order, none of it personal.
type Details struct {
	Reason   string       `json:"reason,omitempty"`
	Total    events.Money `json:"total,omitzero"`
	Refunded events.Money `json:"refunded,omitzero"`
	Carrier  string       `json:"carrier,omitempty"`
	Tracking string       `json:"tracking,omitempty"`
}

// Email is a mail and its state.
type Email struct {
	ID                string
	OrderID           string
	Kind              Kind
	State             State
	Attempts          int
	MessageID         string
	PossibleDuplicate bool
	Details           Details
	Error             string
	CreatedAt         time.Time
	SentAt            *time.Time
	CausedBy          string // the event that it is due to
	Traceparent       string // of that event, W3C
}

// messageID is the same for each attempt of a mail.
func messageID(emailID, domain string) string { return emailID + "@" + domain }

const (
	// maxAttempts is how often a mail is tried before it is given up: about a day
	// and a half with the back-off.
	maxAttempts = 20
	retryFirst  = time.Second
	retryMost   = 3 * time.Hour
	// claimFor is how long an attempt may take; after that it has crashed.
	claimFor = time.Minute
)

// backoff is how long to wait after the n-th failed attempt, from 1.
func backoff(n int) time.Duration { return min(retryFirst<<min(max(n-1, 0), 20), retryMost) }

// letter is a mail's text, before it gets a shape.
type letter struct {
	Subject    string
	Greeting   string
	Paragraphs []string
	OrderID    string
}

// write writes a mail of a kind in plain words.
func write(k Kind, name, orderID string, d Details) letter {
	l := letter{Greeting: "Hello " + name + ",", OrderID: orderID}
	say := func(subject string, paragraphs ...string) letter {
		l.Subject, l.Paragraphs = subject, paragraphs
		return l
	}
	back := fmt.Sprintf("We have given back %s. It takes your bank up to three days to show it.", d.Refunded)
	switch k {
	case Confirmed:
		return say("Your order is confirmed", fmt.Sprintf("thank you for your order. Everything is in stock and packed, and %s are paid.", d.Total), "We write again when it is on its way.")
	case Shipped:
		return say("Your order is on its way", fmt.Sprintf("your parcel is with %s. Its tracking number is %s.", d.Carrier, d.Tracking))
	case Refunded:
		return say("Your order cannot be delivered, and your money is on its way back", "we are sorry: your order cannot be delivered, because "+d.Reason+".", back)
	case Cancelled:
		if !d.Refunded.IsZero() {
			return say("Your order is cancelled, and your money is on its way back", "your order is cancelled: "+d.Reason+".", back)
		}
		return say("Your order is cancelled", "your order is cancelled: "+d.Reason+".", "Nothing was charged.")
	default:
		return say("We could not accept your order", "we are sorry: we could not accept your order, because "+d.Reason+".", "Nothing was charged.")
	}
}
