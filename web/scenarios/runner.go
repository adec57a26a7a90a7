package scenarios

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/httpapi"
)

// Config says on what scenarios are played.
type Config struct {
	// Offered is false in a shop that is not for demonstrations: every call is
	// then refused.
	Offered bool

	Shop     func(context.Context) (string, error) // the shop's address, http://host:port, once it is known
	Token    string                                // the operator's
	Provider string                                // the payment provider's address; empty: its books stay closed
	Brokers  []string                              // of Kafka; empty: out of reach
	Machine  Machine                               // nil: nothing can be killed
	Services map[string]string                     // addresses of the services; empty: no faults are armed

	Log *slog.Logger
	Now func() time.Time
}

// Machine runs the parts of a shop and can break them. Its errors say what to do.
type Machine interface {
	// Lacks says why a part cannot be broken here; empty when it can. Parts are
	// services by their name, and "kafka".
	Lacks(part string) string
	// Isolate sees to it that a service is a process of its own, and says which.
	Isolate(ctx context.Context, service string) (pid int, err error)
	// Kill ends that process by SIGKILL: nothing is drained, connections are cut.
	// It stays dead until Start.
	Kill(ctx context.Context, service string) error
	Start(ctx context.Context, service string) error
	StopKafka(ctx context.Context) error
	StartKafka(ctx context.Context) error
}

const (
	// keep is how many runs are remembered.
	keep = 50
	// longest bounds a run.
	longest = 10 * time.Minute
	// mending bounds what a run does to leave the system whole.
	mending = time.Minute
)

// Runner plays scenarios, one at a time.
type Runner struct {
	cfg   Config
	list  []Scenario
	queue chan play

	mu   sync.Mutex
	busy bool
	runs []*record // newest first
}

type play struct {
	scenario Scenario
	record   *record
}

// New returns a runner of all scenarios. It connects nothing.
func New(cfg Config) *Runner {
	return &Runner{cfg: cfg, list: All(), queue: make(chan play, 1)}
}

// Run plays what is started, until ctx ends. A run that goes on then is broken
// off and leaves the system whole.
func (r *Runner) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case p := <-r.queue:
			r.play(ctx, p)
			r.mu.Lock()
			r.busy = false
			r.mu.Unlock()
		}
	}
}

func (r *Runner) play(ctx context.Context, p play) {
	ctx, cancel := context.WithTimeoutCause(ctx, longest, fmt.Errorf("it took longer than %s", longest))
	defer cancel()
	log := r.cfg.Log.With("scenario", p.scenario.Name, "run", p.record.read().ID)
	log.InfoContext(ctx, "scenario begins")
	s := &stage{cfg: r.cfg, record: p.record, log: log, seen: map[string]order{}}
	err := s.open(ctx)
	if err == nil {
		err = p.scenario.play(ctx, s)
	}
	err = errors.Join(err, s.mend(ctx))
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, context.DeadlineExceeded) {
		err = cause
	} else if ctx.Err() != nil {
		err = errors.New("the shop was stopped")
	}
	p.record.end(err)
	run := p.record.read()
	log.InfoContext(ctx, "scenario has ended", "state", run.State, "error", run.Error)
}

// Start begins a run. The error is a problem that says why not.
func (r *Runner) Start(name string, parameters map[string]int) (Run, error) {
	if err := r.offered(); err != nil {
		return Run{}, err
	}
	i := slices.IndexFunc(r.list, func(s Scenario) bool { return s.Name == name })
	if i < 0 {
		var names []string
		for _, s := range r.list {
			names = append(names, s.Name)
		}
		return Run{}, httpapi.Problem(http.StatusNotFound, "scenario_not_found", fmt.Sprintf("there is no scenario %q; there are %s", name, strings.Join(names, ", ")))
	}
	scenario := r.list[i]
	values, wrong := scenario.values(parameters)
	if len(wrong) > 0 {
		return Run{}, httpapi.Invalid(wrong)
	}
	if why := r.unavailable(scenario); why != "" {
		return Run{}, httpapi.Problem(http.StatusConflict, "scenario_unavailable", why)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy {
		return Run{}, httpapi.Problem(http.StatusConflict, "scenario_running",
			fmt.Sprintf("%s is being played, and one would spoil the other: wait for its end, and start this one again", r.runs[0].read().Scenario)).RetryAfter(5 * time.Second)
	}
	r.busy = true
	rec := &record{now: r.cfg.Now, ends: make(chan struct{}), run: Run{
		ID: events.NewID("run"), Scenario: name, State: Running, Parameters: values, StartedAt: r.cfg.Now().UTC(), Steps: []RunStep{}, Orders: []string{},
	}}
	for _, text := range scenario.Promises {
		rec.run.Promises = append(rec.run.Promises, Promised{Text: text, Verdict: Open})
	}
	r.runs = append([]*record{rec}, r.runs[:min(len(r.runs), keep-1)]...)
	begun := rec.read()
	r.queue <- play{scenario, rec}
	return begun, nil
}

// Find returns a run.
func (r *Runner) Find(id string) (Run, error) {
	if err := r.offered(); err != nil {
		return Run{}, err
	}
	for _, rec := range r.remembered() {
		if run := rec.read(); run.ID == id {
			return run, nil
		}
	}
	return Run{}, httpapi.Problem(http.StatusNotFound, "run_not_found", fmt.Sprintf("there is no run %q: the newest %d since the shop was started are kept", id, keep))
}

func (r *Runner) remembered() []*record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.runs)
}

func (r *Runner) offered() error {
	if r.cfg.Offered {
		return nil
	}
	return httpapi.Problem(http.StatusNotFound, "scenarios_off", "this shop is not for demonstrations: start one with cartwheel up --demo, or set SCENARIOS=true")
}

// unavailable says why a scenario cannot be played here; empty when it can.
func (r *Runner) unavailable(s Scenario) string {
	for _, n := range s.needs {
		switch n {
		case kafka:
			if len(r.cfg.Brokers) == 0 {
				return "Kafka cannot be reached from here: set KAFKA_BROKERS"
			}
		case faults:
			if len(r.cfg.Services) == 0 {
				return "no faults can be armed in this shop: set FAULTS=on"
			}
		case machine, noBroker:
			part := "kafka"
			if n == machine {
				part = victim
			}
			if r.cfg.Machine == nil {
				return fmt.Sprintf("nothing here can stop %s, which somebody else runs: play it in a shop that was started by cartwheel up --demo", part)
			}
			if why := r.cfg.Machine.Lacks(part); why != "" {
				return why
			}
		}
	}
	return ""
}
