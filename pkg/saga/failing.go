package saga

import (
	"context"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"

	"github.com/cartwheel-shop/cartwheel/pkg/fault"
)

// failing has the points of every activity of a worker.
type failing struct {
	interceptor.WorkerInterceptorBase
	faults *fault.Points
}

// InterceptActivity implements interceptor.WorkerInterceptor.
func (f *failing) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &failingActivity{interceptor.ActivityInboundInterceptorBase{Next: next}, f.faults}
}

type failingActivity struct {
	interceptor.ActivityInboundInterceptorBase
	faults *fault.Points
}

// ExecuteActivity does the activity between its two points. Its workflow's id is
// the order's.
func (a *failingActivity) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	info := activity.GetInfo(ctx)
	if err := a.faults.At(ctx, fault.ActivityBefore, info.WorkflowExecution.ID, info.ActivityType.Name); err != nil {
		return nil, err
	}
	res, err := a.Next.ExecuteActivity(ctx, in)
	if err != nil {
		return res, err
	}
	return res, a.faults.At(ctx, fault.ActivityAfter, info.WorkflowExecution.ID, info.ActivityType.Name)
}
