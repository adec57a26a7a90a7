package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

type dlqCmd struct {
	List    dlqListCmd    `cmd:"" help:"List dead letters, newest first."`
	Show    dlqShowCmd    `cmd:"" help:"Show one dead letter, with its raw bytes."`
	Redrive dlqRedriveCmd `cmd:"" help:"Hand dead letters back to the consumer that gave them up."`
	Discard dlqDiscardCmd `cmd:"" help:"Give dead letters up for good; what waits behind them in order goes on."`
}

// letter is a dead letter as the API shows it.
type letter struct {
	ID        string          `json:"id"`
	Group     string          `json:"group"`
	Topic     string          `json:"topic"`
	Partition int             `json:"partition"`
	Offset    int64           `json:"offset"`
	EventID   string          `json:"event_id"`
	Type      string          `json:"event_type"`
	Key       string          `json:"key"`
	Reason    string          `json:"reason"`
	Error     string          `json:"error"`
	Attempts  int             `json:"attempts"`
	FailedAt  time.Time       `json:"failed_at"`
	Redrives  int             `json:"redrives"`
	State     string          `json:"state"`
	Raw       []byte          `json:"raw"`
	Payload   json.RawMessage `json:"payload,omitempty"`
	Problems  []struct {
		Pointer string `json:"pointer"`
		Detail  string `json:"detail"`
	} `json:"problems,omitempty"`
}

type letterFilter struct {
	Group  string    `aliases:"consumer" help:"Consumer group, like notification.mails."`
	Reason string    `enum:",undecodable,unknown_version,failed,panicked,waits" default:"" help:"undecodable, unknown_version, failed, panicked or waits."`
	Type   string    `help:"Event type, with or without its version."`
	Key    string    `help:"Key of the message, like an order's id."`
	Text   string    `help:"Part of the error, in any case."`
	Since  time.Time `help:"Given up at this time or later, like 2026-01-02T03:04:05Z."`
	Until  time.Time `help:"Given up before this time."`
}

// fields are what is given, by its name in the API.
func (f letterFilter) fields() map[string]string {
	out := map[string]string{}
	for k, v := range map[string]string{"group": f.Group, "reason": f.Reason, "type": f.Type, "key": f.Key, "text": f.Text} {
		if v != "" {
			out[k] = v
		}
	}
	for k, v := range map[string]time.Time{"since": f.Since, "until": f.Until} {
		if !v.IsZero() {
			out[k] = v.Format(time.RFC3339Nano)
		}
	}
	return out
}

func (f letterFilter) query() url.Values {
	q := url.Values{"limit": {"200"}}
	for k, v := range f.fields() {
		q.Set(k, v)
	}
	return q
}

// letters pages through all dead letters that match.
func letters(ctx context.Context, c *client, q url.Values) ([]letter, error) {
	all := []letter{}
	for {
		var page struct {
			Items      []letter `json:"items"`
			NextCursor string   `json:"next_cursor"`
		}
		if err := c.do(ctx, http.MethodGet, "/api/dead-letters?"+q.Encode(), nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if page.NextCursor == "" {
			return all, nil
		}
		q.Set("cursor", page.NextCursor)
	}
}

type dlqListCmd struct {
	server
	letterFilter
	JSON bool `name:"json" help:"Print as JSON."`
}

// Run lists dead letters.
func (c *dlqListCmd) Run(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	list, err := letters(ctx, client, c.query())
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(list)
	}
	if len(list) == 0 {
		fmt.Println("no dead letters")
		return nil
	}
	for _, l := range list {
		fmt.Printf("%-36s %-8s %-15s %-28s %s\n", l.ID, l.State, l.Reason, l.Type, strings.ReplaceAll(l.Error, "\n", " "))
	}
	return nil
}

type dlqShowCmd struct {
	server
	ID   string `arg:"" help:"Id of the dead letter, group/partition/offset."`
	JSON bool   `name:"json" help:"Print as JSON."`
}

// Run shows a dead letter.
func (c *dlqShowCmd) Run(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	var l letter
	var p *problem
	switch err := client.do(ctx, http.MethodGet, "/api/dead-letters/"+c.ID, nil, &l); {
	case errors.As(err, &p) && (p.Status == http.StatusNotFound || p.Status == http.StatusUnprocessableEntity):
		return fmt.Errorf("there is no dead letter %s: cartwheel dlq list shows what there is", c.ID)
	case err != nil:
		return err
	}
	if c.JSON {
		return printJSON(l)
	}
	fmt.Printf("id         %s (%s)\nread from  %s, partition %d, offset %d, key %s\nevent      %s %s\nreason     %s after %d attempts, at %s; redriven %d times\nerror      %s\n",
		l.ID, l.State, l.Topic, l.Partition, l.Offset, l.Key, l.Type, l.EventID, l.Reason, l.Attempts, l.FailedAt.Format(time.RFC3339), l.Redrives, l.Error)
	for _, w := range l.Problems {
		fmt.Printf("schema     %s: %s\n", cmp.Or(w.Pointer, "/"), w.Detail)
	}
	fmt.Printf("raw bytes  %d\n%s\n", len(l.Raw), l.Raw)
	return nil
}

type dlqRedriveCmd struct {
	server
	letterFilter
	IDs    []string `arg:"" optional:"" name:"id" help:"Ids of dead letters."`
	All    bool     `help:"Really all, without ids or a filter."`
	DryRun bool     `help:"Say what would happen, and do nothing."`
	Rate   int      `default:"100" help:"Messages per second, at most."`
	Force  bool     `help:"Also what was redriven already, or came back three times."`
	JSON   bool     `name:"json" help:"Print as JSON."`
}

// Help is shown by cartwheel dlq redrive --help.
func (dlqRedriveCmd) Help() string {
	return `Examples:
  cartwheel dlq redrive notification.mails/0/17
  cartwheel dlq redrive --reason failed --dry-run
  cartwheel dlq redrive --group notification.mails --text "no such customer" --rate 500

A redrive that was stopped, by kill -9 too, goes on where it was when the same
command is given again.`
}

// Validate refuses a redrive of nobody knows what.
func (c *dlqRedriveCmd) Validate() error {
	if len(c.IDs) == 0 && len(c.fields()) == 0 && !c.All {
		return errors.New("give ids of dead letters, a filter like --reason failed, or --all")
	}
	return nil
}

// portion is how many seconds' worth of letters one call sends, so that it is
// answered long before anybody's patience ends.
const portion = 10

type redriven struct {
	ID      string `json:"id"`
	Outcome string `json:"outcome"`
	Detail  string `json:"detail,omitempty"`
}

type redriveReport struct {
	Items  []redriven `json:"items"`
	More   bool       `json:"more,omitempty"`
	DryRun bool       `json:"dry_run"`
}

// Run redrives dead letters, a portion at a time. What was sent stays sent: the
// same command made anew goes on where this one was stopped.
func (c *dlqRedriveCmd) Run(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	all := redriveReport{Items: []redriven{}, DryRun: c.DryRun}
	told := map[string]bool{}
	tell := func(report redriveReport) {
		for _, r := range report.Items {
			if told[r.ID] { // refused again by a later portion
				continue
			}
			told[r.ID] = true
			all.Items = append(all.Items, r)
			if !c.JSON {
				fmt.Printf("%-36s %-16s %s\n", r.ID, r.Outcome, r.Detail)
			}
		}
	}
	body := map[string]any{"dry_run": c.DryRun, "rate": c.Rate, "force": c.Force, "all": c.All, "limit": max(1, c.Rate) * portion}
	for k, v := range c.fields() {
		body[k] = v
	}
	ids := c.IDs
	if c.Force && len(ids) == 0 {
		// What was sent by force would be sent again by the next portion.
		list, err := letters(ctx, client, c.query())
		if err != nil {
			return err
		}
		for _, l := range slices.Backward(list) {
			ids = append(ids, l.ID)
		}
		if len(ids) == 0 {
			body = nil
		}
	}
	for more := body != nil; more; {
		n := min(len(ids), max(1, c.Rate)*portion, 1000)
		if n > 0 {
			body["ids"] = ids[:n]
			ids = ids[n:]
		}
		var report redriveReport
		if err := client.do(ctx, http.MethodPost, "/api/dead-letters/redrive", body, &report); err != nil {
			return err
		}
		tell(report)
		more = report.More || len(ids) > 0
	}
	if c.JSON {
		return printJSON(all)
	}
	if len(all.Items) == 0 {
		fmt.Println("nothing matches that was not redriven already")
	}
	return nil
}

type dlqDiscardCmd struct {
	server
	IDs    []string `arg:"" name:"id" help:"Ids of dead letters."`
	DryRun bool     `help:"Say what would happen, and do nothing."`
	JSON   bool     `name:"json" help:"Print as JSON."`
}

// Run discards dead letters.
func (c *dlqDiscardCmd) Run(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	var report redriveReport
	if err := client.do(ctx, http.MethodPost, "/api/dead-letters/redrive", map[string]any{"ids": c.IDs, "discard": true, "dry_run": c.DryRun}, &report); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(report)
	}
	for _, r := range report.Items {
		fmt.Printf("%-36s %-16s %s\n", r.ID, r.Outcome, r.Detail)
	}
	return nil
}
