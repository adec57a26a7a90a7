package payment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/cartwheel-shop/cartwheel/pkg/commands"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/fault"
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
	p, m, err := s.begin(ctx, o, k)
	if err != nil {
		return commands.Result{}, err
	}
	if m == call {
		answer, err := s.ask(ctx, k, p)
		if err != nil {
			return commands.Result{}, err
		}
		if p, err = s.store.Settle(ctx, o.OrderID, k, answer); err != nil {
			return commands.Result{}, err
		}
		switch {
		case p.undone(k): // while the provider was asked
			m = undone
			if err := s.moveBack(ctx, p); err != nil {
				return commands.Result{}, err
			}
		case answer.Refused != "":
			return commands.Result{}, refuse(k, answer.Refused, answer.Detail)
		}
	}
	switch m {
	case undone:
		return commands.Result{}, commands.Refuse(commands.Undone, "the payment was undone before it was made")
	case early:
		return commands.Result{}, commands.Refuse(commands.AuthorizationNeeded, "no money is set aside for the order")
	case refused:
		return commands.Result{}, refuse(k, p.Code, p.Reason)
	}
	return result(k, p), nil
}

// ask asks the provider.
func (s *Service) ask(ctx context.Context, k Kind, p Payment) (Outcome, error) {
	if err := s.faults.At(ctx, fault.ProviderBefore, p.OrderID, string(k)); err != nil {
		return Outcome{}, err
	}
	answer, err := s.provider.Do(ctx, k, key(p.OrderID, k), p)
	if err != nil {
		return Outcome{}, err
	}
	return answer, s.faults.At(ctx, fault.ProviderAfter, p.OrderID, string(k))
}

// begin begins a command, after what has to be settled before it.
func (s *Service) begin(ctx context.Context, o commands.Order, k Kind) (Payment, move, error) {
	for {
		p, m, open, err := s.store.Begin(ctx, o, k)
		if err != nil || open == nil {
			return p, m, err
		}
		if err := s.settleOpen(ctx, o.OrderID, *open); err != nil {
			return p, m, err
		}
	}
}

// moveBack undoes what the provider did after its undo was asked for: the answer
// came too late for the undo to see it.
func (s *Service) moveBack(ctx context.Context, p Payment) error {
	undo, ok := p.stranded()
	if !ok {
		return nil
	}
	_, err := s.operate(ctx, commands.Order{OrderID: p.OrderID, Total: p.Amount, PaymentToken: p.Token}, undo)
	return err
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
func refuse(k Kind, code, detail string) error {
	if k == Capture {
		code = string(commands.CaptureRefused)
	}
	return commands.Refuse(commands.Code(code), detail)
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
	if open.Age < s.inFlight() {
		return fmt.Errorf("the %s of %s is on its way to the provider; try again", open.Kind, orderID)
	}
	return s.store.Abandon(ctx, orderID, open.Kind)
}

const (
	sweepEvery = 5 * time.Second
	// sweepFor is how long an intent that nobody comes back for is asked about.
	sweepFor = 24 * time.Hour
)

// sweep settles, every few seconds, what nobody comes back for.
func (s *Service) sweep(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := s.sweepOnce(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "settling payments; trying again", "error", err)
		}
	}
}

// sweepOnce settles intents whose answer never came: a crash between the
// provider's answer and our commit, or a saga that has moved on. Money that was
// moved after its undo is moved back.
func (s *Service) sweepOnce(ctx context.Context) error {
	unsettled, err := s.store.Unsettled(ctx, s.inFlight(), sweepFor)
	if err != nil {
		return err
	}
	for _, u := range unsettled {
		// Noted first, so that one that fails does not keep the others for ever.
		if err := s.store.Checked(ctx, u); err != nil {
			return err
		}
		ctx := u.origin.Context(ctx)
		answer, err := s.provider.Lookup(ctx, key(u.OrderID, u.Kind))
		if err != nil {
			return err
		}
		if answer == nil {
			continue
		}
		if _, err := s.store.Settle(ctx, u.OrderID, u.Kind, *answer); err != nil {
			return err
		}
		s.log.InfoContext(ctx, "payment settled by asking the provider", "order_id", u.OrderID, "kind", string(u.Kind), "refused", answer.Refused)
	}
	stranded, err := s.store.Stranded(ctx, s.inFlight())
	for _, st := range stranded {
		if e := s.moveBack(st.origin.Context(ctx), st.Payment); e != nil {
			err = errors.Join(err, fmt.Errorf("move the money of %s back: %w", st.OrderID, e))
		}
	}
	return err
}
