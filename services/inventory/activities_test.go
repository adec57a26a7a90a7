package inventory

import (
	"errors"
	"testing"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"

	"github.com/cartwheel-shop/cartwheel/pkg/commands"
	"github.com/cartwheel-shop/cartwheel/pkg/saga"
)

// prepared is an order of a marketplace that is ready to be dispatched.
func (w *warehouse) prepared(t *testing.T) commands.Order {
	t.Helper()
	o := w.order("ord_1", "truffle-box 20")
	for _, c := range []string{"reserve", "prepare"} {
		if _, err := w.do(t.Context(), c, o); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

func TestDispatchIsOneParcelHoweverOftenItIsAsked(t *testing.T) {
	w := open(t)
	o := w.prepared(t)
	lost := true
	courier := &feed{answer: func(Parcel) (Label, error) {
		if lost {
			lost = false
			return Label{}, errors.New("the answer was lost")
		}
		return Label{Carrier: "Cartwheel Courier", Tracking: "CW000000001"}, nil
	}}
	s := w.service(courier)
	if _, err := s.dispatch(t.Context(), o); outcome(err) != "again" {
		t.Fatalf("dispatch without an answer ended %s: %v", outcome(err), err)
	}
	var last commands.Result
	for range 2 {
		res, err := s.dispatch(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		last = res
	}
	if want := (commands.Result{Reference: w.shipmentID(t, o.OrderID), ShipmentID: w.shipmentID(t, o.OrderID), Carrier: "Cartwheel Courier", Tracking: "CW000000001"}); last != want {
		t.Errorf("dispatch = %+v, want %+v", last, want)
	}
	if len(courier.sent) != 2 {
		t.Fatalf("the courier was asked %d times, want twice: not again after its answer", len(courier.sent))
	}
	for _, p := range courier.sent {
		if want := (Parcel{Reference: w.shipmentID(t, o.OrderID)}); p != want {
			t.Errorf("parcel %+v, want %+v: the shipment's id, and no address for a marketplace", p, want)
		}
	}
}

func TestTheCouriersRefusalIsFinal(t *testing.T) {
	w := open(t)
	o := w.prepared(t)
	courier := &feed{answer: func(Parcel) (Label, error) { return Label{}, &RefusedError{"we do not deliver to this country"} }}
	s := w.service(courier)
	for range 2 {
		_, err := s.dispatch(t.Context(), o)
		if r, ok := commands.AsRefusal(err); !ok || r != (commands.Refusal{Code: commands.CourierRefused, Detail: "we do not deliver to this country"}) {
			t.Errorf("dispatch: %v, want the courier's refusal", err)
		}
	}
	if len(courier.sent) != 1 {
		t.Errorf("the courier was asked %d times, want once", len(courier.sent))
	}
	for _, c := range []string{"cancel", "release"} {
		if _, err := w.do(t.Context(), c, o); err != nil {
			t.Errorf("%s: %v", c, err)
		}
	}
	if levels := w.levels(t, "truffle-box"); levels != "50/0/0" {
		t.Errorf("stock %s, want 50/0/0", levels)
	}
}

// A shipment that was cancelled never reaches the courier.
func TestCancelledShipmentIsNotSent(t *testing.T) {
	w := open(t)
	o := w.prepared(t)
	if _, err := w.Cancel(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	courier := &feed{}
	if _, err := w.service(courier).dispatch(t.Context(), o); outcome(err) != "command_undone" {
		t.Errorf("dispatch: %v, want command_undone", err)
	}
	if len(courier.sent) != 0 {
		t.Errorf("the courier got %v", courier.sent)
	}
}

// Every command of the contract is served, under its name, and says which
// attempt it was.
func TestCommandsAreServed(t *testing.T) {
	w := open(t)
	courier := &feed{answer: func(Parcel) (Label, error) { return Label{Carrier: "Cartwheel Courier", Tracking: "CW1"}, nil }}
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	w.service(courier).register(registry{env: env})
	for orderID, list := range map[string][]commands.Command{
		"ord_1": {commands.ReserveStock, commands.PrepareShipment, commands.Dispatch},
		"ord_2": {commands.ReserveStock, commands.PrepareShipment, commands.CancelShipment, commands.ReleaseStock},
	} {
		for _, c := range list {
			if c.TaskQueue != commands.InventoryQueue {
				t.Errorf("%s is on the task queue %s", c.Name, c.TaskQueue)
			}
			value, err := env.ExecuteActivity(c.Name, w.order(orderID, "truffle-box 2"))
			if err != nil {
				t.Errorf("%s: %v", c.Name, err)
				continue
			}
			var res commands.Result
			if err := value.Get(&res); err != nil || res.Attempt != 1 {
				t.Errorf("%s = %+v, %v; want attempt 1", c.Name, res, err)
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
