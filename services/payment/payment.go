package payment

import (
	"github.com/cartwheel-shop/cartwheel/pkg/events"
)

// State of a payment.
type State string

// The states. A payment is Fresh until the provider has decided.
const (
	Fresh      State = "fresh"
	Declined   State = "declined"
	Authorized State = "authorized"
	Voided     State = "voided"
	Captured   State = "captured"
	Refunded   State = "refunded"
)

// Kind is an operation on a payment, as the provider calls it.
type Kind string

// The operations.
const (
	Authorize Kind = "authorize"
	Void      Kind = "void"
	Capture   Kind = "capture"
	Refund    Kind = "refund"
)

// Payment is the money of an order.
type Payment struct {
	ID      string
	OrderID string
	Amount  events.Money
	Token   string
	State   State

	// Tombstones: the undo was asked for, so the do is refused from now on.
	AuthorizeUndone bool
	CaptureUndone   bool

	// Why the provider refused, when it did.
	Code   string
	Reason string
}

// move is what a command has to do, given where the payment is.
type move int

const (
	nothing move = iota // it is done, or there is nothing to do
	call                // ask the provider
	undone              // refuse: the undo came first
	refused             // refuse: the provider has refused before
	early               // refuse: there is nothing to capture
)

// next decides what an operation has to do. An undo leaves its tombstone
// whatever it finds.
func (p *Payment) next(k Kind) move {
	switch k {
	case Authorize:
		switch {
		case p.AuthorizeUndone:
			return undone
		case p.State == Declined:
			return refused
		case p.State == Fresh:
			return call
		}
	case Capture:
		switch {
		case p.CaptureUndone:
			return undone
		case p.State == Captured || p.State == Refunded:
			return nothing
		case p.AuthorizeUndone:
			return undone // what is being let go is not to be taken
		case p.State == Authorized && p.Code != "":
			return refused
		case p.State == Authorized:
			return call
		}
		return early
	case Void:
		p.AuthorizeUndone = true
		if p.State == Authorized {
			return call
		}
	case Refund:
		p.CaptureUndone = true
		if p.State == Captured {
			return call
		}
	}
	return nothing
}

// settlesFirst names the operations whose answers an undo has to know. A void
// has to know of a capture too: money that was taken cannot be let go.
func (k Kind) settlesFirst() []Kind {
	switch k {
	case Void:
		return []Kind{Authorize, Capture}
	case Refund:
		return []Kind{Capture}
	}
	return nil
}

// stranded names the undo that a payment is due: the provider has done what was
// undone before its answer was known.
func (p *Payment) stranded() (undo Kind, ok bool) {
	switch {
	case p.State == Captured && p.CaptureUndone:
		return Refund, true
	case p.State == Authorized && p.AuthorizeUndone:
		return Void, true
	}
	return "", false
}

// undone says that an operation was undone, whenever it was done.
func (p *Payment) undone(k Kind) bool {
	return k == Authorize && p.AuthorizeUndone || k == Capture && p.CaptureUndone
}

// settle applies the provider's answer and returns the ledger's postings and the
// fact. A refusal leaves the money where it is; that of an undo is nobody's
// business but that of who asked, and has no fact.
func (p *Payment) settle(k Kind, o Outcome) ([]Posting, events.Payload) {
	if o.Refused != "" {
		if k == Void || k == Refund {
			return nil, nil
		}
		p.Code, p.Reason = o.Refused, o.Detail
		if k == Authorize {
			p.State = Declined
		}
		return nil, events.PaymentDeclined{PaymentID: p.ID, OrderID: p.OrderID, Amount: p.Amount, Command: string(k), Code: o.Refused, Reason: o.Detail}
	}
	n := p.Amount.Amount
	switch k {
	case Authorize:
		p.State = Authorized
		return []Posting{{CardHolds, n}, {HoldsOwed, -n}}, events.PaymentAuthorized{PaymentID: p.ID, OrderID: p.OrderID, Amount: p.Amount, ProviderReference: o.Key}
	case Void:
		p.State = Voided
		return []Posting{{CardHolds, -n}, {HoldsOwed, n}}, events.PaymentVoided{PaymentID: p.ID, OrderID: p.OrderID, Amount: p.Amount}
	case Capture:
		p.State = Captured
		return []Posting{{CardHolds, -n}, {HoldsOwed, n}, {ProviderBalance, n}, {Sales, -n}}, events.PaymentCaptured{PaymentID: p.ID, OrderID: p.OrderID, Amount: p.Amount, ProviderReference: o.Key}
	case Refund:
		p.State = Refunded
		return []Posting{{ProviderBalance, -n}, {Sales, n}}, events.PaymentRefunded{PaymentID: p.ID, OrderID: p.OrderID, Amount: p.Amount, ProviderReference: o.Key}
	}
	return nil, nil
}

// Account of the ledger.
type Account string

// The accounts. A debit is positive, a credit negative.
const (
	CardHolds       Account = "card_holds"       // money set aside on customers' cards
	HoldsOwed       Account = "holds_owed"       // its other side
	ProviderBalance Account = "provider_balance" // money that the provider has for us
	Sales           Account = "sales"
)

// Posting is one line of a journal entry; the lines of an entry sum to zero.
type Posting struct {
	Account Account
	Amount  int64
}
