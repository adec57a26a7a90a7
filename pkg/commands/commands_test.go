package commands_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"go.temporal.io/sdk/testsuite"

	"github.com/cartwheel-shop/cartwheel/pkg/commands"
)

// A refusal keeps its code and its sentence on the way through Temporal, where
// only what is serialised survives.
func TestRefusalCrossesTemporal(t *testing.T) {
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	refuse := func(context.Context) error {
		return fmt.Errorf("reserve: %w", commands.Refuse(commands.OutOfStock, "only 3 of milk are left"))
	}
	env.RegisterActivity(refuse)

	_, err := env.ExecuteActivity(refuse)
	got, ok := commands.AsRefusal(err)
	want := commands.Refusal{Code: commands.OutOfStock, Detail: "only 3 of milk are left"}
	if !ok || got != want {
		t.Fatalf("AsRefusal(%v) = %+v, %v; want %+v", err, got, ok, want)
	}
}

func TestAsRefusal(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		want bool
	}{
		{"a refusal", commands.Refuse(commands.Declined, "the bank said no"), true},
		{"a wrapped refusal", fmt.Errorf("pay: %w", commands.Refuse(commands.Declined, "no")), true},
		{"any other error", errors.New("connection reset"), false},
		{"nil", nil, false},
	} {
		if _, ok := commands.AsRefusal(tc.err); ok != tc.want {
			t.Errorf("%s: AsRefusal = %v, want %v", tc.name, ok, tc.want)
		}
	}
}

func TestCommandNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range []commands.Command{
		commands.ReserveStock, commands.ReleaseStock, commands.PrepareShipment, commands.CancelShipment,
		commands.Dispatch, commands.Authorize, commands.Void, commands.Capture, commands.Refund,
	} {
		if seen[c.Name] || c.TaskQueue == "" {
			t.Errorf("command %+v: name taken or no task queue", c)
		}
		seen[c.Name] = true
	}
}
