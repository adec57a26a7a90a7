package scenarios

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// orderCase is a way that one order goes.
type orderCase struct {
	name, title, about string

	token, country string
	goods          func(product) bool // cheap when nil
	pieces         int

	meddle func(ctx context.Context, s *stage, id string) error // what people do meanwhile

	status string
	reason string // that the customer is told, or a part of it
	mails  []string
	money  string // what must become of it, in words

	also []also
}

// also is a promise of one case alone.
type also struct {
	promise string
	judge   func(ctx context.Context, s *stage, promise string, o order)
}

// What every run about orders promises at its end.
const nothingLeft = "Nothing is left over: no stock stays reserved, every fact arrived once and in order, and all six invariants hold."

func orderScenarios() []Scenario {
	list := make([]Scenario, 0, len(orderCases))
	for _, c := range orderCases {
		list = append(list, c.scenario())
	}
	return list
}

var orderCases = []orderCase{
	{
		name: "all-well", title: "All goes well",
		about:  "A shopper orders with a good card. Stock is reserved, money set aside, a parcel prepared, the money taken, the parcel handed over and delivered.",
		token:  "tok_visa",
		status: "completed", mails: []string{"confirmed", "shipped"},
		money: "The customer is charged once, exactly the total, and the provider's own books say the same.",
	},
	{
		name: "card-declined", title: "Card declined",
		about:  "The bank declines the card after the stock was reserved. The saga undoes what it did.",
		token:  "tok_declined",
		status: "rejected", reason: "declined", mails: []string{"rejected"},
		money: "No money moves.",
	},
	{
		name: "approval", title: "Approval needed",
		about:  "An order above the threshold waits for a person, with its stock held. The scenario is that person, and approves.",
		token:  "tok_visa",
		goods:  func(p product) bool { return p.Price.Amount > 25000 && p.Price.Amount <= 40000 },
		pieces: 2,
		meddle: func(ctx context.Context, s *stage, id string) error {
			o, err := s.follow(ctx, id, "the order to wait for a person", func(o order) bool { return o.Status == "awaiting_approval" || o.ended() })
			if err != nil {
				return err
			}
			if o.ended() {
				return nil // it did not wait, and is judged for that
			}
			if err := s.shop.tell(ctx, id, "approve", ""); err != nil {
				return fmt.Errorf("the approval was refused: %w", err)
			}
			s.step(Did, id, "approved the order, as an operator")
			return nil
		},
		status: "completed", mails: []string{"confirmed", "shipped"},
		money: "Only after the approval is the customer charged: once, exactly the total.",
		also: []also{{"It waits for a person, and goes on only when one has approved.", func(_ context.Context, s *stage, promise string, o order) {
			s.judge(promise, o.step("order.approval") == "done", stepsOf(o))
		}}},
	},
	{
		name: "card-times-out", title: "Card times out after charging",
		about:  "The provider does what it is asked for, and its answer is lost, when the money is set aside and again when it is taken. The next attempts ask under the same key.",
		token:  "tok_timeout_once",
		status: "completed", mails: []string{"confirmed", "shipped"},
		money: "The customer is charged once all the same, exactly the total, and the provider's own books say so.",
		also: []also{{"The lost answers show: taking the money needs more than one attempt.", func(_ context.Context, s *stage, promise string, o order) {
			n := o.attempts("payment.capture")
			s.judge(promise, n > 1, fmt.Sprintf("payment.capture took %d attempts", n))
		}}},
	},
	{
		name: "capture-refused", title: "Capture refused",
		about:  "Money was set aside and the parcel is packed; then the bank refuses to pay. The saga undoes three steps, newest first.",
		token:  "tok_capture_fails",
		status: "rejected", reason: "release the money", mails: []string{"rejected"},
		money: "What was set aside is let go; nothing is kept.",
	},
	{
		name: "courier-refuses", title: "Courier refuses, refund",
		about:   "The money is taken and the order confirmed when the courier refuses the address. The customer gets the money back.",
		token:   "tok_visa",
		country: "ZZ",
		status:  "rejected", reason: "do not deliver", mails: []string{"confirmed", "refunded"},
		money: "What was taken is given back, all of it, and the provider's own books say the same.",
	},
	{
		name: "customer-cancels", title: "Customer cancels",
		about: "The customer cancels while the bank is slow to answer.",
		token: "tok_slow",
		meddle: func(ctx context.Context, s *stage, id string) error {
			if _, err := s.follow(ctx, id, "the bank to be asked", func(o order) bool { return o.step("payment.authorize") == "running" || o.ended() }); err != nil {
				return err
			}
			if err := s.shop.tell(ctx, id, "cancel", "changed my mind"); err != nil {
				return fmt.Errorf("the cancellation was refused: %w", err)
			}
			s.step(Did, id, "cancelled the order, as its customer")
			return nil
		},
		status: "cancelled", reason: "changed my mind", mails: []string{"cancelled"},
		money: "No money is kept.",
	},
}

func stepsOf(o order) string {
	var parts []string
	for _, s := range o.Steps {
		parts = append(parts, s.Name+" "+s.State)
	}
	return strings.Join(parts, ", ")
}

func (c orderCase) scenario() Scenario {
	end := fmt.Sprintf("The order ends %s.", c.status)
	if c.reason != "" {
		end = fmt.Sprintf("The order ends %s, and the reason says “%s”.", c.status, c.reason)
	}
	mails := fmt.Sprintf("One mail is sent, once: %s.", c.mails[0])
	if len(c.mails) > 1 {
		mails = fmt.Sprintf("Two mails are sent, once each: %s, %s.", c.mails[0], c.mails[1])
	}
	promises := []string{end}
	for _, a := range c.also {
		promises = append(promises, a.promise)
	}
	promises = append(promises, c.money, mails, nothingLeft)
	return Scenario{Name: c.name, Title: c.title, About: c.about, Promises: promises, play: func(ctx context.Context, s *stage) error {
		fits, pieces := c.goods, max(c.pieces, 1)
		if fits == nil {
			fits = cheap
		}
		p, err := s.goods(ctx, pieces, fits)
		if err != nil {
			return err
		}
		o, err := s.buy(ctx, basket{lines: []line{{p.SKU, pieces}}, token: c.token, country: c.country})
		if err != nil {
			return err
		}
		if c.meddle != nil {
			if err := c.meddle(ctx, s, o.ID); err != nil {
				return err
			}
		}
		if o, err = s.endOf(ctx, o.ID); err != nil {
			return err
		}
		s.judge(end, o.Status == c.status && strings.Contains(o.Reason, c.reason), strings.TrimSuffix(o.Status+": "+o.Reason, ": "))
		for _, a := range c.also {
			a.judge(ctx, s, a.promise, o)
		}
		s.judgeMoney(ctx, c.money, o)
		s.judgeMails(ctx, mails, o.ID, c.mails...)
		s.judgeInvariants(ctx, nothingLeft)
		return nil
	}}
}

// rare is the product that there are few pieces of.
const (
	rare     = "truffle-box"
	rareMany = 50
)

// outOfStock has two shoppers want all that is left.
func outOfStock() Scenario {
	const (
		one    = "Exactly one of the two gets the goods; the other is rejected for want of stock, and is told so."
		atOnce = "While the goods are held, a third shopper is refused at once: 409 out_of_stock."
		back   = "The winner cancels, and every piece is back on the shelf."
		money  = "Nobody is charged."
	)
	return Scenario{
		Name: "out-of-stock", Title: "Out of stock",
		About: "Two shoppers order all that is left of the truffles, at the same moment. Both look available when they are asked; the reservation in the saga decides. " +
			"The order is so large that it then waits for approval, in which time its customer cancels.",
		Promises: []string{one, atOnce, back, money, nothingLeft},
		play: func(ctx context.Context, s *stage) error {
			before, err := s.shop.replenish(ctx, rare, rareMany)
			if err != nil {
				return err
			}
			s.did("made sure that %d × %s are on the shelf", before.OnHand, rare)
			all := basket{lines: []line{{rare, before.OnHand}}, token: "tok_visa"}

			first, second, err := s.both(ctx, all)
			if err != nil {
				return err
			}
			var winner, loser order
			for _, o := range []order{first, second} {
				if o.ID == "" { // refused at once
					loser = order{Status: "rejected", Reason: o.Reason}
					continue
				}
				if o, err = s.follow(ctx, o.ID, "the stock to decide", func(o order) bool { return o.Status == "awaiting_approval" || o.ended() }); err != nil {
					return err
				}
				if o.Status == "rejected" {
					loser = o
				} else {
					winner = o
				}
			}
			s.judge(one, winner.ID != "" && loser.Status == "rejected" && strings.Contains(loser.Reason, "are left"), fmt.Sprintf("one %s, the other %s: %s", winner.Status, loser.Status, loser.Reason))

			_, err = s.shop.place(ctx, basket{lines: []line{{rare, 1}}, token: "tok_visa"})
			no, refused := asRefusal(err)
			s.judge(atOnce, refused && no.Code == "out_of_stock", fmt.Sprint(err))

			if winner.ID != "" {
				if err := s.shop.tell(ctx, winner.ID, "cancel", "too many truffles"); err != nil {
					return fmt.Errorf("the cancellation was refused: %w", err)
				}
				s.step(Did, winner.ID, "cancelled the order that got the goods")
				if winner, err = s.endOf(ctx, winner.ID); err != nil {
					return err
				}
			}
			after, err := s.shop.stock(ctx, rare)
			if err != nil {
				return err
			}
			s.judge(back, after.OnHand == before.OnHand && after.Reserved == before.Reserved, fmt.Sprintf("%d on hand, %d reserved; before %d and %d", after.OnHand, after.Reserved, before.OnHand, before.Reserved))
			s.judgeMoney(ctx, money, winner)
			s.judgeInvariants(ctx, nothingLeft)
			return nil
		},
	}
}

// both sends a basket twice at the same moment. An order that was refused at once
// has no id.
func (s *stage) both(ctx context.Context, b basket) (first, second order, err error) {
	type answer struct {
		order order
		err   error
	}
	answers := make(chan answer, 2)
	for range 2 {
		go func() {
			o, err := s.shop.place(ctx, b)
			answers <- answer{o, err}
		}()
	}
	list := make([]order, 2)
	for i := range list {
		a := <-answers
		no, refused := asRefusal(a.err)
		switch {
		case a.err == nil:
			s.order(a.order.ID)
			s.step(Did, a.order.ID, fmt.Sprintf("ordered %s: accepted", describe(b.lines)))
		case refused && no.Code == "out_of_stock":
			s.did("ordered %s: refused at once, %s", describe(b.lines), no.Detail)
			a.order.Reason = no.Detail
		default:
			err = fmt.Errorf("an order was not accepted: %w", a.err)
		}
		list[i] = a.order
	}
	return list[0], list[1], err
}

// race has many shoppers for few pieces.
func race() Scenario {
	const (
		exact = "Exactly as many are sold as there were, and not one more; everybody else is refused or rejected for want of stock."
		shelf = "The shelf is empty: 0 on hand, 0 reserved, every piece shipped."
		none  = "The invariants hold: no stock, money or mail is left over from all of this."
	)
	return Scenario{
		Name: "race", Title: "200 shoppers, 50 items",
		About:    "Many shoppers order one box of truffles each, all at once.",
		Promises: []string{exact, shelf, none},
		Parameters: []Parameter{
			{Name: "shoppers", Title: "shoppers", Default: 200, Min: 2, Max: 500},
			{Name: "items", Title: "pieces on the shelf, unless there are more", Default: rareMany, Min: 1, Max: rareMany},
		},
		play: func(ctx context.Context, s *stage) error {
			before, err := s.shop.replenish(ctx, rare, s.parameter("items"))
			if err != nil {
				return err
			}
			shoppers := s.parameter("shoppers")
			s.did("made sure that %d × %s are on the shelf", before.OnHand, rare)
			one := basket{lines: []line{{rare, 1}}, token: "tok_visa"}
			ids, refused, err := s.crowd(ctx, shoppers, one)
			if err != nil {
				return err
			}
			s.did("sent %d orders at once: %d accepted, %d refused for want of stock", shoppers, len(ids), refused)
			ended, err := s.endOfAll(ctx, ids)
			if err != nil {
				return err
			}
			sold, short := 0, 0
			for _, o := range ended {
				switch {
				case o.Status == "completed":
					sold++
				case o.Status == "rejected" && strings.Contains(o.Reason, "are left"):
					short++
				}
			}
			want := min(before.OnHand, shoppers)
			s.judge(exact, sold == want && sold+short+refused == shoppers,
				fmt.Sprintf("%d sold of %d; %d rejected by the saga and %d refused at once for want of stock", sold, before.OnHand, short, refused))
			after, err := s.shop.stock(ctx, rare)
			if err != nil {
				return err
			}
			s.judge(shelf, after.OnHand == before.OnHand-want && after.Reserved == before.Reserved && after.Shipped == before.Shipped+want,
				fmt.Sprintf("%d on hand, %d reserved, %d more shipped", after.OnHand, after.Reserved, after.Shipped-before.Shipped))
			s.judgeInvariants(ctx, none)
			return nil
		},
	}
}

// crowd sends a basket n times at once. It returns the orders that were accepted,
// and counts what was refused for want of stock.
func (s *stage) crowd(ctx context.Context, n int, b basket) (ids []string, refused int, err error) {
	type answer struct {
		id  string
		err error
	}
	answers := make(chan answer, n)
	for range n {
		go func() {
			o, err := s.shop.place(ctx, b)
			answers <- answer{o.ID, err}
		}()
	}
	for i := range n {
		a := <-answers
		no, isRefusal := asRefusal(a.err)
		switch {
		case a.err == nil:
			ids = append(ids, a.id)
			s.order(a.id)
		case isRefusal && no.Code == "out_of_stock":
			refused++
		default:
			err = fmt.Errorf("an order was not accepted: %w", a.err)
		}
		s.progress("orders answered", i+1, n)
	}
	slices.Sort(ids)
	return ids, refused, err
}
