package order

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/grpc"

	"github.com/cartwheel-shop/cartwheel/pkg/saga"
)

// sagas stands for the saga engine: it writes down what it is asked, and answers
// what the test says. What it does not know nobody asks it.
type sagas struct {
	client.Client

	mu       sync.Mutex
	asked    []string
	plan     Plan            // of the saga that was started last
	refusal  error           // to whatever is asked
	progress []saga.Progress // of every saga; nil: there is none to ask
}

// away is the answer of an engine that cannot be reached.
var away = serviceerror.NewUnavailable("connection refused")

// notFound is the answer when there is no such saga.
var notFound = serviceerror.NewNotFound("workflow not found")

// started is the answer when there is one already.
var started = serviceerror.NewWorkflowExecutionAlreadyStarted("workflow execution already started", "", "")

// notNow is what a validator of the saga says.
func notNow(s Status) error {
	return temporal.NewNonRetryableApplicationError("the order's state does not allow it", stateErrorType, nil, s)
}

func (s *sagas) ask(what ...any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, strings.TrimSuffix(fmt.Sprintln(what...), "\n"))
	return s.refusal
}

// was returns what was asked since the last call.
func (s *sagas) was() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.asked = nil }()
	return strings.Join(s.asked, ", ")
}

func (s *sagas) answers(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusal = err
}

func (s *sagas) ExecuteWorkflow(_ context.Context, o client.StartWorkflowOptions, name any, args ...any) (client.WorkflowRun, error) {
	if p, ok := args[0].(Plan); ok {
		s.plan = p
	}
	return nil, s.ask(name, o.ID)
}

func (s *sagas) NewWithStartWorkflowOperation(_ client.StartWorkflowOptions, _ any, args ...any) client.WithStartWorkflowOperation {
	s.plan = args[0].(Plan)
	return nil
}

func (s *sagas) UpdateWithStartWorkflow(ctx context.Context, o client.UpdateWithStartWorkflowOptions) (client.WorkflowUpdateHandle, error) {
	return s.UpdateWorkflow(ctx, o.UpdateOptions)
}

func (s *sagas) UpdateWorkflow(_ context.Context, o client.UpdateWorkflowOptions) (client.WorkflowUpdateHandle, error) {
	return handle{err: s.ask(o.UpdateName, o.WorkflowID, o.Args[0].(Decision).Reason)}, nil
}

type handle struct {
	client.WorkflowUpdateHandle
	err error
}

func (u handle) Get(context.Context, any) error { return u.err }

func (s *sagas) SignalWorkflow(_ context.Context, id, _, name string, _ any) error {
	return s.ask(name, id)
}

func (s *sagas) QueryWorkflow(_ context.Context, id, _, name string, _ ...any) (converter.EncodedValue, error) {
	if s.progress == nil {
		return nil, away
	}
	return steps(s.progress), nil
}

type steps []saga.Progress

func (steps) HasValue() bool     { return true }
func (v steps) Get(to any) error { *to.(*[]saga.Progress) = v; return nil }

func (s *sagas) DescribeWorkflowExecution(context.Context, string, string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	return nil, away
}

// WorkflowService answers for the task queues: each has one worker, and two
// workflow tasks wait.
func (s *sagas) WorkflowService() workflowservice.WorkflowServiceClient { return queues{sagas: s} }

type queues struct {
	workflowservice.WorkflowServiceClient
	sagas *sagas
}

func (q queues) DescribeTaskQueue(_ context.Context, r *workflowservice.DescribeTaskQueueRequest, _ ...grpc.CallOption) (*workflowservice.DescribeTaskQueueResponse, error) {
	if r.TaskQueueType != enums.TASK_QUEUE_TYPE_WORKFLOW {
		return &workflowservice.DescribeTaskQueueResponse{}, nil // nobody uses it for that
	}
	return &workflowservice.DescribeTaskQueueResponse{
		Pollers: []*taskqueue.PollerInfo{{}}, Stats: &taskqueue.TaskQueueStats{ApproximateBacklogCount: 2},
	}, q.sagas.ask("describe", r.TaskQueue.Name)
}
