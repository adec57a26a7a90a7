package scenarios

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// stage is a run as the code of its scenario sees it: the shop, and helpers that
// act, watch and judge, and write down what they do.
type stage struct {
	*record
	cfg  Config
	shop *shop
	log  *slog.Logger

	before []string         // what broke an invariant before the run began
	seen   map[string]order // the orders as they were last looked at
	mends  []func(context.Context) error
}

const (
	// pollEvery is how often the shop is looked at.
	pollEvery = 150 * time.Millisecond
	// patience is how long something may take to come about.
	patience = 2 * time.Minute
)

// open finds the shop and notes how its invariants stand.
func (s *stage) open(ctx context.Context) error {
	base, err := s.cfg.Shop(ctx)
	if err != nil {
		return err
	}
	s.shop = newShop(base, s.cfg.Token)
	if s.before, err = s.shop.offenders(ctx); err != nil {
		return fmt.Errorf("the invariants cannot be checked: %w", err)
	}
	if len(s.before) > 0 {
		s.saw("%s before this run and does not count: %s", count(len(s.before), "invariant finding"), s.before[0])
	}
	return nil
}

// atEnd has fn called when the run ends, however it does.
func (s *stage) atEnd(fn func(context.Context) error) { s.mends = append(s.mends, fn) }

func (s *stage) mend(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), mending)
	defer cancel()
	var err error
	for _, fn := range slices.Backward(s.mends) {
		err = errors.Join(err, fn(ctx))
	}
	if s.shop != nil {
		s.shop.client.CloseIdleConnections()
	}
	return err
}

func (s *stage) parameter(name string) int { return s.run.Parameters[name] }

func (s *stage) did(format string, args ...any) { s.step(Did, "", fmt.Sprintf(format, args...)) }

func (s *stage) saw(format string, args ...any) { s.step(Saw, "", fmt.Sprintf(format, args...)) }

// wait pauses the scenario; false when ctx ends first.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// errPatience says that something did not come about.
var errPatience = errors.New("it did not happen in time")

// until looks again and again, until what is looked for is there. A shop that
// does not answer is looked at again: parts of it may have been killed.
func (s *stage) until(ctx context.Context, what string, there func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errPatience)
	defer cancel()
	var last error
	for {
		ok, err := there(ctx)
		if ok {
			return nil
		}
		if ctx.Err() == nil {
			last = err
		}
		if !wait(ctx, pollEvery) {
			return errors.Join(fmt.Errorf("waiting for %s: %w", what, context.Cause(ctx)), last)
		}
	}
}

// buy places an order, and says so.
func (s *stage) buy(ctx context.Context, b basket) (order, error) {
	o, err := s.shop.place(ctx, b)
	if err != nil {
		return o, fmt.Errorf("the order was not accepted: %w", err)
	}
	s.order(o.ID)
	s.step(Did, o.ID, fmt.Sprintf("ordered %s with card %s: accepted, %s", describe(b.lines), b.token, o.Status))
	return o, nil
}

func describe(lines []line) string {
	var parts []string
	for _, l := range lines {
		parts = append(parts, fmt.Sprintf("%d × %s", l.Quantity, l.SKU))
	}
	return strings.Join(parts, ", ")
}

// follow watches an order until there, and writes down what changes meanwhile.
func (s *stage) follow(ctx context.Context, id, what string, there func(order) bool) (order, error) {
	err := s.until(ctx, what, func(ctx context.Context) (bool, error) {
		o, err := s.shop.order(ctx, id)
		if err != nil {
			return false, err
		}
		s.changes(s.seen[id], o)
		s.seen[id] = o
		return there(o), nil
	})
	return s.seen[id], err
}

// changes writes down what is new in an order.
func (s *stage) changes(old, now order) {
	for _, st := range now.Steps {
		again := st.Attempts > 1 && st.Attempts != old.attempts(st.Name)
		if st.State == old.step(st.Name) && !again || st.State == "waiting" || st.State == "skipped" {
			continue
		}
		text := st.Name + ": " + st.State
		if st.Attempts > 1 {
			text += fmt.Sprintf(", attempt %d", st.Attempts)
		}
		if st.Error != "" {
			text += " – " + st.Error
		}
		s.step(Saw, now.ID, text)
	}
	if old.Status != now.Status && old.Status != "" {
		text := "the order is " + strings.ReplaceAll(now.Status, "_", " ")
		if now.Reason != "" {
			text += ": " + now.Reason
		}
		s.step(Saw, now.ID, text)
	}
}

// endOf follows an order to its end.
func (s *stage) endOf(ctx context.Context, id string) (order, error) {
	return s.follow(ctx, id, "the end of "+id, order.ended)
}

// endOfAll waits for many orders.
func (s *stage) endOfAll(ctx context.Context, ids []string) (map[string]order, error) {
	ended := map[string]order{}
	err := s.until(ctx, fmt.Sprintf("the end of %d orders", len(ids)), func(ctx context.Context) (bool, error) {
		// Others order too, so ours may stand further down.
		list, err := s.shop.newest(ctx, 4*len(ids)+200)
		if err != nil {
			return false, err
		}
		for _, o := range list {
			if o.ended() && slices.Contains(ids, o.ID) {
				ended[o.ID] = o
			}
		}
		s.progress("orders at their end", len(ended), len(ids))
		return len(ended) == len(ids), nil
	})
	return ended, err
}

// judgeMails waits until the mails of an order that are due are sent, and judges
// that each was sent once and no other.
func (s *stage) judgeMails(ctx context.Context, promise, id string, want ...string) {
	var detail string
	ok := false
	err := s.until(ctx, "the mails", func(ctx context.Context) (bool, error) {
		list, err := s.shop.mails(ctx, id)
		if err != nil {
			return false, err
		}
		var sent, got []string
		for _, m := range list {
			text := m.Kind + " " + m.State
			if m.Duplicate {
				text += ", perhaps twice"
			}
			got = append(got, text)
			if m.State == "sent" && !m.Duplicate {
				sent = append(sent, m.Kind)
			}
		}
		slices.Sort(sent)
		detail = strings.Join(got, ", ")
		ok = slices.Equal(sent, slices.Sorted(slices.Values(want))) && len(list) == len(want)
		return ok || len(list) > len(want), nil
	})
	if err != nil && detail == "" {
		detail = err.Error()
	}
	s.judge(promise, ok, detail)
}

// account is what the payment provider has in its books for an order.
type account struct {
	Authorized, Captured, Refunded int64
	Charges                        int
}

// books asks the payment provider; false when its books are closed to us.
func (s *stage) books(ctx context.Context, id string) (account, bool, error) {
	if s.cfg.Provider == "" {
		return account{}, false, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.cfg.Provider+"/books?reference="+url.QueryEscape(id), nil)
	if err != nil {
		return account{}, false, err
	}
	resp, err := s.shop.client.Do(req)
	if err != nil {
		return account{}, false, err
	}
	defer resp.Body.Close()
	var books struct {
		Items []account `json:"items"`
	}
	if resp.StatusCode == http.StatusNotFound { // a provider that shows nobody its books
		return account{}, false, nil
	}
	if err := json.NewDecoder(resp.Body).Decode(&books); err != nil {
		return account{}, false, fmt.Errorf("the provider's books: %w", err)
	}
	if len(books.Items) == 0 {
		return account{}, true, nil
	}
	return books.Items[0], true, nil
}

// judgeMoney judges that an order's money is where it belongs, by the ledger and
// by the provider's books: all of it taken, in one charge, or none of it kept.
func (s *stage) judgeMoney(ctx context.Context, promise string, o order) {
	want := int64(0)
	if o.Status == "completed" || o.Status == "shipped" {
		want = o.Total.Amount
	}
	held, holds := int64(0), int64(0)
	entries, err := s.shop.ledger(ctx, o.ID)
	for _, e := range entries {
		switch e.Account {
		case "sales": // what is earned is a credit
			held -= e.Amount.Amount
		case "card_holds":
			holds += e.Amount.Amount
		}
	}
	a, known, err2 := s.books(ctx, o.ID)
	if err := errors.Join(err, err2); err != nil {
		s.judge(promise, false, err.Error())
		return
	}
	ok := held == want && holds == 0
	detail := fmt.Sprintf("ledger: %s taken, %s set aside", amount(held, o), amount(holds, o))
	if known {
		detail += fmt.Sprintf("; provider: %s, %s taken, %s given back, %s set aside", count(a.Charges, "charge"), amount(a.Captured, o), amount(a.Refunded, o), amount(a.Authorized, o))
		ok = ok && a.Captured-a.Refunded == want && a.Authorized == 0 && a.Charges <= 1
	}
	s.judge(promise, ok, detail)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func amount(minor int64, o order) string {
	return fmt.Sprintf("%d.%02d %s", minor/100, minor%100, o.Total.Currency)
}

// judgeInvariants waits until nothing breaks an invariant that did not before.
func (s *stage) judgeInvariants(ctx context.Context, promise string) {
	var found []string
	err := s.until(ctx, "the invariants", func(ctx context.Context) (bool, error) {
		all, err := s.shop.offenders(ctx)
		if err != nil {
			return false, err
		}
		found = slices.DeleteFunc(all, func(o string) bool { return slices.Contains(s.before, o) })
		return len(found) == 0, nil
	})
	switch {
	case err == nil:
		s.judge(promise, true, "all six hold")
	case len(found) > 0:
		s.judge(promise, false, strings.Join(found[:min(len(found), 3)], "; "))
	default:
		s.judge(promise, false, err.Error())
	}
}

// goods picks a product that there is enough of, so that a run can be repeated for
// long.
func (s *stage) goods(ctx context.Context, atLeast int, fits func(product) bool) (product, error) {
	list, err := s.shop.products(ctx)
	if err != nil {
		return product{}, err
	}
	var best product
	for _, p := range list {
		if fits(p) && p.Available > best.Available {
			best = p
		}
	}
	if best.Available < atLeast {
		return product{}, errors.New("nothing that suits the scenario is left in the catalogue: take goods in by POST /api/stock/{sku}/replenish")
	}
	return best, nil
}

func cheap(p product) bool { return p.Price.Amount > 0 && p.Price.Amount < 1000 }
