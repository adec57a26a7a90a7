package order

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/commands"
)

// tasksOf are the tasks of a state, newest first: "refund of 1".
func (d *desk) tasksOf(t *testing.T, state TaskState) string {
	t.Helper()
	list, err := d.store.Tasks(t.Context(), state, time.Time{}, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, task := range list {
		what := strings.TrimPrefix(task.Command, "payment.")
		if what == "" {
			what = string(task.Kind)
		}
		out = append(out, what+" of "+strings.TrimPrefix(task.OrderID, "ord_"))
	}
	return strings.Join(out, ", ")
}

// task opens a task and returns it.
func (d *desk) task(t *testing.T, task Task) Task {
	t.Helper()
	if err := d.store.OpenTask(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	list, err := d.store.Tasks(t.Context(), "", time.Time{}, "", 1)
	if err != nil || len(list) != 1 {
		t.Fatalf("%d tasks, %v", len(list), err)
	}
	return list[0]
}

// A task is opened once for an order, a kind and a command, however often the
// saga asks; what was done stays done.
func TestTasks(t *testing.T) {
	d := open(t)
	d.place(t, "ord_1")
	d.place(t, "ord_2")
	refund := Task{Kind: CompensationFailed, OrderID: "ord_1", Command: commands.Refund.Name, Detail: "the account is gone"}
	first := d.task(t, refund)
	if first.State != TaskOpen || first.Detail != refund.Detail || first.Kind != CompensationFailed || !first.CreatedAt.Equal(d.at) || !strings.HasPrefix(first.ID, "tsk_") {
		t.Errorf("opened %+v", first)
	}
	for _, task := range []Task{
		{Kind: CompensationFailed, OrderID: "ord_1", Command: commands.Refund.Name, Detail: "still gone"},
		{Kind: CompensationFailed, OrderID: "ord_1", Command: commands.Void.Name, Detail: "the bank is closed"},
		{Kind: CompensationFailed, OrderID: "ord_2", Command: commands.Refund.Name, Detail: "the bank is closed"},
		{Kind: DeliveryOverdue, OrderID: "ord_2", Detail: "ask the courier"},
		{Kind: DeliveryOverdue, OrderID: "ord_2", Detail: "ask again"},
	} {
		d.pass(time.Second)
		if err := d.store.OpenTask(t.Context(), task); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := d.tasksOf(t, ""), "delivery_overdue of 2, refund of 2, void of 1, refund of 1"; got != want {
		t.Errorf("tasks %s, want %s", got, want)
	}
	for _, step := range []struct {
		state        TaskState
		detail, said string
	}{
		{TaskOpen, "refused again", "refused again"},
		{TaskDone, "", "refused again"},
	} {
		d.pass(time.Second)
		if err := d.store.CloseTask(t.Context(), Closing{TaskID: first.ID, State: step.state, Detail: step.detail}); err != nil {
			t.Fatal(err)
		}
		if got, err := d.store.Task(t.Context(), first.ID); err != nil || got.State != step.state || got.Detail != step.said || !got.UpdatedAt.Equal(d.at) || !got.CreatedAt.Equal(first.CreatedAt) {
			t.Errorf("it is %+v (%v), want %+v", got, err, step)
		}
	}
	if err := d.store.OpenTask(t.Context(), refund); err != nil {
		t.Fatal(err)
	}
	if open, done := d.tasksOf(t, TaskOpen), d.tasksOf(t, TaskDone); open != "delivery_overdue of 2, refund of 2, void of 1" || done != "refund of 1" {
		t.Errorf("open are %s, done %s", open, done)
	}
	if _, err := d.store.Task(t.Context(), "tsk_9"); !errors.Is(err, ErrNoTask) {
		t.Errorf("a task that there is not: %v, want ErrNoTask", err)
	}
	if err := d.store.CloseTask(t.Context(), Closing{TaskID: "tsk_9", State: "done"}); !errors.Is(err, ErrNoTask) {
		t.Errorf("to close it: %v, want ErrNoTask", err)
	}
}

// What a person can do with a task.
func TestTaskCalls(t *testing.T) {
	refund := Task{Kind: CompensationFailed, OrderID: "ord_1", Command: commands.Refund.Name, Detail: "no"}
	overdue := Task{Kind: DeliveryOverdue, OrderID: "ord_1", Detail: "late"}
	for _, tc := range []struct {
		name   string
		task   Task
		is     TaskState // before
		call   string
		saga   error
		status int
		code   string
		after  TaskState
		asked  bool
	}{
		{"asked for again", refund, "open", "retry", nil, 202, "", "retrying", true},
		{"asked for again and again", refund, "retrying", "retry", nil, 202, "", "retrying", true},
		{"asked for again after it was done", refund, "done", "retry", nil, 409, "task_state", "done", false},
		{"an overdue delivery asked for again", overdue, "open", "retry", nil, 409, "task_state", "open", false},
		{"asked for again while the saga engine is away", refund, "open", "retry", away, 503, "saga_unavailable", "open", true},
		{"seen to", overdue, "open", "done", nil, 202, "", "done", false},
		{"seen to twice", overdue, "done", "done", nil, 202, "", "done", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := open(t)
			d.place(t, "ord_1")
			task := d.task(t, tc.task)
			if err := d.store.CloseTask(t.Context(), Closing{TaskID: task.ID, State: tc.is}); err != nil {
				t.Fatal(err)
			}
			d.sagas.answers(tc.saga)
			a := d.call(t, http.MethodPost, "/api/tasks/"+task.ID+"/"+tc.call, "")
			if a.status != tc.status || a.Code != tc.code || a.header.Get("Retry-After") != map[int]string{503: "5"}[tc.status] {
				t.Errorf("%d %s, want %d %s", a.status, a.body, tc.status, tc.code)
			}
			if got, err := d.store.Task(t.Context(), task.ID); err != nil || got.State != tc.after {
				t.Errorf("it is %s (%v), want %s", got.State, err, tc.after)
			}
			if got := d.sagas.was(); (got == "order.retry_task "+task.ID) != tc.asked {
				t.Errorf("the saga engine was asked %q", got)
			}
		})
	}
}

func TestTheListOfTasks(t *testing.T) {
	d := open(t)
	var none struct{ Items []Task }
	if d.get(t, "/api/tasks", &none); none.Items == nil || len(none.Items) != 0 {
		t.Errorf("no tasks are %v, want an empty list", none.Items)
	}
	for i := range 5 { // in the same instant
		id := fmt.Sprintf("ord_%d", i)
		d.place(t, id)
		d.task(t, Task{Kind: DeliveryOverdue, OrderID: id, Detail: "late"})
	}
	seen := map[string]bool{}
	for cursor, n := "", 0; ; n++ {
		var page struct {
			Items      []Task
			NextCursor string `json:"next_cursor"`
		}
		if d.get(t, "/api/tasks?state=open&limit=2&cursor="+cursor, &page); len(page.Items) > 2 || n > 2 {
			t.Fatalf("page %d has %d items", n, len(page.Items))
		}
		for _, task := range page.Items {
			seen[task.ID] = true
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	if len(seen) != 5 {
		t.Errorf("the pages together have %d tasks, want 5", len(seen))
	}
	for _, path := range []string{"/api/tasks?cursor=nonsense", "/api/tasks?limit=0", "/api/tasks?state=lost"} {
		if a := d.call(t, http.MethodGet, path, ""); a.status != http.StatusUnprocessableEntity || a.Code != "invalid" {
			t.Errorf("GET %s: %d %s, want 422 invalid", path, a.status, a.body)
		}
	}
	for _, path := range []string{"/api/tasks/tsk_9/retry", "/api/tasks/tsk_9/done"} {
		if a := d.call(t, http.MethodPost, path, ""); a.status != http.StatusNotFound || a.Code != "task_not_found" {
			t.Errorf("POST %s: %d %s, want 404 task_not_found", path, a.status, a.body)
		}
	}
}
