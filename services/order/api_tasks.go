package order

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/cartwheel-shop/cartwheel/pkg/httpapi"
)

type tasksInput struct {
	httpapi.Page
	State string `query:"state" enum:"open,retrying,done" doc:"absent: all"`
}

type tasksOutput struct {
	Body struct {
		Items      []Task `json:"items" nullable:"false"`
		NextCursor string `json:"next_cursor,omitempty"`
	}
}

type taskInput struct {
	ID string `path:"id" doc:"the task's id"`
}

type taskOutput struct{ Body Task }

// registerTasks registers what waits for a person.
func (s *Service) registerTasks(a *httpapi.API) {
	huma.Register(a.Huma(), a.Operator(huma.Operation{
		OperationID: "list-tasks", Method: http.MethodGet, Path: "/api/tasks", Summary: "What waits for a person, newest first", Tags: []string{"tasks"},
	}), s.listTasks)
	huma.Register(a.Huma(), a.Operator(huma.Operation{
		OperationID: "retry-task", Method: http.MethodPost, Path: "/api/tasks/{id}/retry", DefaultStatus: http.StatusAccepted, Tags: []string{"tasks"},
		Summary: "Ask again for the compensation that failed", Errors: []int{http.StatusNotFound, http.StatusConflict, http.StatusServiceUnavailable},
	}), s.retryTask)
	huma.Register(a.Huma(), a.Operator(huma.Operation{
		OperationID: "close-task", Method: http.MethodPost, Path: "/api/tasks/{id}/done", DefaultStatus: http.StatusAccepted, Tags: []string{"tasks"},
		Summary: "Say that a person has seen to it", Errors: []int{http.StatusNotFound},
	}), s.closeTask)
}

func (s *Service) listTasks(ctx context.Context, in *tasksInput) (*tasksOutput, error) {
	at, id, err := after(in.Cursor)
	if err != nil {
		return nil, err
	}
	tasks, err := s.store.Tasks(ctx, TaskState(in.State), at, id, in.Limit+1)
	if err != nil {
		return nil, httpapi.Internal(ctx, s.log, err)
	}
	out := &tasksOutput{}
	if len(tasks) > in.Limit {
		tasks = tasks[:in.Limit]
		last := tasks[len(tasks)-1]
		out.Body.NextCursor = httpapi.EncodeCursor(last.CreatedAt.Format(time.RFC3339Nano), last.ID)
	}
	out.Body.Items = append([]Task{}, tasks...)
	return out, nil
}

func (s *Service) retryTask(ctx context.Context, in *taskInput) (*taskOutput, error) {
	t, err := s.store.Task(ctx, in.ID)
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	if t.Kind != CompensationFailed || t.State == TaskDone {
		return nil, httpapi.Problem(http.StatusConflict, "task_state",
			fmt.Sprintf("a task of kind %s that is %s has nothing to retry; mark it done when it is settled", t.Kind, t.State))
	}
	o, err := s.find(ctx, t.OrderID)
	if err != nil {
		return nil, err
	}
	if err := s.store.setTask(ctx, t.ID, TaskRetrying, ""); err != nil {
		return nil, s.problem(ctx, err)
	}
	if err := s.engine.RetryTask(ctx, t, o.Order); err != nil {
		if back := s.store.setTask(ctx, t.ID, TaskOpen, ""); back != nil {
			s.log.WarnContext(ctx, "task not put back", "task", t.ID, "error", back)
		}
		return nil, s.problem(ctx, err)
	}
	t.State = TaskRetrying
	return &taskOutput{t}, nil
}

func (s *Service) closeTask(ctx context.Context, in *taskInput) (*taskOutput, error) {
	if err := s.store.CloseTask(ctx, Closing{TaskID: in.ID, State: TaskDone}); err != nil {
		return nil, s.problem(ctx, err)
	}
	t, err := s.store.Task(ctx, in.ID)
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	return &taskOutput{t}, nil
}
