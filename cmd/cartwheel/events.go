package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/events/schemas"
)

type eventsCmd struct {
	Tail      eventsTailCmd      `cmd:"" help:"Show events as they come."`
	Catalogue eventsCatalogueCmd `cmd:"" help:"List every event of the contract."`
	Validate  eventsValidateCmd  `cmd:"" help:"Check payloads against the published schemas."`
}

type eventsTailCmd struct {
	server
	Brokers   []string `placeholder:"HOST:PORT" help:"Kafka brokers; default: those of the shop on the data directory."`
	Topics    []string `help:"Topics; default: all of the contract."`
	FromStart bool     `help:"From the beginning instead of from now on."`
	Order     string   `placeholder:"ID" help:"Only what is on the way of this order."`
	JSON      bool     `name:"json" help:"Print whole events, one a line."`
}

// Help is shown by cartwheel events tail --help.
func (eventsTailCmd) Help() string {
	return `Examples:
  cartwheel events tail
  cartwheel events tail --topics orders,payments --from-start --json`
}

// Run shows events until it is stopped.
func (c *eventsTailCmd) Run(ctx context.Context) error {
	var known []string
	for _, t := range events.Topics() {
		known = append(known, t.Name)
	}
	topics := c.Topics
	if len(topics) == 0 {
		topics = known
	}
	for _, t := range topics {
		if !slices.Contains(known, t) {
			return fmt.Errorf("--topics: there is no topic %q: choose of %s", t, strings.Join(known, ", "))
		}
	}
	brokers := c.Brokers
	if len(brokers) == 0 {
		e, err := c.endpoints()
		if err != nil {
			return err
		}
		brokers = strings.Split(e.Kafka, ",")
	}
	err := bus.Tail(ctx, bus.Config{Brokers: brokers, Service: "tail"}, topics, nil, c.FromStart, func(r bus.Record) error {
		env, err := events.Decode(r.Value)
		var unknown *events.UnknownType
		switch {
		case c.Order != "" && env.Metadata.CorrelationID != c.Order:
			return nil
		case c.JSON:
			fmt.Println(string(bytes.TrimSpace(r.Value)))
			return nil
		case err != nil && !errors.As(err, &unknown):
			fmt.Printf("%s/%d/%d: %v\n", r.Topic, r.Partition, r.Offset, err)
			return nil
		}
		fmt.Printf("%s  %-28s %-32s v%-3d %s/%d/%d\n", env.Timestamp.Format(time.TimeOnly), env.Type, env.Metadata.AggregateID, env.Metadata.AggregateVersion, r.Topic, r.Partition, r.Offset)
		return nil
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

type eventsCatalogueCmd struct {
	JSON bool `name:"json" help:"Print as JSON."`
}

// Run lists the contract.
func (c *eventsCatalogueCmd) Run() error {
	list := events.Registered()
	if c.JSON {
		return printJSON(list)
	}
	for _, d := range list {
		fmt.Printf("%-36s %-14s key: %-14s by %-13s %s\n", d.Type, d.Topic, d.Key, d.Producer, d.Description)
	}
	return nil
}

type eventsValidateCmd struct {
	Files []string `arg:"" name:"file" help:"Files with one event, an array of events, or one event a line; - for standard input."`
	JSON  bool     `name:"json" help:"Print the findings as JSON."`
}

// Help is shown by cartwheel events validate --help.
func (eventsValidateCmd) Help() string {
	return `Exit status 0 when every event is valid, 2 when one is not.

Examples:
  cartwheel events validate pkg/events/testdata/golden/order.created.v2.json
  cartwheel events tail --json --from-start | cartwheel events validate -`
}

// finding is what is wrong with one event.
type finding struct {
	File    string `json:"file"`
	Event   int    `json:"event"` // from 1
	Problem string `json:"problem"`
}

// Run validates files.
func (c *eventsValidateCmd) Run() error {
	findings := []finding{}
	count := 0
	for _, file := range c.Files {
		raw, err := readFile(file)
		if err != nil {
			return err
		}
		list := splitEvents(raw)
		if len(list) == 0 {
			findings = append(findings, finding{file, 0, "there is no event in it"})
		}
		for i, event := range list {
			count++
			if err := schemas.Validate(event); err != nil {
				findings = append(findings, finding{file, i + 1, err.Error()})
			}
		}
	}
	switch {
	case c.JSON:
		if err := printJSON(map[string]any{"events": count, "findings": findings}); err != nil {
			return err
		}
	case len(findings) == 0:
		fmt.Printf("%d events, all valid\n", count)
	default:
		for _, f := range findings {
			fmt.Printf("%s, event %d: %s\n", f.File, f.Event, f.Problem)
		}
	}
	if len(findings) > 0 {
		return errBroken
	}
	return nil
}

func readFile(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(os.Stdin)
	}
	return os.ReadFile(name)
}

// splitEvents finds the events in a text: an array's elements, a text that is one
// JSON value, or else one event a line.
func splitEvents(raw []byte) [][]byte {
	raw = bytes.TrimSpace(raw)
	var array []json.RawMessage
	if json.Unmarshal(raw, &array) == nil && len(raw) > 0 && raw[0] == '[' {
		out := make([][]byte, len(array))
		for i, e := range array {
			out[i] = e
		}
		return out
	}
	if json.Valid(raw) || !bytes.Contains(raw, []byte("}\n{")) {
		if len(raw) == 0 {
			return nil
		}
		return [][]byte{raw}
	}
	var out [][]byte
	for line := range bytes.Lines(raw) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			out = append(out, line)
		}
	}
	return out
}
