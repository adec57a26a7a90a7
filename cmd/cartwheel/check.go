package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"
)

type checkCmd struct {
	server
	JSON bool          `name:"json" help:"Print the verdicts as JSON."`
	Wait time.Duration `default:"0s" help:"Check again until everything holds, for so long."`
}

// Help is shown by cartwheel check --help.
func (checkCmd) Help() string {
	return `Exit status 0 when every invariant holds, 2 when one does not.

Examples:
  cartwheel check
  cartwheel check --server http://127.0.0.1:8080 --json`
}

type invariant struct {
	Name      string           `json:"name"`
	Holds     bool             `json:"holds"`
	Figures   map[string]int64 `json:"figures"`
	Offenders []string         `json:"offenders"`
}

// Run checks the invariants.
func (c *checkCmd) Run(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	var answer struct {
		At    time.Time   `json:"at"`
		Items []invariant `json:"items"`
	}
	for end := time.Now().Add(c.Wait); ; {
		if err := client.do(ctx, http.MethodGet, "/api/check", nil, &answer); err != nil {
			return err
		}
		if !slices.ContainsFunc(answer.Items, func(i invariant) bool { return !i.Holds }) || time.Now().After(end) || !sleepUntil(ctx, time.Now().Add(time.Second)) {
			break
		}
	}
	broken := false
	for _, i := range answer.Items {
		broken = broken || !i.Holds
	}
	if c.JSON {
		if err := printJSON(answer); err != nil {
			return err
		}
	} else {
		for _, i := range answer.Items {
			i.print()
		}
	}
	if broken {
		return errBroken
	}
	return nil
}

func (i invariant) print() {
	mark := "holds "
	if !i.Holds {
		mark = "BROKEN"
	}
	fmt.Printf("%s  %s\n", mark, i.Name)
	if !i.Holds {
		for _, o := range i.Offenders {
			fmt.Println("          " + o)
		}
		for _, k := range slices.Sorted(maps.Keys(i.Figures)) {
			fmt.Printf("          %s = %d\n", k, i.Figures[k])
		}
	}
}
