package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/service"
)

type outboxCmd struct {
	Parked  outboxParkedCmd  `cmd:"" help:"List facts that Kafka refused for good, and those that wait behind them."`
	Release outboxReleaseCmd `cmd:"" help:"Send a parked fact, with all that is parked under its key, in their order."`
	Discard outboxDiscardCmd `cmd:"" help:"Forget a parked fact: it is never sent, and readers miss its version."`
}

// publishers are the services that have an outbox.
var publishers = []string{"order", "inventory", "payment", "notification", "analytics"}

type outboxParkedCmd struct {
	server
	Service string `enum:",order,inventory,payment,notification,analytics" default:"" help:"Only of this service."`
	JSON    bool   `name:"json" help:"Print as JSON."`
}

// Run lists parked facts.
func (c *outboxParkedCmd) Run(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	services := publishers
	if c.Service != "" {
		services = []string{c.Service}
	}
	all := []service.ParkedFact{}
	for _, name := range services {
		q := url.Values{"limit": {"200"}}
		for {
			var page struct {
				Items      []service.ParkedFact `json:"items"`
				NextCursor string               `json:"next_cursor"`
			}
			if err := client.do(ctx, http.MethodGet, "/api/outbox/"+name+"/parked?"+q.Encode(), nil, &page); err != nil {
				return err
			}
			all = append(all, page.Items...)
			if page.NextCursor == "" {
				break
			}
			q.Set("cursor", page.NextCursor)
		}
	}
	if c.JSON {
		return printJSON(all)
	}
	if len(all) == 0 {
		fmt.Println("nothing is parked")
		return nil
	}
	for _, p := range all {
		state := "parked"
		if p.Released {
			state = "released"
		}
		fmt.Printf("%-12s %8d %-8s %s %-28s %-30s %s\n", p.Service, p.Seq, state, p.ParkedAt.Format(time.DateTime), p.EventType, p.Key, p.Reason)
	}
	return nil
}

// parkedFact names one.
type parkedFact struct {
	server
	Service string `arg:"" enum:"order,inventory,payment,notification,analytics" help:"The service in whose outbox it is."`
	Seq     int64  `arg:"" help:"Its number, as cartwheel outbox parked shows it."`
}

func (p parkedFact) decide(ctx context.Context, decision string, answer any) error {
	if p.Seq < 1 {
		return errors.New("a fact's number is greater than 0: cartwheel outbox parked shows them")
	}
	client, err := p.client()
	if err != nil {
		return err
	}
	return client.do(ctx, http.MethodPost, fmt.Sprintf("/api/outbox/%s/parked/%d/%s", p.Service, p.Seq, decision), nil, answer)
}

type outboxReleaseCmd struct{ parkedFact }

// Run releases a key.
func (c *outboxReleaseCmd) Run(ctx context.Context) error {
	var answer struct {
		Released int64 `json:"released"`
	}
	if err := c.decide(ctx, "release", &answer); err != nil {
		return err
	}
	fmt.Printf("%d facts are being sent; what Kafka refuses once more is parked again\n", answer.Released)
	return nil
}

type outboxDiscardCmd struct{ parkedFact }

// Run discards a fact.
func (c *outboxDiscardCmd) Run(ctx context.Context) error {
	if err := c.decide(ctx, "discard", nil); err != nil {
		return err
	}
	fmt.Println("forgotten")
	return nil
}
