package order

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/cartwheel-shop/cartwheel/pkg/commands"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
)

// world stands for the services: it writes down what it is asked, and does what
// the test says.
type world struct {
	env *testsuite.TestWorkflowEnvironment

	mu       sync.Mutex                  // activities that the saga no longer waits for run beside it
	asked    []string                    // commands, in order
	recorded []Transition                // by the order service
	tasks    []Task                      // opened
	refuse   map[commands.Command]error  // what a command answers instead
	during   map[commands.Command]func() // happens while a command is in flight
	after    map[Status]func()           // happens when a status was recorded
	away     map[Status]int              // how often a status cannot be recorded
	begin    Standing                    // what the order's row says at the start
	first    func()                      // happens before anything is asked
	accepted chan struct{}               // an update was accepted
	money    events.Money                // what refund gives back
}

func newWorld(t *testing.T) *world {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	w := &world{env: suite.NewTestWorkflowEnvironment(), refuse: map[commands.Command]error{}, during: map[commands.Command]func(){},
		after: map[Status]func(){}, begin: Standing{Status: Pending}, accepted: make(chan struct{}, 16)}
	w.env.RegisterWorkflowWithOptions(Fulfil, workflow.RegisterOptions{Name: fulfilName})
	w.env.RegisterWorkflowWithOptions(RetryTask, workflow.RegisterOptions{Name: retryTaskName})
	for _, c := range []commands.Command{commands.ReserveStock, commands.ReleaseStock, commands.PrepareShipment, commands.CancelShipment,
		commands.Dispatch, commands.Authorize, commands.Void, commands.Capture, commands.Refund} {
		w.env.RegisterActivityWithOptions(func(_ context.Context, o commands.Order) (commands.Result, error) { return w.serve(c, o) }, activity.RegisterOptions{Name: c.Name})
	}
	for name, fn := range map[string]any{
		beginActivity: func(context.Context, string) (Standing, error) {
			if w.first != nil {
				w.first()
			}
			return w.begin, nil
		},
		recordActivity:   func(_ context.Context, r Recording) error { return w.record(r) },
		openTaskActivity: func(_ context.Context, task Task) error { w.tasks = append(w.tasks, task); return nil },
		closeTaskActivity: func(_ context.Context, c Closing) error {
			w.asked = append(w.asked, "close:"+string(c.State))
			return nil
		},
	} {
		w.env.RegisterActivityWithOptions(fn, activity.RegisterOptions{Name: name})
	}
	return w
}

func (w *world) serve(c commands.Command, o commands.Order) (commands.Result, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, strings.TrimPrefix(strings.TrimPrefix(c.Name, "inventory."), "payment."))
	if fn := w.during[c]; fn != nil {
		fn()
	}
	if err := w.refuse[c]; err != nil {
		return commands.Result{}, err
	}
	res := commands.Result{Attempt: 1, Reference: "ref"}
	switch c {
	case commands.Capture:
		w.money = o.Total
	case commands.Refund:
		res.Amount = w.money
	}
	return res, nil
}

func (w *world) record(r Recording) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away[r.Transition.To] > 0 {
		w.away[r.Transition.To]--
		return errors.New("connection refused")
	}
	w.recorded = append(w.recorded, r.Transition)
	if fn := w.after[r.Transition.To]; fn != nil {
		fn()
	}
	return nil
}

func plan() Plan {
	return Plan{
		Order:          commands.Order{OrderID: "ord_1", Channel: Web, Lines: []events.Item{{SKU: "milk", Quantity: 1}}, Total: events.Money{Amount: 1000, Currency: "EUR"}, PaymentToken: "tok_visa"},
		ApprovalWithin: time.Hour, ReserveFor: time.Hour, DeliveryWithin: 24 * time.Hour, DispatchDeadline: time.Now().Add(12 * time.Hour),
	}
}

// run runs the saga to its end; the parcel is delivered a minute after dispatch.
func (w *world) run(t *testing.T, p Plan) {
	t.Helper()
	w.after[Shipped] = func() { w.env.SignalWorkflow(deliveredSignal, time.Unix(0, 0)) }
	w.env.ExecuteWorkflow(Fulfil, p)
	if !w.env.IsWorkflowCompleted() {
		t.Fatal("the workflow did not end")
	}
	if err := w.env.GetWorkflowError(); err != nil {
		t.Fatalf("the workflow failed: %v", err)
	}
}

func (w *world) statuses() string {
	var s []string
	for _, t := range w.recorded {
		s = append(s, string(t.To))
	}
	return strings.Join(s, " ")
}

// update sends an update; its verdict is known when the workflow has ended.
func (w *world) update(name string, d Decision) *error {
	verdict := new(error)
	w.env.UpdateWorkflow(name, fmt.Sprint(time.Now().UnixNano()), &testsuite.TestUpdateCallback{
		OnAccept: func() { w.accepted <- struct{}{} }, OnReject: func(err error) { *verdict = err }, OnComplete: func(any, error) {},
	}, d)
	return verdict
}

const happy = "reserve authorize prepare capture dispatch"

// The saga's outcomes: what is asked of the services, in which order, and what is
// recorded.
func TestOutcomes(t *testing.T) {
	refused := func(code commands.Code) error { return commands.Refuse(code, "because") }
	for _, tc := range []struct {
		name     string
		refuse   map[commands.Command]error
		change   func(*Plan)
		asked    string
		statuses string
		code     string
	}{
		{name: "all well", asked: happy, statuses: "confirmed shipped completed"},
		{name: "a total of 0 needs no payment", change: func(p *Plan) { p.Order.Total.Amount = 0 },
			asked: "reserve prepare dispatch", statuses: "confirmed shipped completed"},
		{name: "out of stock", refuse: map[commands.Command]error{commands.ReserveStock: refused(commands.OutOfStock)},
			asked: "reserve release", statuses: "rejected", code: "out_of_stock"},
		{name: "declined", refuse: map[commands.Command]error{commands.Authorize: refused(commands.Declined)},
			asked: "reserve authorize void release", statuses: "rejected", code: "declined"},
		{name: "reservation expired", refuse: map[commands.Command]error{commands.PrepareShipment: refused(commands.ReservationExpired)},
			asked: "reserve authorize prepare cancel void release", statuses: "rejected", code: "reservation_expired"},
		{name: "capture refused", refuse: map[commands.Command]error{commands.Capture: refused(commands.CaptureRefused)},
			asked: "reserve authorize prepare capture refund cancel void release", statuses: "rejected", code: "capture_refused"},
		{name: "courier refuses", refuse: map[commands.Command]error{commands.Dispatch: refused(commands.CourierRefused)},
			asked: happy + " refund cancel void release", statuses: "confirmed rejected", code: "courier_refused"},
		{name: "too late to begin", change: func(p *Plan) { p.DispatchDeadline = time.Now().Add(-time.Second) },
			asked: "", statuses: "rejected", code: "deadline_passed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			if tc.refuse != nil {
				w.refuse = tc.refuse
			}
			p := plan()
			if tc.change != nil {
				tc.change(&p)
			}
			w.run(t, p)
			if got := strings.Join(w.asked, " "); got != tc.asked {
				t.Errorf("asked   %s\nwant    %s", got, tc.asked)
			}
			if got := w.statuses(); got != tc.statuses {
				t.Errorf("recorded %s, want %s", got, tc.statuses)
			}
			if last := w.recorded[len(w.recorded)-1]; last.Code != tc.code {
				t.Errorf("code %q, want %q", last.Code, tc.code)
			}
		})
	}
}

// What was captured goes back, and the rejection says how much.
func TestCourierRefusalRefunds(t *testing.T) {
	w := newWorld(t)
	w.refuse[commands.Dispatch] = commands.Refuse(commands.CourierRefused, "we do not deliver there")
	w.run(t, plan())
	last := w.recorded[len(w.recorded)-1]
	if want := (events.Money{Amount: 1000, Currency: "EUR"}); last.Refunded != want || last.Reason != "we do not deliver there" {
		t.Errorf("rejected with refund %v, reason %q; want %v and the courier's words", last.Refunded, last.Reason, want)
	}
}

func TestCancel(t *testing.T) {
	for _, tc := range []struct {
		name     string
		when     func(*world, func())
		asked    string
		statuses string
		refunded int64
	}{
		{"before anything is asked", func(w *world, cancel func()) {
			w.first = func() { cancel(); <-w.accepted } // as when the cancellation starts the workflow
		},
			"", "cancelled", 0},
		{"while stock is reserved", func(w *world, cancel func()) { w.during[commands.ReserveStock] = cancel },
			"reserve release", "cancelled", 0},
		{"while the card is asked", func(w *world, cancel func()) { w.during[commands.Authorize] = cancel },
			"reserve authorize void release", "cancelled", 0},
		{"while the money is taken", func(w *world, cancel func()) { w.during[commands.Capture] = cancel },
			"reserve authorize prepare capture refund cancel void release", "cancelled", 1000},
		{"after capture", func(w *world, cancel func()) { w.after[Confirmed] = cancel },
			"reserve authorize prepare capture refund cancel void release", "confirmed cancelled", 1000},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			var verdict *error
			tc.when(w, func() { verdict = w.update(cancelUpdate, Decision{Reason: "changed my mind"}) })
			w.run(t, plan())
			if *verdict != nil {
				t.Errorf("cancel refused: %v", *verdict)
			}
			if got := strings.Join(w.asked, " "); got != tc.asked {
				t.Errorf("asked   %s\nwant    %s", got, tc.asked)
			}
			last := w.recorded[len(w.recorded)-1]
			if w.statuses() != tc.statuses || last.Reason != "changed my mind" || last.Refunded.Amount != tc.refunded {
				t.Errorf("recorded %s, reason %q, refunded %d; want %s and %d", w.statuses(), last.Reason, last.Refunded.Amount, tc.statuses, tc.refunded)
			}
		})
	}
}

// Once dispatch was asked for there is no way back: the cancellation is refused,
// and the order completes.
func TestCancelRacingDispatchIsRefused(t *testing.T) {
	w := newWorld(t)
	var answer *error
	w.during[commands.Dispatch] = func() { answer = w.update(cancelUpdate, Decision{}) }
	w.run(t, plan())
	if w.statuses() != "confirmed shipped completed" {
		t.Errorf("recorded %s, want the order completed", w.statuses())
	}
	var state *StateError
	if err := verdict(Order{ID: "ord_1", Status: Confirmed}, "cancelled", *answer); !errors.As(err, &state) || state.State != Shipped {
		t.Errorf("cancel answered %v, want order_state shipped", *answer)
	}
}

func TestApproval(t *testing.T) {
	for _, tc := range []struct {
		name     string
		decide   string
		statuses string
		code     string
		kept     string // of the decision, with the order
	}{
		{"granted", approveUpdate, "awaiting_approval pending confirmed shipped completed", "", "approved: a person says so"},
		{"refused", rejectUpdate, "awaiting_approval rejected", "approval_refused", "refused: a person says so"},
		{"expired", "", "awaiting_approval rejected", "approval_expired", ""},
		{"cancelled meanwhile", cancelUpdate, "awaiting_approval cancelled", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			var first, second *error
			if tc.decide != "" {
				w.env.RegisterDelayedCallback(func() {
					first = w.update(tc.decide, Decision{Reason: "a person says so"})
					second = w.update(approveUpdate, Decision{})
				}, 10*time.Minute)
			}
			p := plan()
			p.NeedsApproval, p.ApprovalAbove = true, 500
			w.run(t, p)
			if first != nil && (*first != nil || *second == nil && tc.decide != cancelUpdate) {
				t.Errorf("the decision was answered %v, a second one %v; want it accepted, and once", *first, *second)
			}
			last := w.recorded[len(w.recorded)-1]
			if w.statuses() != tc.statuses || last.Code != tc.code {
				t.Errorf("recorded %s, code %q; want %s, %q", w.statuses(), last.Code, tc.statuses, tc.code)
			}
			if strings.Contains(tc.statuses, "completed") != slices.Contains(w.asked, "capture") {
				t.Errorf("asked %v", w.asked)
			}
			a := approvalOf(t, w.recorded)
			if a.Above != (events.Money{Amount: 500, Currency: "EUR"}) || a.Deadline.IsZero() {
				t.Errorf("the order waited for %+v", a)
			}
			kept := ""
			if !a.DecidedAt.IsZero() {
				kept = map[bool]string{true: "approved: ", false: "refused: "}[a.Approved] + a.Note
			}
			if kept != tc.kept {
				t.Errorf("the order keeps %q of the decision, want %q", kept, tc.kept)
			}
		})
	}
}

// approvalOf is the approval of an order that went through some transitions.
func approvalOf(t *testing.T, recorded []Transition) Approval {
	t.Helper()
	o := Order{ID: "ord_1", Status: Pending, Total: events.Money{Amount: 1000, Currency: "EUR"}}
	for _, tr := range recorded {
		if _, err := o.Apply(tr); err != nil {
			t.Fatal(err)
		}
	}
	if o.Approval == nil {
		t.Fatal("the order needed no approval")
	}
	return *o.Approval
}

// A reservation outlives the approval that it waits for.
func TestReservationOutlivesApproval(t *testing.T) {
	p := plan()
	p.NeedsApproval = true
	w := newWorld(t)
	var until time.Time
	w.env.RegisterActivityWithOptions(func(_ context.Context, o commands.Order) (commands.Result, error) {
		until = o.ReserveUntil
		return commands.Result{}, commands.Refuse(commands.OutOfStock, "enough seen")
	}, activity.RegisterOptions{Name: commands.ReserveStock.Name, DisableAlreadyRegisteredCheck: true})
	w.run(t, p)
	if least := w.env.Now().Add(p.ApprovalWithin); !until.After(least) {
		t.Errorf("reserved until %s, and the approval may take until %s", until, least)
	}
}

// A compensation that is refused for good becomes a task for a person; the others
// are still done.
func TestFailedCompensationBecomesATask(t *testing.T) {
	w := newWorld(t)
	w.refuse[commands.Dispatch] = commands.Refuse(commands.CourierRefused, "no")
	w.refuse[commands.Refund] = commands.Refuse("bank_closed", "the account is gone")
	w.run(t, plan())
	if got, want := strings.Join(w.asked, " "), happy+" refund cancel void release"; got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
	if len(w.tasks) != 1 || w.tasks[0].Kind != CompensationFailed || w.tasks[0].Command != commands.Refund.Name {
		t.Errorf("tasks %+v, want one for the refund", w.tasks)
	}
	if w.statuses() != "confirmed rejected" {
		t.Errorf("recorded %s", w.statuses())
	}
}

func TestRetriedTask(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		want string
	}{
		{"done", nil, "refund close:done"},
		{"refused again", commands.Refuse("bank_closed", "still"), "refund close:open"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.refuse[commands.Refund] = tc.err
			w.env.ExecuteWorkflow(RetryTask, Retry{TaskID: "tsk_1", Command: commands.Refund, Order: plan().Order})
			if got := strings.Join(w.asked, " "); got != tc.want {
				t.Errorf("asked %s, want %s", got, tc.want)
			}
		})
	}
}

// An overdue parcel becomes a task, and the order still completes when it arrives.
func TestOverdueDelivery(t *testing.T) {
	w := newWorld(t)
	p := plan()
	w.env.RegisterDelayedCallback(func() { w.env.SignalWorkflow(deliveredSignal, time.Unix(0, 0)) }, p.DeliveryWithin+time.Hour)
	w.env.ExecuteWorkflow(Fulfil, p)
	if len(w.tasks) != 1 || w.tasks[0].Kind != DeliveryOverdue || w.statuses() != "confirmed shipped completed" {
		t.Errorf("tasks %+v, recorded %s; want one overdue delivery and completed", w.tasks, w.statuses())
	}
}

// A run for an order that has ended does nothing.
func TestRunAfterTheEnd(t *testing.T) {
	w := newWorld(t)
	w.begin = Standing{Status: Rejected}
	w.run(t, plan())
	if len(w.asked)+len(w.recorded) != 0 {
		t.Errorf("asked %v, recorded %v; want nothing", w.asked, w.recorded)
	}
}

// Trouble that may pass is retried.
func TestTroubleIsRetried(t *testing.T) {
	w := newWorld(t)
	tries := 0
	w.during[commands.Capture] = func() {
		if tries++; tries < 3 {
			w.refuse[commands.Capture] = errors.New("connection reset")
		} else {
			delete(w.refuse, commands.Capture)
		}
	}
	w.run(t, plan())
	if tries != 3 || w.statuses() != "confirmed shipped completed" {
		t.Errorf("%d tries, recorded %s; want 3 and completed", tries, w.statuses())
	}
}

// A database that is away for longer than any single try is waited for: the saga
// neither undoes what was done, nor comes back from behind the point of no return.
func TestTheSagaWaitsForItsDatabase(t *testing.T) {
	for _, status := range []Status{Confirmed, Shipped, Completed} {
		w := newWorld(t)
		w.away = map[Status]int{status: 20}
		w.run(t, plan())
		if got := strings.Join(w.asked, " "); got != happy || w.statuses() != "confirmed shipped completed" || w.away[status] != 0 {
			t.Errorf("away before %s: asked %s, recorded %s", status, got, w.statuses())
		}
	}
}

// A provider that stays away until the deadline rejects the order.
func TestDeadlineDuringAStep(t *testing.T) {
	w := newWorld(t)
	w.refuse[commands.Authorize] = errors.New("connection refused")
	w.run(t, plan())
	last := w.recorded[len(w.recorded)-1]
	if last.To != Rejected || last.Code != "deadline_passed" || w.asked[len(w.asked)-1] != "release" {
		t.Errorf("recorded %+v after %s", last, w.asked[len(w.asked)-1])
	}
}
