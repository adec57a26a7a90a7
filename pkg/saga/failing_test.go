package saga

import (
	"context"
	"log/slog"
	"testing"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"github.com/cartwheel-shop/cartwheel/pkg/fault"
)

// A fault in front of an activity keeps it from being done; one behind it hides
// that it was.
func TestFaultsAtActivities(t *testing.T) {
	for point, want := range map[fault.Point]int{fault.ActivityBefore: 0, fault.ActivityAfter: 1} {
		for _, key := range []string{"inventory.reserve", "default-test-workflow-id", "another"} {
			t.Run(string(point)+"/"+key, func(t *testing.T) {
				faults := fault.New(slog.New(slog.DiscardHandler))
				if _, err := faults.Arm(fault.Fault{Point: point, Kind: fault.Fail, Key: key, Times: 1}); err != nil {
					t.Fatal(err)
				}
				done := 0
				env := (&testsuite.WorkflowTestSuite{}).NewTestActivityEnvironment()
				env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{&failing{faults: faults}}})
				env.RegisterActivityWithOptions(func(context.Context) error { done++; return nil }, activity.RegisterOptions{Name: "inventory.reserve"})
				_, err := env.ExecuteActivity("inventory.reserve")
				if key == "another" {
					if err != nil || done != 1 {
						t.Errorf("a fault of %s fired: %v, done %d times", key, err, done)
					}
					return
				}
				if err == nil || done != want {
					t.Errorf("done %d times, want %d; the error is %v", done, want, err)
				}
			})
		}
	}
}
