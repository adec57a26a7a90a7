package saga

import (
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/cartwheel-shop/cartwheel/pkg/commands"
)

// Step is a row of the table. It either asks for a command (Do), waits for
// something (Wait), or records where the saga has come to (Record).
type Step struct {
	Do   commands.Command
	Undo commands.Command // compensates Do; the zero command when nothing needs to be undone

	Name string                       // of a Wait, as progress shows it
	Wait func(workflow.Context) error // ends early with an error to compensate

	Record func(workflow.Context) error // finishes whatever happens to the saga meanwhile

	If     func() bool // nil: always
	Commit bool        // the point of no return
}

// State of a step, as a visitor sees it.
type State string

// The states.
const (
	Waiting      State = "waiting"
	Running      State = "running"
	Done         State = "done"
	Skipped      State = "skipped"
	Failed       State = "failed"
	Compensating State = "compensating"
	Compensated  State = "compensated"
)

// Progress is what became of one step.
type Progress struct {
	Name     string `json:"name"`
	State    State  `json:"state" enum:"waiting,running,done,skipped,failed,compensating,compensated"`
	Attempts int32  `json:"attempts"`
	Error    string `json:"error,omitempty"`
}

// Causes of an abort that are not a service's refusal.
var (
	ErrCancelled = errors.New("cancelled")
	ErrDeadline  = errors.New("deadline passed")
)

// Saga is the run of a table for one order.
type Saga struct {
	order    commands.Order
	deadline time.Time
	steps    []Step
	progress []Progress
	results  map[string]commands.Result
	undo     []int // steps to compensate, in the order they were asked for
	past     bool  // the commit step was asked for
	cancel   workflow.CancelFunc
	aborted  bool // cancelled, perhaps before Run
	ended    bool
}

// New prepares a saga. A saga that has not reached its commit step by deadline
// compensates.
func New(order commands.Order, deadline time.Time, steps []Step) *Saga {
	s := &Saga{order: order, deadline: deadline, steps: steps, results: map[string]commands.Result{}}
	for _, st := range steps {
		s.progress = append(s.progress, Progress{Name: st.name(), State: Waiting})
	}
	return s
}

func (st Step) name() string {
	if st.Do.Name != "" {
		return st.Do.Name
	}
	return st.Name
}

// Progress returns the state of each named step, in the table's order.
func (s *Saga) Progress() []Progress {
	out := make([]Progress, 0, len(s.progress))
	for _, p := range s.progress {
		if p.Name != "" {
			out = append(out, p)
		}
	}
	return out
}

// Result returns what a command answered; the zero Result before it did.
func (s *Saga) Result(c commands.Command) commands.Result { return s.results[c.Name] }

// Committed says that there is no way back any more.
func (s *Saga) Committed() bool { return s.past }

// Cancellable says whether [Saga.Cancel] would still have an effect.
func (s *Saga) Cancellable() bool { return !s.past && !s.ended }

// Cancel aborts the saga from another coroutine of the workflow: Run returns
// ErrCancelled, unless the commit step was asked for.
func (s *Saga) Cancel() {
	if !s.Cancellable() {
		return
	}
	s.aborted = true
	if s.cancel != nil {
		s.cancel()
	}
}

// Run works through the table. A nil error means that all steps are done. Any
// other error is why the saga stopped: a commands.Refusal by a service,
// ErrCancelled, ErrDeadline, or the error of a Wait. The caller compensates.
func (s *Saga) Run(ctx workflow.Context) error {
	cancellable, cancel := workflow.WithCancel(ctx)
	s.cancel = cancel
	defer cancel()
	if s.aborted {
		cancel()
	}
	ctx, _ = workflow.NewDisconnectedContext(ctx) // for what no cancellation may stop
	defer func() { s.ended = true }()

	for i, st := range s.steps {
		p := &s.progress[i]
		if st.If != nil && !st.If() {
			p.State = Skipped
			continue
		}
		if err := s.interrupted(ctx, cancellable); err != nil {
			return err
		}
		p.State = Running
		if err := s.step(ctx, cancellable, i, st); err != nil {
			p.State, p.Error = Failed, err.Error()
			return err
		}
		p.State = Done
	}
	return nil
}

// interrupted is asked between steps; a step in flight learns it by its context
// and its timeout.
func (s *Saga) interrupted(ctx, cancellable workflow.Context) error {
	switch {
	case s.past:
		return nil
	case cancellable.Err() != nil:
		return ErrCancelled
	case !workflow.Now(ctx).Before(s.deadline):
		return ErrDeadline
	}
	return nil
}

func (s *Saga) step(ctx, cancellable workflow.Context, i int, st Step) error {
	switch {
	case st.Record != nil:
		return st.Record(ctx)
	case st.Wait != nil:
		if s.past {
			return st.Wait(ctx)
		}
		return s.cause(cancellable, st.Wait(cancellable))
	case st.Commit:
		s.past = true
		return s.cause(ctx, s.do(ctx, i, st, 0))
	default:
		if st.Undo.Name != "" {
			s.undo = append(s.undo, i) // before the step: its answer may be lost
		}
		return s.cause(cancellable, s.do(cancellable, i, st, s.deadline.Sub(workflow.Now(ctx))))
	}
}

// do asks for a command and waits for its answer, within the given time (0: for
// ever).
func (s *Saga) do(ctx workflow.Context, i int, st Step, within time.Duration) error {
	var res commands.Result
	err := workflow.ExecuteActivity(command(ctx, st.Do, within), st.Do.Name, s.order).Get(ctx, &res)
	if err != nil {
		s.progress[i].Attempts = max(s.progress[i].Attempts, 1)
		return err
	}
	s.progress[i].Attempts = res.Attempt
	s.results[st.Do.Name] = res
	return nil
}

// cause reduces Temporal's errors to why the saga stops.
func (s *Saga) cause(ctx workflow.Context, err error) error {
	if err == nil {
		return nil
	}
	if r, ok := commands.AsRefusal(err); ok {
		return r
	}
	if ctx.Err() != nil {
		return ErrCancelled
	}
	// A step is retried for as long as it has time, so an error that might have
	// passed says that the time is over, as does a timeout.
	var timeout *temporal.TimeoutError
	var app *temporal.ApplicationError
	if errors.As(err, &timeout) || errors.As(err, &app) && !app.NonRetryable() {
		return ErrDeadline
	}
	return err
}

// Compensation that could not be done: a person must see to it.
type Compensation struct {
	Command commands.Command
	Err     error
}

// Compensate undoes what was asked for, newest first, and returns the undos
// that were refused for good. It returns only when each undo has an outcome.
func (s *Saga) Compensate(ctx workflow.Context) []Compensation {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	s.ended = true
	var failed []Compensation
	for k := len(s.undo) - 1; k >= 0; k-- {
		i := s.undo[k]
		st, p := s.steps[i], &s.progress[i]
		p.State = Compensating
		var res commands.Result
		err := workflow.ExecuteActivity(command(ctx, st.Undo, compensateWithin), st.Undo.Name, s.order).Get(ctx, &res)
		if err != nil {
			p.State, p.Error = Failed, "could not be undone: "+err.Error()
			failed = append(failed, Compensation{st.Undo, err})
			continue
		}
		p.State = Compensated
		s.results[st.Undo.Name] = res
	}
	s.undo = nil
	return failed
}

const (
	// attempt bounds one delivery of a command: longer than any call that a
	// service makes while it serves one.
	attempt = 15 * time.Second
	// compensateWithin is how long an undo is retried before it becomes a task
	// for a person.
	compensateWithin = 24 * time.Hour
)

// command is the context in which a command is asked for.
func command(ctx workflow.Context, c commands.Command, within time.Duration) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:              c.TaskQueue,
		StartToCloseTimeout:    attempt,
		ScheduleToCloseTimeout: within,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:    100 * time.Millisecond,
			BackoffCoefficient: 2,
			MaximumInterval:    5 * time.Second,
		},
	})
}

// Command asks for a single command from workflow code outside a table.
func Command(ctx workflow.Context, c commands.Command, order commands.Order) (commands.Result, error) {
	var res commands.Result
	err := workflow.ExecuteActivity(command(ctx, c, compensateWithin), c.Name, order).Get(ctx, &res)
	return res, err
}
