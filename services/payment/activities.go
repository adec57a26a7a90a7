package payment

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/cartwheel-shop/cartwheel/pkg/commands"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/saga"
)

// register serves the commands to the saga.
func (s *Service) register(r saga.Registry) {
	for command, kind := range map[commands.Command]Kind{
		commands.Authorize: Authorize, commands.Void: Void, commands.Capture: Capture, commands.Refund: Refund,
	} {
		saga.Serve(r, command.Name, func(ctx context.Context, o commands.Order) (commands.Result, error) {
			res, err := s.operate(ctx, o, kind)
			res.Attempt = activity.GetInfo(ctx).Attempt
			return res, err
		})
	}
}

// operate does a command: the intent is committed, the provider is asked, its
// answer is recorded.
func (s *Service) operate(ctx context.Context, o commands.Order, k Kind) (commands.Result, error) {
	ctx = events.WithCorrelation(ctx, o.OrderID)
	p, m, open, err := s.store.Begin(ctx, o, k)
	if err != nil {
		return commands.Result{}, err
	}
	if open != nil {
		if err := s.settleOpen(ctx, o.OrderID, *open); err != nil {
			return commands.Result{}, err
		}
		if p, m, open, err = s.store.Begin(ctx, o, k); err != nil {
			return commands.Result{}, err
		}
		if open != nil {
			return commands.Result{}, fmt.Errorf("the %s of %s is asked for again at this moment; try again", open.Kind, o.OrderID)
		}
	}
	if m == call {
		answer, err := s.provider.Do(ctx, k, key(o.OrderID, k), p)
		if err != nil {
			return commands.Result{}, err
		}
		if p, err = s.store.Settle(ctx, o.OrderID, k, answer); err != nil {
			return commands.Result{}, err
		}
		moved, err := s.moveBack(ctx, o, p)
		switch {
		case err != nil:
			return commands.Result{}, err
		case moved:
			m = undone
		case answer.Refused != "":
			m = refused
		}
	}
	switch m {
	case undone:
		return commands.Result{}, commands.Refuse(commands.Undone, "the payment was undone before it was made")
	case early:
		return commands.Result{}, commands.Refuse(commands.AuthorizationNeeded, "no money is set aside for the order")
	case refused:
		return commands.Result{}, refuse(k, p)
	}
	return result(k, p), nil
}

// moveBack undoes what the provider did after its undo was asked for: the answer
// came too late for the undo to see it.
func (s *Service) moveBack(ctx context.Context, o commands.Order, p Payment) (moved bool, err error) {
	switch {
	case p.State == Captured && p.CaptureUndone:
		_, err = s.operate(ctx, o, Refund)
	case p.State == Authorized && p.AuthorizeUndone:
		_, err = s.operate(ctx, o, Void)
	default:
		return false, nil
	}
	return true, err
}

// result reports the money that the command moved, now or before.
func result(k Kind, p Payment) commands.Result {
	res := commands.Result{Reference: p.ID, Amount: events.Money{Currency: p.Amount.Currency}}
	done := map[Kind][]State{Authorize: {Authorized, Captured, Voided, Refunded}, Void: {Voided}, Capture: {Captured, Refunded}, Refund: {Refunded}}
	for _, st := range done[k] {
		if p.State == st {
			res.Amount = p.Amount
		}
	}
	return res
}

// refuse makes the provider's no ours.
func refuse(k Kind, p Payment) error {
	code := commands.Code(p.Code)
	if k == Capture {
		code = commands.CaptureRefused
	}
	return commands.Refuse(code, p.Reason)
}

// inFlight is how long after its last attempt an intent may still be on its way
// to the provider: longer than any call of ours.
func (s *Service) inFlight() time.Duration { return s.cfg.ProviderTimeout + 2*time.Second }

// settleOpen finds out what became of an intent whose answer is not known, so
// that its undo does the right thing. What the provider has never heard of may
// still be on its way: that is decided only when no call of ours can be.
func (s *Service) settleOpen(ctx context.Context, orderID string, open Intent) error {
	answer, err := s.provider.Lookup(ctx, key(orderID, open.Kind))
	if err != nil {
		return err
	}
	if answer != nil {
		_, err := s.store.Settle(ctx, orderID, open.Kind, *answer)
		return err
	}
	if s.now().Sub(open.LastAt) < s.inFlight() {
		return fmt.Errorf("the %s of %s is on its way to the provider; try again", open.Kind, orderID)
	}
	return s.store.Abandon(ctx, orderID, open.Kind)
}

const (
	sweepEvery = 5 * time.Second
	// sweepFor is how long an intent that nobody comes back for is asked about.
	sweepFor = 24 * time.Hour
)

// sweep settles intents whose answer never came: a crash between the provider's
// answer and our commit, or a saga that has moved on. Money that was moved after
// its undo is moved back.
func (s *Service) sweep(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		list, err := s.store.Unsettled(ctx, s.now().Add(-sweepFor), s.now().Add(-s.inFlight()))
		for _, u := range list {
			if err != nil {
				break
			}
			err = s.sweepOne(ctx, u)
		}
		if err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "settling payments; trying again", "error", err)
		}
	}
}

func (s *Service) sweepOne(ctx context.Context, u Unsettled) error {
	answer, err := s.provider.Lookup(ctx, key(u.OrderID, u.Kind))
	if err != nil || answer == nil {
		return err
	}
	p, err := s.store.Settle(ctx, u.OrderID, u.Kind, *answer)
	if err != nil {
		return err
	}
	s.log.InfoContext(ctx, "payment settled by asking the provider", "order_id", u.OrderID, "kind", string(u.Kind), "refused", answer.Refused)
	_, err = s.moveBack(ctx, commands.Order{OrderID: u.OrderID, Total: p.Amount, PaymentToken: p.Token}, p)
	return err
}
