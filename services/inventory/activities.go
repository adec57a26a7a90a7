package inventory

import (
	"context"
	"errors"
	"fmt"

	"go.temporal.io/sdk/activity"

	"github.com/cartwheel-shop/cartwheel/pkg/commands"
	"github.com/cartwheel-shop/cartwheel/pkg/fault"
	"github.com/cartwheel-shop/cartwheel/pkg/questions"
	"github.com/cartwheel-shop/cartwheel/pkg/saga"
)

// register serves the commands to the saga.
func (s *Service) register(r saga.Registry) {
	saga.Serve(r, commands.ReserveStock.Name, counted(s.store.Reserve))
	saga.Serve(r, commands.ReleaseStock.Name, counted(s.store.Release))
	saga.Serve(r, commands.PrepareShipment.Name, counted(s.store.Prepare))
	saga.Serve(r, commands.CancelShipment.Name, counted(s.store.Cancel))
	saga.Serve(r, commands.Dispatch.Name, counted(s.dispatch))
}

// counted adds the attempt to a command's result.
func counted(do func(context.Context, commands.Order) (commands.Result, error)) func(context.Context, commands.Order) (commands.Result, error) {
	return func(ctx context.Context, o commands.Order) (commands.Result, error) {
		res, err := do(ctx, o)
		res.Attempt = activity.GetInfo(ctx).Attempt
		return res, err
	}
}

// dispatch hands the parcel to the courier and records it. The courier knows
// the shipment's id as idempotency key, so a repeat is the same parcel.
func (s *Service) dispatch(ctx context.Context, o commands.Order) (commands.Result, error) {
	var parcel Parcel
	if o.Channel == "web" { // a marketplace sends its own
		to, err := questions.Ask(ctx, s.nats, questions.CustomerContact, questions.ContactRequest{OrderID: o.OrderID})
		if err != nil {
			return commands.Result{}, fmt.Errorf("address the parcel of %s: %w", o.OrderID, err)
		}
		parcel = Parcel{Name: to.Name, Line1: to.Address.Line1, City: to.Address.City, Postcode: to.Address.Postcode, Country: to.Address.Country}
	}
	sh, res, err := s.store.HandOver(ctx, o)
	if err != nil || sh == nil {
		return res, err
	}
	parcel.Reference = sh.ID
	label, err := s.send(ctx, o.OrderID, parcel)
	var refused *RefusedError
	if errors.As(err, &refused) {
		return s.store.TurnedDown(ctx, o, refused.Detail)
	}
	if err != nil {
		return commands.Result{}, fmt.Errorf("hand the parcel of %s to the courier: %w", o.OrderID, err)
	}
	return s.store.Dispatched(ctx, o, label.Carrier, label.Tracking)
}

// send hands a parcel to the courier.
func (s *Service) send(ctx context.Context, orderID string, p Parcel) (Label, error) {
	if err := s.faults.At(ctx, fault.CourierBefore, orderID); err != nil {
		return Label{}, err
	}
	label, err := s.courier.Send(ctx, p)
	if err != nil {
		return Label{}, err
	}
	return label, s.faults.At(ctx, fault.CourierAfter, orderID)
}
