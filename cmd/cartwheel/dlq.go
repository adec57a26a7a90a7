package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

type dlqCmd struct {
	List    dlqListCmd    `cmd:"" help:"List dead letters, newest first."`
	Show    dlqShowCmd    `cmd:"" help:"Show one dead letter, with its raw bytes."`
	Redrive dlqRedriveCmd `cmd:"" help:"Hand dead letters back to the consumer that gave them up."`
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
}

type letterFilter struct {
	Group  string `help:"Consumer group, like notification.mails."`
	Reason string `enum:",undecodable,unknown_version,failed,panicked" default:"" help:"undecodable, unknown_version, failed or panicked."`
	Type   string `help:"Event type, with or without its version."`
}

func (f letterFilter) query() url.Values {
	q := url.Values{"limit": {"200"}}
	for k, v := range map[string]string{"group": f.Group, "reason": f.Reason, "type": f.Type} {
		if v != "" {
			q.Set(k, v)
		}
	}
	return q
}

// letters pages through all dead letters that match.
func letters(ctx context.Context, c *client, q url.Values) ([]letter, error) {
	var all []letter
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
	group, _, _ := strings.Cut(c.ID, "/")
	list, err := letters(ctx, client, letterFilter{Group: group}.query())
	if err != nil {
		return err
	}
	for _, l := range list {
		if l.ID != c.ID {
			continue
		}
		if c.JSON {
			return printJSON(l)
		}
		fmt.Printf("id         %s (%s)\nread from  %s, partition %d, offset %d, key %s\nevent      %s %s\nreason     %s after %d attempts, at %s; redriven %d times\nerror      %s\nraw bytes  %d\n%s\n",
			l.ID, l.State, l.Topic, l.Partition, l.Offset, l.Key, l.Type, l.EventID, l.Reason, l.Attempts, l.FailedAt.Format(time.RFC3339), l.Redrives, l.Error, len(l.Raw), l.Raw)
		return nil
	}
	return fmt.Errorf("there is no dead letter %s: cartwheel dlq list shows what there is", c.ID)
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
  cartwheel dlq redrive --reason failed --dry-run`
}

// Run redrives dead letters.
func (c *dlqRedriveCmd) Run(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	var report struct {
		Items []struct {
			ID      string `json:"id"`
			Outcome string `json:"outcome"`
		} `json:"items"`
		DryRun bool `json:"dry_run"`
	}
	body := map[string]any{"dry_run": c.DryRun, "rate": c.Rate, "force": c.Force, "all": c.All}
	if len(c.IDs) > 0 {
		body["ids"] = c.IDs
	}
	for k, v := range map[string]string{"group": c.Group, "reason": c.Reason, "type": c.Type} {
		if v != "" {
			body[k] = v
		}
	}
	if err := client.do(ctx, http.MethodPost, "/api/dead-letters/redrive", body, &report); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(report)
	}
	for _, r := range report.Items {
		fmt.Printf("%-36s %s\n", r.ID, r.Outcome)
	}
	if len(report.Items) == 0 {
		fmt.Println("nothing matches")
	}
	return nil
}
