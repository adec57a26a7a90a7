package scenarios

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// State of a run.
type State string

// The states.
const (
	Running State = "running"
	Kept    State = "kept"   // what must happen did
	Broken  State = "broken" // it did not
	Failed  State = "failed" // it could not be played to its end
)

// Verdict on a promise.
type Verdict string

// The verdicts.
const (
	Open  Verdict = "open" // not judged yet
	Holds Verdict = "holds"
	Fails Verdict = "fails"
)

// Run is a scenario as it was played, so far.
type Run struct {
	ID         string         `json:"id"`
	Scenario   string         `json:"scenario"`
	State      State          `json:"state" enum:"running,kept,broken,failed"`
	Error      string         `json:"error,omitempty" doc:"why it could not be played to its end"`
	Parameters map[string]int `json:"parameters"`
	StartedAt  time.Time      `json:"started_at"`
	EndedAt    *time.Time     `json:"ended_at,omitempty"`
	Steps      []RunStep      `json:"steps" nullable:"false" doc:"what happened, oldest first"`
	Promises   []Promised     `json:"promises" nullable:"false" doc:"what must happen, and whether it did"`
	Progress   *Count         `json:"progress,omitempty" doc:"of what there are many of"`
	Orders     []string       `json:"orders" nullable:"false" doc:"the first orders of the run"`
}

// RunStep is something that happened in a run.
type RunStep struct {
	At      time.Time `json:"at"`
	Kind    Kind      `json:"kind" enum:"did,saw"`
	Text    string    `json:"text"`
	OrderID string    `json:"order_id,omitempty"`
}

// Kind tells what the scenario did from what it saw of the shop.
type Kind string

// The kinds.
const (
	Did Kind = "did"
	Saw Kind = "saw"
)

// Promised is something that must happen.
type Promised struct {
	Text    string  `json:"text"`
	Verdict Verdict `json:"verdict" enum:"open,holds,fails"`
	Detail  string  `json:"detail,omitempty" doc:"what was found"`
}

// Count counts what there are many of.
type Count struct {
	Label string `json:"label"`
	Done  int    `json:"done"`
	Total int    `json:"total"`
}

// Limits of what a run keeps.
const (
	mostSteps  = 400
	mostOrders = 20
)

// record is a run that goes on: one writes, many read.
type record struct {
	now func() time.Time

	mu   sync.Mutex
	run  Run
	ends chan struct{} // closed when the run has ended
}

// read returns the run as it is now.
func (r *record) read() Run {
	r.mu.Lock()
	defer r.mu.Unlock()
	run := r.run
	run.Parameters = maps.Clone(run.Parameters)
	run.Steps, run.Promises, run.Orders = slices.Clone(run.Steps), slices.Clone(run.Promises), slices.Clone(run.Orders)
	if run.Progress != nil {
		p := *run.Progress
		run.Progress = &p
	}
	return run
}

func (r *record) step(kind Kind, orderID, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch n := len(r.run.Steps); {
	case n < mostSteps:
		r.run.Steps = append(r.run.Steps, RunStep{r.now().UTC(), kind, text, orderID})
	case n == mostSteps:
		r.run.Steps = append(r.run.Steps, RunStep{At: r.now().UTC(), Kind: Saw, Text: "and more, which is not listed here"})
	}
}

func (r *record) order(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.run.Orders) < mostOrders {
		r.run.Orders = append(r.run.Orders, id)
	}
}

func (r *record) progress(label string, done, total int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.run.Progress = &Count{label, done, total}
}

// judge gives the verdict on a promise, once.
func (r *record) judge(text string, holds bool, detail string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	verdict := Fails
	if holds {
		verdict = Holds
	}
	i := slices.IndexFunc(r.run.Promises, func(p Promised) bool { return p.Text == text })
	if i < 0 { // what was not promised beforehand is no less a finding
		r.run.Promises = append(r.run.Promises, Promised{text, verdict, detail})
		return
	}
	r.run.Promises[i].Verdict, r.run.Promises[i].Detail = verdict, detail
}

// end closes the run. err is why it was not played to its end.
func (r *record) end(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.now().UTC()
	r.run.EndedAt, r.run.Progress = &at, nil
	verdict := func(v Verdict) bool {
		return slices.ContainsFunc(r.run.Promises, func(p Promised) bool { return p.Verdict == v })
	}
	switch {
	case verdict(Fails):
		r.run.State = Broken
	case err == nil && verdict(Open):
		r.run.State, r.run.Error = Failed, "it ended before every promise was judged"
	case err != nil:
		r.run.State = Failed
	default:
		r.run.State = Kept
	}
	if err != nil {
		r.run.Error = err.Error()
	}
	close(r.ends)
}
