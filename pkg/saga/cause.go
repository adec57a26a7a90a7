package saga

import (
	"context"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
)

// causeHeader is the header that a saga and its activities carry: the id of the
// event that started the saga.
const causeHeader = "causation-id"

// causes lets the facts of a saga name the event that started it as their cause,
// in whichever service they are published.
type causes struct{}

type causeKey struct{}

// Inject implements workflow.ContextPropagator.
func (causes) Inject(ctx context.Context, to workflow.HeaderWriter) error {
	return setCause(to, events.CauseFrom(ctx).CausationID)
}

// InjectFromWorkflow implements workflow.ContextPropagator.
func (causes) InjectFromWorkflow(ctx workflow.Context, to workflow.HeaderWriter) error {
	id, _ := ctx.Value(causeKey{}).(string)
	return setCause(to, id)
}

func setCause(to workflow.HeaderWriter, id string) error {
	if id == "" {
		return nil
	}
	payload, err := converter.GetDefaultDataConverter().ToPayload(id)
	if err != nil {
		return err
	}
	to.Set(causeHeader, payload)
	return nil
}

// Extract implements workflow.ContextPropagator.
func (causes) Extract(ctx context.Context, from workflow.HeaderReader) (context.Context, error) {
	id, err := cause(from)
	if err != nil || id == "" {
		return ctx, err
	}
	return events.WithCausation(ctx, id), nil
}

// ExtractToWorkflow implements workflow.ContextPropagator.
func (causes) ExtractToWorkflow(ctx workflow.Context, from workflow.HeaderReader) (workflow.Context, error) {
	id, err := cause(from)
	if err != nil || id == "" {
		return ctx, err
	}
	return workflow.WithValue(ctx, causeKey{}, id), nil
}

func cause(from workflow.HeaderReader) (id string, err error) {
	payload, ok := from.Get(causeHeader)
	if !ok {
		return "", nil
	}
	return id, converter.GetDefaultDataConverter().FromPayload(payload, &id)
}
