package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	temporal "go.temporal.io/sdk/client"
	"go.temporal.io/sdk/workflow"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/observe"
	"github.com/cartwheel-shop/cartwheel/pkg/saga"
	"github.com/cartwheel-shop/cartwheel/pkg/service"
)

type benchCmd struct {
	Saga benchSagaCmd `cmd:"" help:"The full saga of an order, against a bare workflow with as many steps that do nothing."`
}

type benchSagaCmd struct {
	Orders   int  `default:"100" help:"Orders in one round."`
	Rounds   int  `default:"5" help:"Rounds, in which the two take turns."`
	InFlight int  `default:"32" help:"Orders, or workflows, under way at once."`
	JSON     bool `name:"json" help:"Print the figures as JSON."`
}

// sagaFigures is the outcome.
type sagaFigures struct {
	Bare    []float64 `json:"bare_per_second"`
	Full    []float64 `json:"full_per_second"`
	Ratio   float64   `json:"ratio"` // full to bare, the median of the rounds
	Machine string    `json:"machine"`
}

// Run starts a shop of its own and measures both on its Temporal server.
func (c *benchSagaCmd) Run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "cartwheel-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // Postgres runs as another user
		return err
	}
	environ := service.Environ()
	environ["COURIER_DELAY"] = "0s"
	log, file, err := openLog(dir, "warn", "text")
	if err != nil {
		return err
	}
	defer file.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &shop{dir: dir, environ: environ, log: log, say: func(string, string) {}}
	var out sagaFigures
	var failed error
	fmt.Fprintln(os.Stderr, "starting a shop of its own …")
	err = s.run(ctx, "127.0.0.1:0", func(ctx context.Context, e endpoints) error {
		go func() {
			defer cancel()
			out, failed = c.measure(ctx, e)
		}()
		return nil
	})
	if err := errors.Join(failed, err); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(out)
	}
	fmt.Printf("bare workflow  %s  per second\nfull saga      %s  per second\nratio          %.2f, the median of the rounds\n%s\n", list(out.Bare), list(out.Full), out.Ratio, out.Machine)
	return nil
}

func list(values []float64) string {
	s := ""
	for _, v := range values {
		s += fmt.Sprintf("%6.1f", v)
	}
	return s
}

func (c *benchSagaCmd) measure(ctx context.Context, e endpoints) (sagaFigures, error) {
	out := sagaFigures{Machine: fmt.Sprintf("%d cores, %s/%s, %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())}
	if err := awaitReady(ctx, e.Console); err != nil {
		return out, err
	}
	bare, err := newBare(ctx, e.Temporal)
	if err != nil {
		return out, err
	}
	defer bare.client.Close()
	base, err := url.Parse(e.Console)
	if err != nil {
		return out, err
	}
	shop := &client{base: base, http: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	next := 1
	full := func(n int) (float64, error) {
		requests := make([]request, n)
		for i := range requests {
			requests[i] = purchase{number: next, customer: strconv.Itoa(next), day: time.Date(1997, 1, 1, 0, 0, 0, 0, time.UTC), pieces: 1, total: events.Money{Amount: 1199, Currency: "USD"}}.request()
			next++
		}
		got, err := send(ctx, shop, requests, 0, c.InFlight, func() {})
		if err == nil && got.Statuses["completed"] != n {
			err = fmt.Errorf("%d of %d orders completed: %s", got.Statuses["completed"], n, got.FirstError)
		}
		return float64(n) / got.Seconds, err
	}
	// A round of each warms caches and connections.
	if _, err := bare.run(ctx, c.InFlight, c.InFlight); err != nil {
		return out, err
	}
	if _, err := full(c.InFlight); err != nil {
		return out, err
	}
	for range c.Rounds {
		b, err := bare.run(ctx, c.Orders, c.InFlight)
		if err != nil {
			return out, err
		}
		f, err := full(c.Orders)
		if err != nil {
			return out, err
		}
		out.Bare, out.Full = append(out.Bare, b), append(out.Full, f)
	}
	ratios := make([]float64, c.Rounds)
	for i := range ratios {
		ratios[i] = out.Full[i] / out.Bare[i]
	}
	out.Ratio = middle(ratios)
	return out, nil
}

func middle(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
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

func newBare(ctx context.Context, address string) (*bare, error) {
	log, err := observe.NewLogger(os.Stderr, "error", "text")
	if err != nil {
		return nil, err
	}
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
