package payment

import (
	"testing"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"

	"github.com/cartwheel-shop/cartwheel/pkg/commands"
	"github.com/cartwheel-shop/cartwheel/pkg/saga"
)

// Every command of the contract is served, under its name, and says which
// attempt it was.
func TestCommandsAreServed(t *testing.T) {
	s := open(t)
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	s.register(registry{env: env})
	for orderID, list := range map[string][]commands.Command{
		"ord_1": {commands.Authorize, commands.Capture, commands.Refund},
		"ord_2": {commands.Authorize, commands.Void},
	} {
		for _, c := range list {
			if c.TaskQueue != commands.PaymentQueue {
				t.Errorf("%s is on the task queue %s", c.Name, c.TaskQueue)
			}
			o := order(orderID, "tok_visa")
			value, err := env.ExecuteActivity(c.Name, o)
			if err != nil {
				t.Errorf("%s: %v", c.Name, err)
				continue
			}
			var res commands.Result
			if err := value.Get(&res); err != nil || res.Attempt != 1 || res.Amount != o.Total {
				t.Errorf("%s = %+v, %v; want attempt 1 and the money", c.Name, res, err)
			}
		}
	}
}

// registry registers activities, and nothing else.
type registry struct {
	saga.Registry
	env *testsuite.TestActivityEnvironment
}

func (r registry) RegisterActivityWithOptions(fn any, o activity.RegisterOptions) {
	r.env.RegisterActivityWithOptions(fn, o)
}
