package scenarios

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// slowGroup is the consumer that is made slow: it writes the mails that facts are due.
const slowGroup = "notification.mails"

// slowConsumer makes a consumer slow, by a fault at the point in front of its
// commits.
func slowConsumer() Scenario {
	const (
		orders = "Orders do not wait for it: all complete while mails are still due."
		lag    = "The lag of its group says so while it lasts, and falls to 0 by itself afterwards."
		mails  = "Every mail is sent, once each: confirmed, shipped."
	)
	return Scenario{
		Name: "slow-consumer", Title: "A slow consumer",
		About:    "The consumer that writes mails takes its time over each fact. Nobody else waits for it, and nothing is lost: what it has not read waits in Kafka.",
		Promises: []string{orders, lag, mails, nothingLeft},
		Parameters: []Parameter{
			{Name: "milliseconds", Title: "milliseconds for each fact", Default: 1000, Min: 50, Max: 10000},
			{Name: "orders", Title: "orders meanwhile", Default: 10, Min: 1, Max: 100},
		},
		needs: []need{faults},
		play: func(ctx context.Context, s *stage) error {
			p, err := s.goods(ctx, 1, cheap)
			if err != nil {
				return err
			}
			slow := time.Duration(s.parameter("milliseconds")) * time.Millisecond
			mend, err := s.arm(ctx, "notification", fault{Point: "inbox.before", Kind: "delay", Key: slowGroup, For: slow.String()})
			if err != nil {
				return err
			}
			s.atEnd(mend)
			s.did("made %s take %s longer over each fact", slowGroup, slow)
			ids, failure := s.meanwhile(ctx, 0, s.parameter("orders"), basket{lines: []line{{p.SKU, 1}}, token: "tok_visa"})
			if failure != nil {
				return fmt.Errorf("an order was not accepted: %w", failure)
			}
			ended, err := s.endOfAll(ctx, ids)
			if err != nil {
				return err
			}
			completed := 0
			for _, o := range ended {
				if o.Status == "completed" {
					completed++
				}
			}
			behind, err := s.shop.lag(ctx, slowGroup)
			if err != nil {
				return err
			}
			s.saw("%d of %d orders have completed; %s is %d facts behind", completed, len(ids), slowGroup, behind)
			s.judge(orders, completed == len(ids) && behind > 0, fmt.Sprintf("%d of %d completed, with %d facts still unread", completed, len(ids), behind))
			if err := mend(ctx); err != nil {
				return err
			}
			s.did("made it as fast as it was")
			most := behind
			err = s.until(ctx, "the consumer to catch up", func(ctx context.Context) (bool, error) {
				behind, err = s.shop.lag(ctx, slowGroup)
				most = max(most, behind)
				s.progress("facts read of those that waited", max(0, most-behind), most)
				return err == nil && behind == 0, err
			})
			s.judge(lag, most > 0 && behind == 0, fmt.Sprintf("it was %d facts behind, and is %d", most, behind))
			if err != nil {
				return err
			}
			s.judgeMails(ctx, mails, ids[len(ids)-1], "confirmed", "shipped")
			s.judgeInvariants(ctx, nothingLeft)
			return nil
		},
	}
}

// lag is how many facts a consumer group has not read.
func (c *shop) lag(ctx context.Context, group string) (int, error) {
	var answer struct {
		Groups []struct {
			Group string `json:"group"`
			Lag   int    `json:"lag"`
		} `json:"groups"`
	}
	if err := c.do(ctx, http.MethodGet, "/api/brokers", nil, &answer); err != nil {
		return 0, err
	}
	for _, g := range answer.Groups {
		if g.Group == group {
			return g.Lag, nil
		}
	}
	return 0, errors.New("Kafka knows of no group " + group)
}

// fault is something to go wrong in a service, as its operator's call takes it.
type fault struct {
	ID    string `json:"id,omitempty"`
	Point string `json:"point"`
	Kind  string `json:"kind"`
	Key   string `json:"key,omitempty"`
	For   string `json:"for,omitempty"`
}

// arm has something go wrong in a service until it is mended, which may be twice.
func (s *stage) arm(ctx context.Context, service string, f fault) (mend func(context.Context) error, err error) {
	at := newShop(s.cfg.Services[service], s.cfg.Token)
	var armed fault
	if err := at.do(ctx, http.MethodPost, "/internal/faults", f, &armed); err != nil {
		return nil, fmt.Errorf("the fault cannot be armed: %w", err)
	}
	return func(ctx context.Context) error {
		err := at.do(ctx, http.MethodDelete, "/internal/faults/"+armed.ID, nil, nil)
		if no, ok := asRefusal(err); ok && no.Status == http.StatusNotFound {
			return nil // it is mended
		}
		return err
	}, nil
}
