package bench

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	temporal "go.temporal.io/sdk/client"
	"go.temporal.io/sdk/workflow"

	"github.com/cartwheel-shop/cartwheel/pkg/saga"
)

// Shop runs a whole shop until use has returned.
type Shop func(ctx context.Context, use func(ctx context.Context, s Serving) error) error

// Serving is a shop that is ready.
type Serving struct {
	Temporal string // address
	// Place sends orders, so many under way at once, and returns how many a second
	// were completed; all must be.
	Place func(ctx context.Context, orders, inFlight int) (float64, error)
}

// saga runs orders through a whole shop, and as many bare workflows on its
// Temporal server.
func (r *runner) saga(ctx context.Context) error {
	return r.Shop(ctx, func(ctx context.Context, shop Serving) error {
		bare, err := newBare(ctx, shop.Temporal, r.Log)
		if err != nil {
			return err
		}
		defer bare.client.Close()
		f, err := r.rounds(ctx,
			func(ctx context.Context) (float64, error) { return shop.Place(ctx, r.Orders, r.InFlight) },
			func(ctx context.Context) (float64, error) { return bare.run(ctx, r.Orders, r.InFlight) })
		if err != nil {
			return err
		}
		r.row("saga", "an order from request to completed", "orders/s", f[0], "bare workflow", f[1], Goal{AtLeast: 0.75})
		return nil
	})
}

// bare is the reference: a workflow with the remote and local activities of the
// saga, its signal, which comes while it waits for it, and its task queues, in
// which every activity does nothing.
type bare struct {
	client temporal.Client
	next   int
}

const (
	bareWorkflow = "bench.bare"
	bareRemote   = "bench.remote"
	bareLocal    = "bench.local"
	bareSend     = "bench.send" // local; the signal is on its way after it
	bareSignal   = "bench.signal"
)

// bareQueues are the queues of the five commands, in the saga's order. Its local
// activities stand for begin, confirmed, shipped and completed.
var bareQueues = []string{"bench-inventory", "bench-payment", "bench-inventory", "bench-payment", "bench-inventory"}

func runBare(ctx workflow.Context) error {
	local := func(name string) error {
		return workflow.ExecuteLocalActivity(workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{StartToCloseTimeout: 10 * time.Second}), name).Get(ctx, nil)
	}
	if err := local(bareLocal); err != nil {
		return err
	}
	for _, queue := range bareQueues {
		act := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{TaskQueue: queue, StartToCloseTimeout: 10 * time.Second})
		if err := workflow.ExecuteActivity(act, bareRemote).Get(ctx, nil); err != nil {
			return err
		}
	}
	for _, name := range []string{bareLocal, bareSend} {
		if err := local(name); err != nil {
			return err
		}
	}
	workflow.GetSignalChannel(ctx, bareSignal).Receive(ctx, nil)
	return local(bareLocal)
}

func newBare(ctx context.Context, address string, log *slog.Logger) (*bare, error) {
	c, err := saga.NewClient(address, "cartwheel", log)
	if err != nil {
		return nil, err
	}
	nothing := func(context.Context) error { return nil }
	for queue, register := range map[string]func(saga.Registry){
		"bench-order": func(r saga.Registry) {
			r.RegisterWorkflowWithOptions(runBare, workflow.RegisterOptions{Name: bareWorkflow})
			saga.Serve(r, bareLocal, nothing)
			saga.Serve(r, bareSend, func(ctx context.Context) error {
				id := activity.GetInfo(ctx).WorkflowExecution.ID
				go func() { _ = c.SignalWorkflow(context.WithoutCancel(ctx), id, "", bareSignal, nil) }() // without it the run does not end
				return nil
			})
		},
		"bench-inventory": func(r saga.Registry) { saga.Serve(r, bareRemote, nothing) },
		"bench-payment":   func(r saga.Registry) { saga.Serve(r, bareRemote, nothing) },
	} {
		go func() { _ = saga.RunWorker(ctx, c, queue, log, register) }() // ends with ctx
	}
	return &bare{client: c}, nil
}

// run runs n workflows, so many at once, and returns how many it did a second.
func (b *bare) run(ctx context.Context, n, inFlight int) (float64, error) {
	started := time.Now()
	slots := make(chan struct{}, inFlight)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for range n {
		slots <- struct{}{}
		b.next++
		id := "bench-" + strconv.Itoa(b.next)
		wg.Go(func() {
			defer func() { <-slots }()
			run, err := b.client.ExecuteWorkflow(ctx, temporal.StartWorkflowOptions{ID: id, TaskQueue: "bench-order"}, bareWorkflow)
			if err == nil {
				err = run.Get(ctx, nil)
			}
			mu.Lock()
			failed = errors.Join(failed, err)
			mu.Unlock()
		})
	}
	wg.Wait()
	return float64(n) / time.Since(started).Seconds(), failed
}
