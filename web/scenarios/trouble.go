package scenarios

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

func asRefusal(err error) (*refusal, bool) {
	return errors.AsType[*refusal](err)
}

// readers are the consumer groups that read the topic of orders.
var readers = []string{"analytics.facts", "analytics.products", "analytics.sales", "notification.mails", "order.start-saga"}

// duplicateEvent has Kafka deliver an order's facts a second time.
func duplicateEvent() Scenario {
	const (
		charge = "The customer is charged once, exactly the total."
		mails  = "Two mails are sent, once each: confirmed, shipped. The copies send none."
		passed = "The copies are read by every group, and become no dead letters."
		once   = "Every fact takes effect once: sales, stock and money are as if there were no copies, and all six invariants hold."
	)
	return Scenario{
		Name: "duplicate-event", Title: "A duplicate event",
		About:    "An order completes. Then its facts are written into Kafka once more, byte for byte, as a producer does that lost an answer and tries again.",
		Promises: []string{charge, mails, passed, once},
		needs:    []need{kafka},
		play: func(ctx context.Context, s *stage) error {
			k, err := s.kafka()
			if err != nil {
				return err
			}
			o, err := s.complete(ctx)
			if err != nil {
				return err
			}
			var facts []fact
			if err := s.until(ctx, "the order's facts", func(ctx context.Context) (bool, error) {
				all, err := s.shop.facts(ctx, o.ID)
				facts = slices.DeleteFunc(all, func(f fact) bool { return f.Detail.Topic != "orders" })
				return slices.ContainsFunc(facts, func(f fact) bool { return strings.HasPrefix(f.Name, "order.completed.") }), err
			}); err != nil {
				return err
			}
			var last place
			for _, f := range facts {
				if last, err = k.again(ctx, place{f.Detail.Topic, f.Detail.Partition, f.Detail.Offset}); err != nil {
					return err
				}
				s.step(Did, o.ID, fmt.Sprintf("wrote %s again, to %s", f.Name, last))
			}
			if err := s.until(ctx, "the copies to be read", func(ctx context.Context) (bool, error) {
				return k.passed(ctx, last, readers...)
			}); err != nil {
				return err
			}
			s.saw("%s have read past %s", strings.Join(readers, ", "), last)
			letters, err := s.lettersFrom(ctx, last.topic, last.partition, facts[0].Detail.Offset)
			if err != nil {
				return err
			}
			s.judge(passed, len(letters) == 0, fmt.Sprintf("%d copies read, %d dead letters", len(facts), len(letters)))
			s.judgeMoney(ctx, charge, o)
			s.judgeMails(ctx, mails, o.ID, "confirmed", "shipped")
			s.judgeInvariants(ctx, once)
			return nil
		},
	}
}

// complete buys something and follows the order to its end.
func (s *stage) complete(ctx context.Context) (order, error) {
	p, err := s.goods(ctx, 1, cheap)
	if err != nil {
		return order{}, err
	}
	o, err := s.buy(ctx, basket{lines: []line{{p.SKU, 1}}, token: "tok_visa"})
	if err != nil {
		return o, err
	}
	if o, err = s.endOf(ctx, o.ID); err == nil && o.Status != "completed" {
		err = fmt.Errorf("the order ended %s: %s", o.Status, o.Reason)
	}
	return o, err
}

// lettersFrom are the dead letters of a partition from an offset on.
func (s *stage) lettersFrom(ctx context.Context, topic string, partition int32, offset int64) ([]letter, error) {
	all, err := s.shop.letters(ctx)
	return slices.DeleteFunc(all, func(l letter) bool {
		return l.Topic != topic || l.Partition != partition || l.Offset < offset
	}), err
}

// poisonMessage puts bytes that are no event in front of an order's facts.
func poisonMessage() Scenario {
	const (
		dead  = "Every group that reads the topic puts it among its dead letters, with the reason and the very bytes."
		on    = "The partition goes on: the order whose facts stand behind it completes."
		mails = "Its mails, which hang on facts behind the poison, are sent once each: confirmed, shipped."
	)
	return Scenario{
		Name: "poison-message", Title: "A poison message",
		About:    "While an order is under way, somebody writes bytes that are no event into its partition, in front of its next facts.",
		Promises: []string{dead, on, mails, nothingLeft},
		needs:    []need{kafka},
		play: func(ctx context.Context, s *stage) error {
			k, err := s.kafka()
			if err != nil {
				return err
			}
			p, err := s.goods(ctx, 1, cheap)
			if err != nil {
				return err
			}
			o, err := s.buy(ctx, basket{lines: []line{{p.SKU, 1}}, token: "tok_slow"})
			if err != nil {
				return err
			}
			poison := fmt.Sprintf(`{"event_type": "order.created.v2", "poison": "written by scenario run %s", "data": `, s.read().ID)
			at, err := k.write(ctx, "orders", o.ID, []byte(poison))
			if err != nil {
				return err
			}
			s.did("wrote %d bytes that are no event to %s, under the order's key", len(poison), at)
			var found []letter
			err = s.until(ctx, "the dead letters", func(ctx context.Context) (bool, error) {
				found, err = s.lettersFrom(ctx, at.topic, at.partition, at.offset)
				found = slices.DeleteFunc(found, func(l letter) bool { return l.Offset != at.offset })
				return len(found) >= len(readers), err
			})
			if err != nil && len(found) == 0 {
				return err
			}
			var by []string
			whole := true
			for _, l := range found {
				by = append(by, l.Group)
				whole = whole && string(l.Raw) == poison && l.Reason == "undecodable"
				s.saw("dead letter %s: %s", l.ID, l.Reason)
			}
			slices.Sort(by)
			s.judge(dead, whole && slices.Equal(by, readers), "dead letters of "+strings.Join(by, ", "))
			if o, err = s.endOf(ctx, o.ID); err != nil {
				return err
			}
			behind := false
			if err := s.until(ctx, "the order's facts", func(ctx context.Context) (bool, error) {
				facts, err := s.shop.facts(ctx, o.ID)
				behind = slices.ContainsFunc(facts, func(f fact) bool {
					return f.Detail.Topic == at.topic && f.Detail.Partition == at.partition && f.Detail.Offset > at.offset
				})
				return behind, err
			}); err != nil && !errors.Is(err, errPatience) {
				return err
			}
			s.judge(on, o.Status == "completed" && behind, o.Status)
			s.judgeMails(ctx, mails, o.ID, "confirmed", "shipped")
			s.judgeInvariants(ctx, nothingLeft)
			return nil
		},
	}
}

// victim is the service that is killed: the one that is about to move money.
const victim = "payment"

// serviceKilled kills a service while it charges.
func serviceKilled() Scenario {
	const (
		accepted = "While it is dead, the shop goes on taking orders."
		complete = "After it is back, every order completes, the one in the middle of its charge too."
		charge   = "The customer whose charge was cut off is charged once, exactly the total, and the provider's own books say so."
		mails    = "Two mails are sent for it, once each: confirmed, shipped."
	)
	return Scenario{
		Name: "service-killed", Title: "A service killed in mid-order",
		About: "The payment service is killed while the bank is being asked: SIGKILL, nothing is drained, every connection is cut. " +
			"It stays dead for a while, in which more orders come in, and is then started again.",
		Promises: []string{accepted, complete, charge, mails, nothingLeft},
		Parameters: []Parameter{
			{Name: "seconds", Title: "seconds that it stays dead", Default: 3, Min: 0, Max: 60},
			{Name: "orders", Title: "orders meanwhile", Default: 5, Min: 1, Max: 100},
		},
		needs: []need{machine},
		play: func(ctx context.Context, s *stage) error {
			m := s.cfg.Machine
			pid, err := m.Isolate(ctx, victim)
			if err != nil {
				return err
			}
			s.did("the %s service is a process of its own, %d", victim, pid)
			if err := s.until(ctx, "the service to be ready", s.ready); err != nil {
				return err
			}
			p, err := s.goods(ctx, 1, cheap)
			if err != nil {
				return err
			}
			o, err := s.buy(ctx, basket{lines: []line{{p.SKU, 1}}, token: "tok_slow"})
			if err != nil {
				return err
			}
			if _, err = s.follow(ctx, o.ID, "the bank to be asked", func(o order) bool { return o.step("payment.authorize") == "running" || o.ended() }); err != nil {
				return err
			}
			s.atEnd(func(ctx context.Context) error { return m.Start(ctx, victim) })
			if err := m.Kill(ctx, victim); err != nil {
				return err
			}
			s.did("killed process %d", pid)
			ids, failure := s.meanwhile(ctx, time.Duration(s.parameter("seconds"))*time.Second, s.parameter("orders"), basket{lines: []line{{p.SKU, 1}}, token: "tok_visa"})
			s.judge(accepted, failure == nil, sayAccepted(len(ids), failure))
			if err := m.Start(ctx, victim); err != nil {
				return err
			}
			s.did("started the %s service again", victim)
			return s.allComplete(ctx, complete, charge, mails, o.ID, ids)
		},
	}
}

func sayAccepted(n int, failure error) string {
	if failure != nil {
		return failure.Error()
	}
	return fmt.Sprintf("%d orders accepted", n)
}

// ready asks the shop whether everything is up.
func (s *stage) ready(ctx context.Context) (bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.shop.base+"/readyz", nil)
	if err != nil {
		return false, err
	}
	resp, err := s.shop.client.Do(req)
	if err != nil {
		return false, err
	}
	return resp.StatusCode == http.StatusOK, resp.Body.Close()
}

// meanwhile places n orders, spread over a time, and waits for its end.
func (s *stage) meanwhile(ctx context.Context, d time.Duration, n int, b basket) (ids []string, failure error) {
	end := time.Now().Add(d)
	for i := range n {
		o, err := s.shop.place(ctx, b)
		if err != nil {
			failure = errors.Join(failure, err)
		} else {
			s.order(o.ID)
			ids = append(ids, o.ID)
		}
		s.progress("orders placed meanwhile", i+1, n)
		if left := time.Until(end); left > 0 && !wait(ctx, left/time.Duration(n-i)) {
			return ids, errors.Join(failure, ctx.Err())
		}
	}
	s.did("placed %d orders meanwhile: %d accepted", n, len(ids))
	return ids, failure
}

// allComplete judges one order in detail and the others by their end.
func (s *stage) allComplete(ctx context.Context, complete, charge, mails, id string, others []string) error {
	o, err := s.endOf(ctx, id)
	if err != nil {
		return err
	}
	ended, err := s.endOfAll(ctx, others)
	if err != nil {
		return err
	}
	n := 0
	for _, other := range ended {
		if other.Status == "completed" {
			n++
		}
	}
	s.judge(complete, o.Status == "completed" && n == len(others), fmt.Sprintf("it is %s; of the others, %d of %d completed", o.Status, n, len(others)))
	s.judgeMoney(ctx, charge, o)
	s.judgeMails(ctx, mails, o.ID, "confirmed", "shipped")
	s.judgeInvariants(ctx, nothingLeft)
	return nil
}

// brokerAway stops Kafka for a while.
func brokerAway() Scenario {
	const (
		accepted = "While Kafka is away the shop goes on taking orders; their facts wait in the outbox."
		complete = "When it is back, every order completes by itself."
		charge   = "The order that was under way is charged once, exactly its total."
		mails    = "Two mails are sent for it, once each: confirmed, shipped."
	)
	return Scenario{
		Name: "broker-away", Title: "The broker away for 10 s",
		About:    "Kafka is stopped in the middle of an order and started again, with its data, after a while in which more orders come in.",
		Promises: []string{accepted, complete, charge, mails, nothingLeft},
		Parameters: []Parameter{
			{Name: "seconds", Title: "seconds that it is away", Default: 10, Min: 0, Max: 120},
			{Name: "orders", Title: "orders meanwhile", Default: 20, Min: 1, Max: 200},
		},
		needs: []need{noBroker},
		play: func(ctx context.Context, s *stage) error {
			m := s.cfg.Machine
			p, err := s.goods(ctx, 1, cheap)
			if err != nil {
				return err
			}
			o, err := s.buy(ctx, basket{lines: []line{{p.SKU, 1}}, token: "tok_slow"})
			if err != nil {
				return err
			}
			if _, err = s.follow(ctx, o.ID, "the order to be under way", func(o order) bool { return o.step("payment.authorize") == "running" || o.ended() }); err != nil {
				return err
			}
			s.atEnd(m.StartKafka)
			if err := m.StopKafka(ctx); err != nil {
				return err
			}
			s.did("stopped Kafka")
			ids, failure := s.meanwhile(ctx, time.Duration(s.parameter("seconds"))*time.Second, s.parameter("orders"), basket{lines: []line{{p.SKU, 1}}, token: "tok_visa"})
			s.judge(accepted, failure == nil, sayAccepted(len(ids), failure))
			if err := m.StartKafka(ctx); err != nil {
				return err
			}
			s.did("started Kafka again, with its data")
			return s.allComplete(ctx, complete, charge, mails, o.ID, ids)
		},
	}
}
