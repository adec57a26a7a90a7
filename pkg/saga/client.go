package saga

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/opentelemetry"
	"go.temporal.io/sdk/interceptor"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/cartwheel-shop/cartwheel/pkg/fault"
	"github.com/cartwheel-shop/cartwheel/pkg/links"
	"github.com/cartwheel-shop/cartwheel/pkg/service"
)

// NewClient returns a Temporal client that connects when it is first used, so
// that a service starts while Temporal is still away. Close it after use.
func NewClient(address, namespace string, log *slog.Logger) (client.Client, error) {
	tracing, err := opentelemetry.NewTracingInterceptor(opentelemetry.TracerOptions{Tracer: otel.Tracer("temporal")})
	if err != nil {
		return nil, fmt.Errorf("temporal client: %w", err)
	}
	c, err := client.NewLazyClient(client.Options{
		HostPort:           address,
		Namespace:          namespace,
		Logger:             sdklog.NewStructuredLogger(log),
		Interceptors:       []interceptor.ClientInterceptor{tracing},
		ContextPropagators: []workflow.ContextPropagator{causes{}},
		// Messages of a saga are small, and to compress each costs both sides more
		// than a network inside a data centre does.
		ConnectionOptions: client.ConnectionOptions{GrpcCompression: &client.GrpcCompressionNone{}},
	})
	if err != nil {
		return nil, fmt.Errorf("temporal client for %s: %w", address, err)
	}
	return c, nil
}

// Link adds a client to a service's links: it is a health check, and is closed with
// them.
func Link(k *links.Links) (client.Client, error) {
	c, err := NewClient(k.Base.TemporalAddress, k.Base.TemporalNamespace, k.Life.Log())
	if err != nil {
		return nil, err
	}
	k.AtEnd(c.Close)
	k.Life.Health.Check("temporal", func(ctx context.Context) error { return Reachable(ctx, c) })
	return c, nil
}

// Worker is the part of a service that serves a task queue.
func Worker(k *links.Links, c client.Client, taskQueue string, register func(Registry)) service.Part {
	return service.Part{Name: "worker", Run: func(ctx context.Context) error {
		return runWorker(ctx, c, taskQueue, k.Life.Log(), k.Life.Faults(), register)
	}}
}

// IsUnavailable says that err comes from Temporal being away, starting or
// overloaded: the same call may succeed later.
func IsUnavailable(err error) bool {
	var unavailable *serviceerror.Unavailable
	var exhausted *serviceerror.ResourceExhausted
	var deadline *serviceerror.DeadlineExceeded
	var namespace *serviceerror.NamespaceNotFound // right after the server's first start
	return errors.As(err, &unavailable) || errors.As(err, &exhausted) || errors.As(err, &deadline) ||
		errors.As(err, &namespace) || errors.Is(err, context.DeadlineExceeded)
}

// Reachable is a health check: nil when Temporal serves our namespace.
func Reachable(ctx context.Context, c client.Client) error {
	if _, err := c.CheckHealth(ctx, &client.CheckHealthRequest{}); err != nil {
		return errors.New("the saga engine does not answer yet")
	}
	return nil
}

// Registry is what a worker's activities and workflows are registered with.
type Registry = worker.Registry

// RunWorker polls taskQueue until ctx ends. It waits for Temporal as long as it
// takes, and says once that it waits. In-flight tasks have 5 s to finish; what
// does not is retried by Temporal elsewhere.
func RunWorker(ctx context.Context, c client.Client, taskQueue string, log *slog.Logger, register func(Registry)) error {
	return runWorker(ctx, c, taskQueue, log, nil, register)
}

func runWorker(ctx context.Context, c client.Client, taskQueue string, log *slog.Logger, faults *fault.Points, register func(Registry)) error {
	options := worker.Options{
		WorkerStopTimeout:           5 * time.Second,
		DisableRegistrationAliasing: true,
	}
	if faults != nil {
		options.Interceptors = []interceptor.WorkerInterceptor{&failing{faults: faults}}
	}
	waiting := false
	for {
		w := worker.New(c, taskQueue, options)
		register(w)
		err := w.Start()
		if err == nil {
			log.InfoContext(ctx, "worker polls", "task_queue", taskQueue)
			<-ctx.Done()
			w.Stop()
			return nil
		}
		if !waiting {
			log.InfoContext(ctx, "worker waits for Temporal", "task_queue", taskQueue, "error", err)
			waiting = true
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// Serve registers an activity under a command's name.
func Serve[F any](r Registry, name string, fn F) {
	r.RegisterActivityWithOptions(fn, activity.RegisterOptions{Name: name})
}
