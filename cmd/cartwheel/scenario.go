package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cartwheel-shop/cartwheel/web/scenarios"
)

type scenarioCmd struct {
	Play scenarioPlayCmd `cmd:"" default:"withargs" help:"Play scenarios, one after the other (what scenario NAME… does)."`
	List scenarioListCmd `cmd:"" help:"Say what scenarios there are, and what must happen in each."`
}

type scenarioPlayCmd struct {
	server
	Names []string       `arg:"" optional:"" name:"name" help:"Names of scenarios; cartwheel scenario list has them."`
	All   bool           `help:"Play all that can be played in this shop."`
	Set   map[string]int `placeholder:"NAME=N" help:"A parameter, for every scenario that has it, like --set seconds=2."`
	JSON  bool           `name:"json" help:"Print the runs as JSON, at the end."`
}

// Help is shown by cartwheel scenario --help.
func (scenarioPlayCmd) Help() string {
	return `Exit status 0 when all that was promised happened, 2 when something did not, 1 when
a scenario could not be played.

Examples:
  cartwheel scenario all-well card-declined
  cartwheel scenario broker-away --set seconds=3
  cartwheel scenario --all --json
  cartwheel scenario list`
}

type scenarioListCmd struct {
	server
	JSON bool `name:"json" help:"Print as JSON."`
}

// scenarioItem is a scenario as the API lists it.
type scenarioItem struct {
	Name        string                `json:"name"`
	Title       string                `json:"title"`
	About       string                `json:"about"`
	Promises    []string              `json:"promises"`
	Parameters  []scenarios.Parameter `json:"parameters"`
	Available   bool                  `json:"available"`
	Unavailable string                `json:"unavailable,omitempty"`
}

func listScenarios(ctx context.Context, c *client) ([]scenarioItem, error) {
	var answer struct {
		Items []scenarioItem `json:"items"`
	}
	return answer.Items, c.do(ctx, http.MethodGet, "/api/scenarios", nil, &answer)
}

// Run lists the scenarios.
func (c *scenarioListCmd) Run(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	items, err := listScenarios(ctx, client)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(items)
	}
	for _, s := range items {
		fmt.Printf("%-17s %s\n", s.Name, s.Title)
		for _, p := range s.Promises {
			fmt.Printf("%-17s   - %s\n", "", p)
		}
		for _, p := range s.Parameters {
			fmt.Printf("%-17s   --set %s=%d (%s, %d to %d)\n", "", p.Name, p.Default, p.Title, p.Min, p.Max)
		}
		if !s.Available {
			fmt.Printf("%-17s   not in this shop: %s\n", "", s.Unavailable)
		}
	}
	return nil
}

// Run plays scenarios.
func (c *scenarioPlayCmd) Run(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	items, err := listScenarios(ctx, client)
	if err != nil {
		return err
	}
	byName, used := map[string]scenarioItem{}, map[string]bool{}
	names := c.Names
	for _, s := range items {
		byName[s.Name] = s
		if c.All && s.Available {
			names = append(names, s.Name)
		}
	}
	if len(names) == 0 {
		return fmt.Errorf("name the scenarios to play, or give --all; cartwheel scenario list has them")
	}
	for _, name := range names {
		s, ok := byName[name]
		if !ok {
			return fmt.Errorf("there is no scenario %q: cartwheel scenario list has them", name)
		}
		for _, p := range s.Parameters {
			used[p.Name] = true
		}
	}
	for name := range c.Set {
		if !used[name] {
			return fmt.Errorf("none of these scenarios has a parameter %q", name)
		}
	}
	var runs []scenarios.Run
	for _, name := range names {
		run, err := c.play(ctx, client, byName[name])
		if err != nil {
			return err
		}
		runs = append(runs, run)
	}
	if c.JSON {
		if err := printJSON(runs); err != nil {
			return err
		}
	}
	var broken, failed []string
	for _, run := range runs {
		switch run.State {
		case scenarios.Broken:
			broken = append(broken, run.Scenario)
		case scenarios.Failed:
			failed = append(failed, run.Scenario+": "+run.Error)
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("not played to the end: %s", strings.Join(failed, "; "))
	}
	if len(broken) > 0 {
		return errBroken
	}
	return nil
}

// play starts a scenario and tells what happens until it has ended.
func (c *scenarioPlayCmd) play(ctx context.Context, client *client, s scenarioItem) (scenarios.Run, error) {
	values := map[string]int{}
	for _, p := range s.Parameters {
		if v, ok := c.Set[p.Name]; ok {
			values[p.Name] = v
		}
	}
	var run scenarios.Run
	if err := client.do(ctx, http.MethodPost, "/api/scenarios/"+url.PathEscape(s.Name), map[string]any{"parameters": values}, &run); err != nil {
		return run, fmt.Errorf("%s: %w", s.Name, err)
	}
	if !c.JSON {
		fmt.Printf("%s\n  %s\n", s.Title, s.About)
	}
	for told := 0; ; {
		if !c.JSON {
			for _, st := range run.Steps[told:] {
				fmt.Printf("  %6.1fs  %s %s\n", st.At.Sub(run.StartedAt).Seconds(), map[scenarios.Kind]string{scenarios.Did: ">", scenarios.Saw: " "}[st.Kind], st.Text)
			}
			told = len(run.Steps)
		}
		if run.State != scenarios.Running {
			break
		}
		if !sleepUntil(ctx, time.Now().Add(250*time.Millisecond)) {
			return run, ctx.Err()
		}
		if err := client.do(ctx, http.MethodGet, "/api/scenarios/runs/"+run.ID, nil, &run); err != nil {
			return run, err
		}
	}
	if !c.JSON {
		printVerdict(run)
	}
	return run, nil
}

func printVerdict(run scenarios.Run) {
	marks := map[scenarios.Verdict]string{scenarios.Holds: "kept  ", scenarios.Fails: "BROKEN", scenarios.Open: "open  "}
	for _, p := range run.Promises {
		fmt.Printf("  %s  %s (%s)\n", marks[p.Verdict], p.Text, p.Detail)
	}
	if run.Error != "" {
		fmt.Printf("  %s\n", run.Error)
	}
	fmt.Printf("%s: %s after %.1f s\n\n", run.Scenario, run.State, run.EndedAt.Sub(run.StartedAt).Seconds())
}
