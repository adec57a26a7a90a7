package scenarios

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/httpapi"
)

// healthy is a shop of which nothing is asked but its invariants, which hold.
func healthy(t *testing.T) func(context.Context) (string, error) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/check" {
			t.Errorf("asked for %s", r.URL)
		}
		_, _ = w.Write([]byte(`{"items": [{"name": "stock adds up", "holds": true, "offenders": []}]}`))
	}))
	t.Cleanup(srv.Close)
	return func(context.Context) (string, error) { return srv.URL, nil }
}

// runner plays list until the test ends.
func runner(t *testing.T, cfg Config, list ...Scenario) *Runner {
	t.Helper()
	cfg.Offered, cfg.Log, cfg.Now = true, slog.New(slog.DiscardHandler), time.Now
	if cfg.Shop == nil {
		cfg.Shop = healthy(t)
	}
	r := New(cfg)
	r.list = list
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = r.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	return r
}

// played waits for the end of the newest run.
func (r *Runner) played(t *testing.T) Run {
	t.Helper()
	rec := r.remembered()[0]
	select {
	case <-rec.ends:
	case <-time.After(30 * time.Second):
		t.Fatal("the run does not end")
	}
	return rec.read()
}

func code(err error) string {
	var p *httpapi.ProblemError
	if errors.As(err, &p) {
		return p.Code
	}
	return ""
}

// The verdict on a run: what was promised, and only if somebody judged it.
func TestVerdicts(t *testing.T) {
	for _, tc := range []struct {
		name     string
		promises []string
		play     func(context.Context, *stage) error
		state    State
		says     string
	}{
		{"every promise holds", []string{"a", "b"}, func(_ context.Context, s *stage) error {
			s.judge("a", true, "")
			s.judge("b", true, "")
			return nil
		}, Kept, ""},
		{"one does not", []string{"a", "b"}, func(_ context.Context, s *stage) error {
			s.judge("a", true, "")
			s.judge("b", false, "it rained")
			return nil
		}, Broken, ""},
		{"one was not judged", []string{"a", "b"}, func(_ context.Context, s *stage) error {
			s.judge("a", true, "")
			return nil
		}, Failed, "before every promise was judged"},
		{"it could not be played", []string{"a"}, func(context.Context, *stage) error { return errors.New("nothing left to sell") }, Failed, "nothing left to sell"},
		{"broken before it could not go on", []string{"a", "b"}, func(_ context.Context, s *stage) error {
			s.judge("a", false, "")
			return errors.New("and then the shop went away")
		}, Broken, "went away"},
		{"what it broke is not whole again", []string{"a"}, func(_ context.Context, s *stage) error {
			s.atEnd(func(context.Context) error { return errors.New("the broker does not start") })
			s.judge("a", true, "")
			return nil
		}, Failed, "the broker does not start"},
		{"something that nobody promised fails", []string{"a"}, func(_ context.Context, s *stage) error {
			s.judge("a", true, "")
			s.judge("no harm is done", false, "")
			return nil
		}, Broken, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := runner(t, Config{}, Scenario{Name: "it", Promises: tc.promises, play: tc.play})
			begun, err := r.Start("it", nil)
			if err != nil {
				t.Fatal(err)
			}
			if begun.State != Running || len(begun.Promises) != len(tc.promises) || begun.Promises[0].Verdict != Open {
				t.Errorf("it begins as %+v", begun)
			}
			run := r.played(t)
			if run.State != tc.state || !strings.Contains(run.Error, tc.says) || run.EndedAt == nil {
				t.Errorf("ends %s %q, want %s and %q", run.State, run.Error, tc.state, tc.says)
			}
		})
	}
}

// One run at a time; the next may start when the first has ended.
func TestOneRunAtATime(t *testing.T) {
	goOn := make(chan struct{})
	r := runner(t, Config{}, Scenario{Name: "long", play: func(ctx context.Context, _ *stage) error {
		select {
		case <-goOn:
		case <-ctx.Done():
		}
		return nil
	}})
	first, err := r.Start("long", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Start("long", nil); code(err) != "scenario_running" {
		t.Errorf("a second run: %v, want scenario_running", err)
	}
	close(goOn)
	r.played(t)
	var second Run
	for {
		if second, err = r.Start("long", nil); code(err) != "scenario_running" { // the runner is just putting its things away
			break
		}
	}
	if err != nil || second.ID == first.ID {
		t.Errorf("after the end of the first: %v", err)
	}
	if run, err := r.Find(first.ID); err != nil || run.State != Kept {
		t.Errorf("the first run is remembered as %s, %v", run.State, err)
	}
}

// A run that goes on when the shop is told to stop mends what it broke.
func TestAStoppedRunMends(t *testing.T) {
	shop := healthy(t)
	begun, mended := make(chan struct{}), make(chan bool, 1)
	r := New(Config{Offered: true, Shop: shop, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	r.list = []Scenario{{Name: "it", Promises: []string{"a"}, play: func(ctx context.Context, s *stage) error {
		s.atEnd(func(ctx context.Context) error { mended <- ctx.Err() == nil; return nil })
		close(begun)
		<-ctx.Done()
		return ctx.Err()
	}}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = r.Run(ctx) }()
	if _, err := r.Start("it", nil); err != nil {
		t.Fatal(err)
	}
	<-begun
	cancel()
	<-ended
	if !<-mended {
		t.Error("what mends had no time")
	}
	if run := r.played(t); run.State != Failed || !strings.Contains(run.Error, "stopped") {
		t.Errorf("the run is %s: %s", run.State, run.Error)
	}
}

// A run that never ends is broken off.
func TestALongRunIsBrokenOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := &record{now: time.Now, ends: make(chan struct{}), run: Run{Promises: []Promised{{Text: "a", Verdict: Open}}}}
		r := New(Config{Offered: true, Log: slog.New(slog.DiscardHandler), Now: time.Now, Shop: func(ctx context.Context) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		}})
		r.play(t.Context(), play{Scenario{Name: "it"}, rec})
		if run := rec.read(); run.State != Failed || !strings.Contains(run.Error, "longer than") {
			t.Errorf("the run is %s: %s", run.State, run.Error)
		}
	})
}

// An invariant that was broken before a run is not held against it; one that the
// run broke is.
func TestWhatWasBrokenBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		offenders := []string{"old"}
		s := &stage{record: &record{now: time.Now}, before: []string{"stock adds up: old"}}
		s.shop = &shop{client: &http.Client{Transport: answers(func() string {
			raw, _ := json.Marshal(map[string]any{"items": []any{map[string]any{"name": "stock adds up", "offenders": offenders}}})
			return string(raw)
		})}}
		s.judgeInvariants(t.Context(), "whole")
		offenders = append(offenders, "new")
		s.judgeInvariants(t.Context(), "whole again")
		want := []Promised{{"whole", Holds, "all six hold"}, {"whole again", Fails, "stock adds up: new"}}
		if !slices.Equal(s.run.Promises, want) {
			t.Errorf("judged %+v, want %+v", s.run.Promises, want)
		}
	})
}

// answers is a shop that answers every request at once, without a network.
type answers func() string

func (a answers) RoundTrip(*http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	_, _ = rec.WriteString(a())
	return rec.Result(), nil
}

func TestStartRefusals(t *testing.T) {
	list := []Scenario{
		{Name: "plain", Parameters: []Parameter{{Name: "orders", Default: 5, Min: 1, Max: 10}}, play: func(context.Context, *stage) error { return nil }},
		{Name: "kafka", needs: []need{kafka}},
		{Name: "machine", needs: []need{machine}},
		{Name: "broker", needs: []need{noBroker}},
	}
	r := runner(t, Config{Brokers: []string{"127.0.0.1:1"}, Machine: lacking{}}, list...)
	bare := runner(t, Config{}, list...)
	for _, tc := range []struct {
		runner     *Runner
		name       string
		parameters map[string]int
		code, says string
	}{
		{r, "nonsense", nil, "scenario_not_found", "plain, kafka"},
		{r, "plain", map[string]int{"orders": 11}, "invalid", ""},
		{r, "plain", map[string]int{"pieces": 1}, "invalid", ""},
		{r, "machine", nil, "", ""},
		{r, "broker", nil, "scenario_unavailable", "somebody else"},
		{bare, "kafka", nil, "scenario_unavailable", "KAFKA_BROKERS"},
		{bare, "machine", nil, "scenario_unavailable", "up --demo"},
		{bare, "broker", nil, "scenario_unavailable", "up --demo"},
		{New(Config{}), "plain", nil, "scenarios_off", "up --demo"},
	} {
		if tc.code == "" {
			if why := tc.runner.unavailable(list[2]); why != "" {
				t.Errorf("%s is unavailable: %s", tc.name, why)
			}
			continue
		}
		if _, err := tc.runner.Start(tc.name, tc.parameters); code(err) != tc.code || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s %v: %v, want %s and %q", tc.name, tc.parameters, err, tc.code, tc.says)
		}
	}
	if run, err := r.Start("plain", map[string]int{"orders": 10}); err != nil || run.Parameters["orders"] != 10 {
		t.Errorf("plain with 10 orders: %+v, %v", run, err)
	}
}

// lacking is a machine that cannot stop Kafka.
type lacking struct{ Machine }

func (lacking) Lacks(part string) string {
	if part == "kafka" {
		return "somebody else runs it"
	}
	return ""
}

// The list says of each scenario what a person must know beforehand.
func TestTheList(t *testing.T) {
	names := map[string]bool{}
	for _, s := range All() {
		if s.Name == "" || s.Title == "" || s.About == "" || len(s.Promises) < 3 || s.play == nil {
			t.Errorf("%q is incomplete", s.Name)
		}
		if names[s.Name] {
			t.Errorf("%s is there twice", s.Name)
		}
		names[s.Name] = true
		for i, p := range s.Promises {
			if slices.Contains(s.Promises[:i], p) {
				t.Errorf("%s promises twice: %s", s.Name, p)
			}
		}
		for _, p := range s.Parameters {
			if p.Default < p.Min || p.Default > p.Max || p.Title == "" {
				t.Errorf("%s: parameter %+v", s.Name, p)
			}
		}
	}
}

// By HTTP: the list, a start with and without a body, and who may start.
func TestTheCalls(t *testing.T) {
	r := runner(t, Config{}, Scenario{Name: "it", Title: "It", Promises: []string{"a"}, Parameters: []Parameter{{Name: "n", Default: 1, Min: 1, Max: 3}},
		play: func(_ context.Context, s *stage) error { s.judge("a", true, ""); return nil }})
	a := httpapi.New("Edge", httpapi.Config{OperatorToken: "secret", Log: slog.New(slog.DiscardHandler)})
	r.Register(a)
	call := func(method, path, body, token string) (int, map[string]any) {
		req := httptest.NewRequest(method, path, strings.NewReader(body))
		if body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
		req.Header.Set("Authorization", "Bearer "+token)
		rec := httptest.NewRecorder()
		a.Handler().ServeHTTP(rec, req)
		var answer map[string]any
		if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%s %s: %d %s", method, path, rec.Code, rec.Body)
		}
		return rec.Code, answer
	}
	if status, _ := call(http.MethodPost, "/api/scenarios/it", "", "wrong"); status != http.StatusUnauthorized {
		t.Errorf("a stranger starts it: %d", status)
	}
	if status, answer := call(http.MethodPost, "/api/scenarios/it", `{"parameters": {"n": 4}}`, "secret"); status != http.StatusUnprocessableEntity {
		t.Errorf("n = 4 answers %d %v", status, answer)
	}
	status, run := call(http.MethodPost, "/api/scenarios/it", "", "secret")
	if status != http.StatusAccepted || run["state"] != "running" {
		t.Fatalf("start answers %d %v", status, run)
	}
	r.played(t)
	if status, run := call(http.MethodGet, "/api/scenarios/runs/"+run["id"].(string), "", ""); status != http.StatusOK || run["state"] != "kept" {
		t.Errorf("the run is %d %v", status, run)
	}
	if status, _ := call(http.MethodGet, "/api/scenarios/runs/run_nonsense", "", ""); status != http.StatusNotFound {
		t.Errorf("a run that is not there: %d", status)
	}
	status, list := call(http.MethodGet, "/api/scenarios", "", "")
	if status != http.StatusOK || len(list["items"].([]any)) != 1 || len(list["runs"].([]any)) != 1 {
		t.Errorf("the list is %d %v", status, list)
	}
}
