package commands

import (
	"errors"
	"fmt"

	"go.temporal.io/sdk/temporal"
)

// Code says why a service refused, for programs. It is stable.
type Code string

// The refusals.
const (
	OutOfStock          Code = "out_of_stock"
	UnknownSKU          Code = "unknown_sku"
	ReservationExpired  Code = "reservation_expired"
	Declined            Code = "declined"
	InsufficientFunds   Code = "insufficient_funds"
	UnknownToken        Code = "unknown_token"
	CaptureRefused      Code = "capture_refused"
	CourierRefused      Code = "courier_refused"
	AuthorizationNeeded Code = "authorization_needed" // capture without an authorisation to capture
	Undone              Code = "command_undone"       // the do arrived after its undo
)

// Refusal is a service's final no: the saga does not retry it, it compensates.
type Refusal struct {
	Code   Code   `json:"code"`
	Detail string `json:"detail"`
}

func (r Refusal) Error() string { return fmt.Sprintf("%s: %s", r.Code, r.Detail) }

// refusalType is the application error type under which refusals cross Temporal.
const refusalType = "Refusal"

// Refuse returns the error by which an activity refuses for good. Detail is a
// sentence for people without personal data; it ends up in the order's
// rejection.
func Refuse(code Code, detail string) error {
	r := Refusal{Code: code, Detail: detail}
	return temporal.NewApplicationErrorWithOptions(detail, refusalType, temporal.ApplicationErrorOptions{
		NonRetryable: true,
		Details:      []any{r},
		Category:     temporal.ApplicationErrorCategoryBenign,
	})
}

// AsRefusal finds the refusal in err, on either side of Temporal.
func AsRefusal(err error) (Refusal, bool) {
	for ; err != nil; err = errors.Unwrap(err) {
		var r Refusal
		if app, ok := err.(*temporal.ApplicationError); ok && app.Type() == refusalType && app.HasDetails() && app.Details(&r) == nil {
			return r, true
		}
		if r, ok := err.(Refusal); ok {
			return r, true
		}
	}
	return Refusal{}, false
}
