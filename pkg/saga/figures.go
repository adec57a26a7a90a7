package saga

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
)

// QueueFigures is how a task queue stands, as Temporal tells it: it may be some
// seconds behind.
type QueueFigures struct {
	Name       string  `json:"name"`
	Kind       string  `json:"kind"` // of its tasks: workflow or activity
	Pollers    int     `json:"pollers"`
	Backlog    int64   `json:"backlog"`
	OldestSecs float64 `json:"oldest_seconds"` // how long the oldest task waits
	AddedPerS  float64 `json:"added_per_second"`
	DonePerS   float64 `json:"dispatched_per_second"`
}

// Figures tells how task queues stand.
func Figures(ctx context.Context, c client.Client, namespace string, names ...string) ([]QueueFigures, error) {
	out := []QueueFigures{}
	for _, name := range names {
		for _, kind := range []enums.TaskQueueType{enums.TASK_QUEUE_TYPE_WORKFLOW, enums.TASK_QUEUE_TYPE_ACTIVITY} {
			d, err := c.WorkflowService().DescribeTaskQueue(ctx, &workflowservice.DescribeTaskQueueRequest{
				Namespace: namespace, TaskQueue: &taskqueue.TaskQueue{Name: name}, TaskQueueType: kind, ReportStats: true,
			})
			if err != nil {
				return nil, fmt.Errorf("task queue %s: %w", name, err)
			}
			st := d.GetStats()
			q := QueueFigures{
				Name: name, Kind: "workflow", Pollers: len(d.GetPollers()), Backlog: st.GetApproximateBacklogCount(),
				OldestSecs: st.GetApproximateBacklogAge().AsDuration().Truncate(100 * time.Millisecond).Seconds(),
				AddedPerS:  float64(st.GetTasksAddRate()), DonePerS: float64(st.GetTasksDispatchRate()),
			}
			if kind == enums.TASK_QUEUE_TYPE_ACTIVITY {
				q.Kind = "activity"
			}
			if q.Pollers > 0 || q.Backlog > 0 || q.AddedPerS > 0 { // else nobody uses it for that
				out = append(out, q)
			}
		}
	}
	return out, nil
}
