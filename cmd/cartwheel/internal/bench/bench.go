package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// Config says what to measure, how much of it, and where.
type Config struct {
	Brokers  []string // of a Kafka that exists; empty: the stack's
	Postgres string   // URL of a server that exists; empty: the stack's
	Real     bool     // the stack's Kafka is Apache's, natively
	CacheDir string
	Log      *slog.Logger
	Say      func(string) // what is happening, for the person who waits

	Rounds int           // of each comparison
	For    time.Duration // one side of one round, where time is given
	Scale  float64       // of the numbers of messages, orders and connections; 1 takes a minute or two for each bench

	Backlog     int // rows, for the relay's memory
	Orders      int // in one round of saga
	InFlight    int // orders under way at once
	Connections int // of push

	Shop    Shop                            // for saga
	Drainer func(context.Context) *exec.Cmd // runs [Drain] in a process of its own, for its memory
}

// Row is a comparison's outcome.
type Row struct {
	Bench     string    `json:"bench"`
	What      string    `json:"what"`
	Unit      string    `json:"unit"`
	Ours      []float64 `json:"ours"`
	Reference string    `json:"reference,omitempty"`
	Theirs    []float64 `json:"theirs,omitempty"`
	Ratios    []float64 `json:"ratios,omitempty"` // ours to theirs, of each round
	Goal      Goal      `json:"goal,omitzero"`
}

// Goal is what we want to reach; it is shown, and nothing depends on it.
type Goal struct {
	AtLeast float64 `json:"at_least,omitempty"` // the ratio
	AtMost  float64 `json:"at_most,omitempty"`  // the ratio, or our figure when Own
	Own     bool    `json:"own,omitempty"`
}

// side is one of those that are compared. Each run of it is a figure.
type side func(ctx context.Context) (float64, error)

// Names are the benches, in the order in which "all" runs them.
func Names() []string {
	var names []string
	for _, b := range benches {
		names = append(names, b.name)
	}
	return names
}

// bench is one of them.
type bench struct {
	name    string
	servers bool // needs Kafka and Postgres
	run     func(*runner, context.Context) error
}

// benches are in the order in which all of them run.
var benches = []bench{
	{"latency", true, (*runner).latency},
	{"publish", true, (*runner).publish},
	{"consume", true, (*runner).consume},
	{"inbox", true, (*runner).inbox},
	{"outbox-cost", true, (*runner).outboxCost},
	{"saga", false, (*runner).saga},
	{"push", false, (*runner).push},
	{"relay", true, (*runner).relay}, // after the others: Postgres and Kafka clear its backlog away for minutes
	{"faults", true, (*runner).faults},
}

// runner is one run of the command.
type runner struct {
	Config
	servers
	rows []Row
}

// Run measures what names say, "all" being everything, and calls report for each
// bench when it is done. What it returns beside an error is what was measured.
func Run(ctx context.Context, cfg Config, names []string, report func(Report)) (Report, error) {
	if slices.Contains(names, "all") {
		names = Names()
	}
	chosen, err := choose(names)
	if err != nil {
		return Report{}, err
	}
	out := Report{At: time.Now().UTC(), Machine: machine()}
	r := &runner{Config: cfg}
	if slices.ContainsFunc(chosen, func(b bench) bool { return b.servers }) {
		stop, err := r.start(ctx)
		if err != nil {
			return out, err
		}
		defer stop()
		out.Kafka, out.Postgres = r.kafkaVersion, r.postgresVersion
	}
	var failed error
	for _, b := range chosen {
		r.Say(b.name + " …")
		began := len(r.rows)
		if err := b.run(r, ctx); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", b.name, err))
			if r.rows = r.rows[:began]; ctx.Err() != nil {
				break
			}
			continue // the others can still be measured
		}
		out.Rows = r.rows
		part := out
		part.Rows = r.rows[began:]
		report(part)
	}
	return out, failed
}

// choose finds benches by name.
func choose(names []string) ([]bench, error) {
	var chosen []bench
	for _, name := range names {
		i := slices.IndexFunc(benches, func(b bench) bool { return b.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no bench %q: there are %s, and all", name, strings.Join(Names(), ", "))
		}
		chosen = append(chosen, benches[i])
	}
	return chosen, nil
}

// rounds lets sides take turns and returns the figures of each.
func (r *runner) rounds(ctx context.Context, sides ...side) ([][]float64, error) {
	figures := make([][]float64, len(sides))
	for round := range r.Rounds + 1 { // the first warms up
		order := make([]int, len(sides))
		for i := range order {
			order[i] = i
		}
		if round%2 == 0 {
			slices.Reverse(order)
		}
		for _, i := range order {
			f, err := sides[i](ctx)
			if err != nil {
				return nil, err
			}
			if round > 0 {
				figures[i] = append(figures[i], f)
			}
		}
	}
	return figures, nil
}

// row adds a comparison. Theirs may be nil.
func (r *runner) row(name, what, unit string, ours []float64, reference string, theirs []float64, goal Goal) {
	row := Row{Bench: name, What: what, Unit: unit, Ours: ours, Reference: reference, Theirs: theirs, Goal: goal}
	for i := range theirs {
		if theirs[i] == 0 {
			row.Ratios = nil // a count of what went wrong
			break
		}
		row.Ratios = append(row.Ratios, ours[i]/theirs[i])
	}
	r.rows = append(r.rows, row)
}

// number is a count of the bench, scaled.
func (r *runner) number(n int) int { return max(1, int(float64(n)*r.Scale)) }

// median is the middle of values.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}

// percentile is the value that a share of all does not exceed.
func percentile(sorted []time.Duration, share float64) time.Duration {
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}

// perSecond is how many n are in a second.
func perSecond(n int, took time.Duration) float64 { return float64(n) / took.Seconds() }

// errLost says that a side has no figure.
var errLost = errors.New("messages are missing")
