package order

import (
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/cartwheel-shop/cartwheel/pkg/commands"
	"github.com/cartwheel-shop/cartwheel/pkg/saga"
)

// Names by which the saga is spoken to. They are in histories: never rename one.
const (
	fulfilName    = "order.fulfil"
	retryTaskName = "order.retry_task"

	progressQuery   = "progress"
	cancelUpdate    = "cancel"
	approveUpdate   = "approve"
	rejectUpdate    = "reject"
	deliveredSignal = "delivered"
)

// Plan is the input of the saga: everything it decides by. It holds no personal
// data.
type Plan struct {
	Order            commands.Order `json:"order"`
	NeedsApproval    bool           `json:"needs_approval"`
	ApprovalAbove    int64          `json:"approval_above"` // the threshold, minor units
	ApprovalWithin   time.Duration  `json:"approval_within"`
	ReserveFor       time.Duration  `json:"reserve_for"` // beyond the approval
	DeliveryWithin   time.Duration  `json:"delivery_within"`
	DispatchDeadline time.Time      `json:"dispatch_deadline"`
}

// Decision is what a person says to an order that awaits approval, or why it is
// cancelled.
type Decision struct {
	Reason string `json:"reason"`
}

// fulfilment is one run of the saga.
type fulfilment struct {
	plan        Plan
	saga        *saga.Saga
	status      Status // as recorded
	awaiting    bool   // a decision may be made now
	approved    bool
	refused     bool
	decision    Decision
	decidedAt   time.Time
	cancelled   Decision
	deliveredAt time.Time
}

// steps is the saga.
func (f *fulfilment) steps() []saga.Step {
	return []saga.Step{
		{Do: commands.ReserveStock, Undo: commands.ReleaseStock},
		{Name: "order.approval", Wait: f.approval, If: f.needsApproval},
		{Do: commands.Authorize, Undo: commands.Void, If: f.costsMoney},
		{Do: commands.PrepareShipment, Undo: commands.CancelShipment},
		{Do: commands.Capture, Undo: commands.Refund, If: f.costsMoney},
		{Record: f.recordConfirmed},
		{Do: commands.Dispatch, Commit: true}, // no way back after this one
		{Record: f.recordShipped},
		{Name: "order.delivery", Wait: f.delivery},
		{Record: f.recordCompleted},
	}
}

func (f *fulfilment) needsApproval() bool { return f.plan.NeedsApproval }
func (f *fulfilment) costsMoney() bool    { return f.plan.Order.Total.Amount > 0 }

// Fulfil is the saga of one order, from reservation to delivery. A rejected or
// cancelled order completes its workflow: the failure is the order's, not the
// saga's.
func Fulfil(ctx workflow.Context, plan Plan) error {
	plan.Order.ReserveUntil = workflow.Now(ctx).Add(plan.ReserveFor).UTC()
	if plan.NeedsApproval {
		plan.Order.ReserveUntil = plan.Order.ReserveUntil.Add(plan.ApprovalWithin)
	}
	f := &fulfilment{plan: plan, status: Pending}
	f.saga = saga.New(plan.Order, plan.DispatchDeadline, f.steps())
	if err := f.listen(ctx); err != nil {
		return err
	}

	var so Standing
	if err := local(ctx, beginActivity, &so, plan.Order.OrderID); err != nil {
		return err
	}
	if so.Status.Terminal() {
		return nil // a later run of an order that has ended
	}
	f.deliveredAt = so.DeliveredAt

	cause := f.saga.Run(ctx)
	if cause == nil {
		return nil
	}
	undo, _ := workflow.NewDisconnectedContext(ctx)
	for _, failed := range f.saga.Compensate(undo) {
		task := Task{Kind: CompensationFailed, OrderID: plan.Order.OrderID, Command: failed.Command.Name, Detail: failed.Err.Error()}
		if err := local(undo, openTaskActivity, nil, task); err != nil {
			return err
		}
	}
	return f.record(undo, f.verdict(cause))
}

// verdict is the terminal transition for the cause that stopped the saga.
func (f *fulfilment) verdict(cause error) Transition {
	t := Transition{To: Rejected, Refunded: f.saga.Result(commands.Refund).Amount}
	var refusal commands.Refusal
	switch {
	case errors.Is(cause, saga.ErrCancelled):
		t.To, t.Reason = Cancelled, f.cancelled.Reason
		if t.Reason == "" {
			t.Reason = "cancelled on request"
		}
	case errors.Is(cause, saga.ErrDeadline):
		t.Code, t.Reason = "deadline_passed", "we could not get it on its way in time"
	case errors.As(cause, &refusal):
		t.Code, t.Reason = string(refusal.Code), refusal.Detail
		if f.refused {
			t.DecidedAt, t.Note = f.decidedAt, f.decision.Reason
		}
	default:
		t.Code, t.Reason = "internal", "something went wrong on our side"
	}
	return t
}

// listen opens the saga's ears before its first step, so that a cancellation
// that started the workflow is heard before anything is asked for.
func (f *fulfilment) listen(ctx workflow.Context) error {
	if err := workflow.SetQueryHandler(ctx, progressQuery, func() ([]saga.Progress, error) { return f.saga.Progress(), nil }); err != nil {
		return err
	}
	update := func(name string, apply func(workflow.Context, Decision), allowed func() bool) error {
		return workflow.SetUpdateHandlerWithOptions(ctx, name,
			func(ctx workflow.Context, d Decision) error { apply(ctx, d); return nil },
			workflow.UpdateHandlerOptions{Validator: func(Decision) error {
				if allowed() {
					return nil
				}
				return temporal.NewNonRetryableApplicationError("the order's state does not allow it", stateErrorType, nil, f.state())
			}})
	}
	return errors.Join(
		update(cancelUpdate, func(_ workflow.Context, d Decision) { f.cancelled = d; f.saga.Cancel() }, f.saga.Cancellable),
		update(approveUpdate, func(ctx workflow.Context, d Decision) { f.approved = true; f.decide(ctx, d) }, f.decidable),
		update(rejectUpdate, func(ctx workflow.Context, d Decision) { f.refused = true; f.decide(ctx, d) }, f.decidable),
	)
}

func (f *fulfilment) decidable() bool { return f.awaiting && !f.approved && !f.refused }

func (f *fulfilment) decide(ctx workflow.Context, d Decision) {
	f.decision, f.decidedAt = d, workflow.Now(ctx).UTC()
}

// state names the state as a caller understands it: after dispatch was asked
// for, an order is on its way even before that is recorded.
func (f *fulfilment) state() Status {
	if f.saga.Committed() && f.status == Confirmed {
		return Shipped
	}
	return f.status
}

// approval waits for a person until the approval's deadline.
func (f *fulfilment) approval(ctx workflow.Context) error {
	until := workflow.Now(ctx).Add(f.plan.ApprovalWithin)
	if f.plan.DispatchDeadline.Before(until) {
		until = f.plan.DispatchDeadline
	}
	if err := f.record(ctx, Transition{To: AwaitingApproval, ApprovalDeadline: until.UTC(), ApprovalAbove: f.plan.ApprovalAbove}); err != nil {
		return err
	}
	f.awaiting = true
	decided, err := workflow.AwaitWithTimeout(ctx, until.Sub(workflow.Now(ctx)), func() bool { return f.approved || f.refused })
	f.awaiting = false
	switch {
	case err != nil:
		return err
	case !decided:
		return commands.Refusal{Code: "approval_expired", Detail: "nobody approved the order in time"}
	case f.refused:
		reason := f.decision.Reason
		if reason == "" {
			reason = "the order was not approved"
		}
		return commands.Refusal{Code: "approval_refused", Detail: reason}
	}
	return f.record(ctx, Transition{To: Pending, DecidedAt: f.decidedAt, Note: f.decision.Reason})
}

// delivery waits for the courier, for ever; an overdue parcel becomes a task.
func (f *fulfilment) delivery(ctx workflow.Context) error {
	delivered := workflow.GetSignalChannel(ctx, deliveredSignal)
	if !f.deliveredAt.IsZero() {
		return nil // it arrived before this run began
	}
	if delivered.ReceiveAsync(&f.deliveredAt) { // no timer for a quick courier
		return nil
	}
	if ok, _ := delivered.ReceiveWithTimeout(ctx, f.plan.DeliveryWithin, &f.deliveredAt); ok {
		return nil
	}
	task := Task{Kind: DeliveryOverdue, OrderID: f.plan.Order.OrderID, Detail: "the courier has not reported the delivery in time: ask where the parcel is"}
	if err := local(ctx, openTaskActivity, nil, task); err != nil {
		return err
	}
	delivered.Receive(ctx, &f.deliveredAt)
	return nil
}

func (f *fulfilment) recordConfirmed(ctx workflow.Context) error {
	return f.record(ctx, Transition{To: Confirmed})
}

func (f *fulfilment) recordShipped(ctx workflow.Context) error {
	sent := f.saga.Result(commands.Dispatch)
	return f.record(ctx, Transition{To: Shipped, ShipmentID: sent.ShipmentID, Carrier: sent.Carrier, Tracking: sent.Tracking})
}

func (f *fulfilment) recordCompleted(ctx workflow.Context) error {
	return f.record(ctx, Transition{To: Completed})
}

// record writes a transition and its fact. It is not stopped by a cancellation:
// what has happened is recorded.
func (f *fulfilment) record(ctx workflow.Context, t Transition) error {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	t.OrderID = f.plan.Order.OrderID
	if err := local(ctx, recordActivity, nil, Recording{Transition: t, DeliveredAt: f.deliveredAt, Steps: f.saga.Progress()}); err != nil {
		return err
	}
	f.status = t.To
	return nil
}

// forEver bounds the tries of what nothing but its success may end. Without it,
// Temporal ends a local activity with its first timeout.
const forEver = 10 * 365 * 24 * time.Hour

// local runs one of the order service's own activities in the worker that runs
// the workflow, which is a third of the cost of a remote one. A database that is
// away is waited for.
func local(ctx workflow.Context, name string, result any, arg any) error {
	ctx = workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		ScheduleToCloseTimeout: forEver,
		StartToCloseTimeout:    10 * time.Second,
		RetryPolicy:            &temporal.RetryPolicy{InitialInterval: 100 * time.Millisecond, BackoffCoefficient: 2, MaximumInterval: 5 * time.Second},
	})
	return workflow.ExecuteLocalActivity(ctx, name, arg).Get(ctx, result)
}

// Retry is the input of RetryTask.
type Retry struct {
	TaskID  string           `json:"task_id"`
	Command commands.Command `json:"command"`
	Order   commands.Order   `json:"order"`
}

// RetryTask asks again for a compensation that had become a task, and closes
// the task when it is done. When it is refused again the task is open again.
func RetryTask(ctx workflow.Context, r Retry) error {
	closing := Closing{TaskID: r.TaskID, State: TaskDone}
	if _, err := saga.Command(ctx, r.Command, r.Order); err != nil {
		closing.State, closing.Detail = TaskOpen, err.Error()
	}
	return local(ctx, closeTaskActivity, nil, closing)
}
