package order

import (
	"context"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/saga"
)

// The saga's local activities: the order service serves them to itself. The
// names are in histories: never rename one.
const (
	beginActivity     = "order.begin"
	recordActivity    = "order.record"
	openTaskActivity  = "order.open_task"
	closeTaskActivity = "order.close_task"
)

// Standing is what a run of the saga must know of its order when it begins.
type Standing struct {
	Status      Status    `json:"status"`
	DeliveredAt time.Time `json:"delivered_at,omitzero"`
}

// Recording is a transition to record, with the steps so far.
type Recording struct {
	Transition  Transition      `json:"transition"`
	DeliveredAt time.Time       `json:"delivered_at,omitzero"`
	Steps       []saga.Progress `json:"steps"`
}

// Closing is what became of a task that was asked for again.
type Closing struct {
	TaskID string    `json:"task_id"`
	State  TaskState `json:"state"`
	Detail string    `json:"detail,omitempty"`
}

type activities struct{ store *Store }

func (a *activities) register(r saga.Registry) {
	saga.Serve(r, beginActivity, a.begin)
	saga.Serve(r, recordActivity, a.record)
	saga.Serve(r, openTaskActivity, a.openTask)
	saga.Serve(r, closeTaskActivity, a.closeTask)
}

func (a *activities) begin(ctx context.Context, orderID string) (Standing, error) {
	o, err := a.store.Get(ctx, orderID)
	if err != nil {
		return Standing{}, err
	}
	return Standing{Status: o.Status, DeliveredAt: o.DeliveredAt}, nil
}

func (a *activities) record(ctx context.Context, r Recording) error {
	return a.store.Record(ctx, r)
}

func (a *activities) openTask(ctx context.Context, t Task) error {
	return a.store.OpenTask(ctx, t)
}

func (a *activities) closeTask(ctx context.Context, c Closing) error {
	return a.store.CloseTask(ctx, c)
}
