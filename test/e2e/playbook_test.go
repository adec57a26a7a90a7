package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// playbook is every scenario that the shop offers, with parameters that are small
// enough for a test.
var playbook = map[string]string{
	"all-well": "", "card-declined": "", "out-of-stock": "", "approval": "", "card-times-out": "", "capture-refused": "",
	"courier-refuses": "", "customer-cancels": "", "race": "", "duplicate-event": "", "poison-message": "", "slow-consumer": "orders=4",
	"service-killed": "seconds=1", "broker-away": "seconds=2",
}

type scenarioRun struct {
	Scenario, State, Error string
	Steps                  []struct{ Text string }
	Promises               []struct{ Text, Verdict, Detail string }
}

// Every scenario does what it promises beforehand, on the whole system; the command
// says so, by its exit status too.
func TestEveryScenario(t *testing.T) {
	s := start(t, "SCENARIOS=true")
	out, errs, status := s.command(t, "scenario", "list", "--json", "--server", s.endpoints["console"])
	var list []struct {
		Name        string
		Promises    []string
		Available   bool
		Unavailable string
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil || status != 0 {
		t.Fatalf("scenario list: %s %s", out, errs)
	}
	names := map[string]bool{}
	for _, sc := range list {
		names[sc.Name] = true
		small, known := playbook[sc.Name]
		if !known {
			t.Errorf("scenario %s has no test", sc.Name)
			continue
		}
		t.Run(sc.Name, func(t *testing.T) {
			if !sc.Available {
				if sc.Unavailable == "" || s.dir != "" && !strings.Contains(sc.Unavailable, "KAFKA_BROKERS") {
					t.Errorf("it cannot be played, because %q", sc.Unavailable)
				}
				t.Skip(sc.Unavailable)
			}
			args := []string{"scenario", sc.Name, "--json", "--server", s.endpoints["console"]}
			if small != "" {
				args = append(args, "--set", small)
			}
			out, errs, status := s.command(t, args...)
			var runs []scenarioRun
			if err := json.Unmarshal([]byte(out), &runs); err != nil || len(runs) != 1 {
				t.Fatalf("exits %d: %s %s", status, out, errs)
			}
			run := runs[0]
			for i, p := range run.Promises {
				if i < len(sc.Promises) && p.Text != sc.Promises[i] {
					t.Errorf("judges %q, promised %q", p.Text, sc.Promises[i])
				}
				if p.Verdict != "holds" {
					t.Errorf("%s: %s (%s)", p.Verdict, p.Text, p.Detail)
				}
			}
			if status != 0 || run.State != "kept" || len(run.Promises) != len(sc.Promises) {
				t.Errorf("exits %d, %s: %s\n%v", status, run.State, run.Error, run.Steps)
			}
		})
	}
	for name := range playbook {
		if !names[name] {
			t.Errorf("%s is not offered", name)
		}
	}
}

// A scenario that is not there, or has no such parameter, is named, and nothing
// happens; of two at the same time the second is refused.
func TestScenarioRefusals(t *testing.T) {
	s := start(t, "SCENARIOS=true")
	for _, tc := range []struct {
		args []string
		says string
	}{
		{[]string{"moon-landing"}, "moon-landing"},
		{[]string{}, "--all"},
		{[]string{"all-well", "--set", "seconds=3"}, "seconds"},
		{[]string{"broker-away", "--set", "seconds=100000"}, "/parameters/seconds"},
	} {
		args := append([]string{"scenario", "--data", s.dir}, tc.args...)
		if _, errs, status := s.command(t, args...); status != 1 || !strings.Contains(errs, tc.says) {
			t.Errorf("%v exits %d: %s, want 1 and %q", tc.args, status, errs, tc.says)
		}
	}
	if n := len(s.call(t, http.MethodGet, "/api/orders", nil).items()); n != 0 {
		t.Errorf("%d orders were made by what was refused", n)
	}
	if a := s.call(t, http.MethodPost, "/api/scenarios/card-times-out", nil); a.status != http.StatusAccepted {
		t.Fatalf("start answers %d %s", a.status, a.raw)
	}
	if a := s.call(t, http.MethodPost, "/api/scenarios/all-well", nil); a.status != http.StatusConflict || a.code() != "scenario_running" {
		t.Errorf("a second start answers %d %s", a.status, a.raw)
	}
}

// A shop that is not for demonstrations offers no scenarios, and says how to get
// them.
func TestAPlainShopOffersNoScenarios(t *testing.T) {
	s := start(t)
	if a := s.call(t, http.MethodGet, "/api/scenarios", nil); a.status != http.StatusNotFound || a.code() != "scenarios_off" {
		t.Errorf("it answers %d %s", a.status, a.raw)
	}
	if _, errs, status := s.command(t, "scenario", "all-well", "--data", s.dir); status != 1 || !strings.Contains(errs, "up --demo") {
		t.Errorf("exits %d: %s", status, errs)
	}
}
