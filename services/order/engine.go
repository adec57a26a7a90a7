package order

import (
	"context"
	"errors"
	"fmt"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/cartwheel-shop/cartwheel/pkg/commands"
	"github.com/cartwheel-shop/cartwheel/pkg/saga"
)

// stateErrorType is the application error by which the saga's validators refuse
// an update; its detail is the order's Status.
const stateErrorType = "OrderState"

// ErrSagaUnavailable says that the saga engine did not answer; ask again.
var ErrSagaUnavailable = errors.New("the saga engine cannot be reached")

// patience bounds a call that a person waits for.
const patience = 3 * time.Second

// Policy is what the saga decides by; it becomes part of each order's Plan, so
// that a change of settings does not reach orders under way.
type Policy struct {
	ApprovalThreshold int64 // minor units; a total above it needs approval
	ApprovalWithin    time.Duration
	ReserveFor        time.Duration
	DeliveryWithin    time.Duration
}

// Engine speaks to the sagas of orders.
type Engine struct {
	temporal client.Client
	policy   Policy
}

// NewEngine returns an engine over a client, which may not be connected yet.
func NewEngine(c client.Client, p Policy) *Engine { return &Engine{c, p} }

// plan is the saga's input for an order.
func (e *Engine) plan(o Order) Plan {
	return Plan{
		Order:            snapshot(o),
		NeedsApproval:    o.Channel == Web && o.Total.Amount > e.policy.ApprovalThreshold,
		ApprovalAbove:    e.policy.ApprovalThreshold,
		ApprovalWithin:   e.policy.ApprovalWithin,
		ReserveFor:       e.policy.ReserveFor,
		DeliveryWithin:   e.policy.DeliveryWithin,
		DispatchDeadline: o.Deadline,
	}
}

// snapshot is what the saga's commands know of an order: nothing personal.
func snapshot(o Order) commands.Order {
	return commands.Order{
		OrderID: o.ID, CustomerID: o.Customer.ID, Channel: o.Channel,
		Lines: o.Items(), Total: o.Total, PaymentToken: o.PaymentToken,
	}
}

// options make the order's id the saga's: one saga for an order, another only
// after a run that failed.
func options(orderID string) client.StartWorkflowOptions {
	return client.StartWorkflowOptions{
		ID:                       orderID,
		TaskQueue:                commands.OrderQueue,
		WorkflowIDReusePolicy:    enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY,
		WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
	}
}

// Start makes sure that an order has a saga. That it has one already is success.
func (e *Engine) Start(ctx context.Context, o Order) error {
	_, err := e.temporal.ExecuteWorkflow(ctx, options(o.ID), fulfilName, e.plan(o))
	var started *serviceerror.WorkflowExecutionAlreadyStarted
	if err != nil && !errors.As(err, &started) {
		return fmt.Errorf("start the saga of %s: %w", o.ID, err)
	}
	return nil
}

// Cancel asks an order's saga to cancel, and starts it when it is not there yet.
// It returns when the saga has accepted, or a *StateError.
func (e *Engine) Cancel(ctx context.Context, o Order, d Decision) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	start := e.temporal.NewWithStartWorkflowOperation(options(o.ID), fulfilName, e.plan(o))
	handle, err := e.temporal.UpdateWithStartWorkflow(ctx, client.UpdateWithStartWorkflowOptions{
		StartWorkflowOperation: start,
		UpdateOptions:          update(o.ID, cancelUpdate, d),
	})
	if err == nil {
		err = handle.Get(ctx, nil)
	}
	return verdict(o, "cancelled", err)
}

// Approve lets an order that awaits approval go on, or returns a *StateError.
func (e *Engine) Approve(ctx context.Context, o Order, d Decision) error {
	return e.decide(ctx, o, approveUpdate, "approved", d)
}

// Reject refuses an order that awaits approval, or returns a *StateError.
func (e *Engine) Reject(ctx context.Context, o Order, d Decision) error {
	return e.decide(ctx, o, rejectUpdate, "rejected", d)
}

func (e *Engine) decide(ctx context.Context, o Order, name, wanted string, d Decision) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	handle, err := e.temporal.UpdateWorkflow(ctx, update(o.ID, name, d))
	if err == nil {
		err = handle.Get(ctx, nil)
	}
	return verdict(o, wanted, err)
}

func update(orderID, name string, d Decision) client.UpdateWorkflowOptions {
	return client.UpdateWorkflowOptions{
		WorkflowID: orderID, UpdateName: name, Args: []any{d},
		WaitForStage: client.WorkflowUpdateStageCompleted,
	}
}

// verdict turns the outcome of an update into ours.
func verdict(o Order, wanted string, err error) error {
	if err == nil {
		return nil
	}
	var app *temporal.ApplicationError
	if errors.As(err, &app) && app.Type() == stateErrorType {
		state := o.Status
		_ = app.Details(&state) // keeps what we know when the detail is missing
		return &StateError{OrderID: o.ID, State: state, Wanted: wanted}
	}
	var gone *serviceerror.NotFound
	var started *serviceerror.WorkflowExecutionAlreadyStarted
	if errors.As(err, &gone) || errors.As(err, &started) {
		return &StateError{OrderID: o.ID, State: o.Status, Wanted: wanted} // not begun, or ended
	}
	var timeout *client.WorkflowUpdateServiceTimeoutOrCanceledError
	if saga.IsUnavailable(err) || errors.As(err, &timeout) {
		return fmt.Errorf("%w: %w", ErrSagaUnavailable, err)
	}
	return fmt.Errorf("order %s, to be %s: %w", o.ID, wanted, err)
}

// Delivered tells an order's saga that the parcel arrived. A saga that is not
// there any more, or not there yet, learns it from the order's row.
func (e *Engine) Delivered(ctx context.Context, orderID string, at time.Time) error {
	err := e.temporal.SignalWorkflow(ctx, orderID, "", deliveredSignal, at)
	var gone *serviceerror.NotFound
	if errors.As(err, &gone) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("tell the saga of %s of its delivery: %w", orderID, err)
	}
	return nil
}

// Progress returns the steps of a saga that runs, with the attempts of the step
// in flight.
func (e *Engine) Progress(ctx context.Context, orderID string) ([]saga.Progress, error) {
	value, err := e.temporal.QueryWorkflow(ctx, orderID, "", progressQuery)
	if err != nil {
		return nil, fmt.Errorf("ask the saga of %s: %w", orderID, err)
	}
	var steps []saga.Progress
	if err := value.Get(&steps); err != nil {
		return nil, fmt.Errorf("ask the saga of %s: %w", orderID, err)
	}
	desc, err := e.temporal.DescribeWorkflowExecution(ctx, orderID, "")
	if err != nil {
		return steps, nil // the attempts are a nicety
	}
	for _, pending := range desc.GetPendingActivities() {
		for i := range steps {
			if steps[i].Name == pending.GetActivityType().GetName() {
				steps[i].Attempts = pending.GetAttempt()
				steps[i].Error = pending.GetLastFailure().GetMessage()
			}
		}
	}
	return steps, nil
}

// Planned is the saga's table before it has begun.
func (e *Engine) Planned(o Order) []saga.Progress {
	f := &fulfilment{plan: e.plan(o)}
	return saga.New(f.plan.Order, f.plan.DispatchDeadline, f.steps()).Progress()
}

// undoes are the compensations that a task can stand for.
var undoes = []commands.Command{commands.ReleaseStock, commands.Void, commands.CancelShipment, commands.Refund}

// RetryTask asks again for the compensation that a task stands for.
func (e *Engine) RetryTask(ctx context.Context, t Task, o Order) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, c := range undoes {
		if c.Name != t.Command {
			continue
		}
		_, err := e.temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
			ID: t.ID, TaskQueue: commands.OrderQueue,
			WorkflowIDReusePolicy:    enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
			WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		}, retryTaskName, Retry{TaskID: t.ID, Command: c, Order: snapshot(o)})
		if err != nil && saga.IsUnavailable(err) {
			return fmt.Errorf("%w: %w", ErrSagaUnavailable, err)
		}
		return err
	}
	return fmt.Errorf("task %s: %q is not a compensation", t.ID, t.Command)
}
