package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/fault"
	"github.com/cartwheel-shop/cartwheel/pkg/httpapi"
)

// StopWithin is how long the parts of a service have to settle what is in
// flight when the service is told to stop.
const StopWithin = 8 * time.Second

// Deps is what the outside injects into every service.
type Deps struct {
	Log *slog.Logger
	Now func() time.Time // the clock; UTC is taken where it matters

	Faults *fault.Points // nil: nothing goes wrong on purpose
}

// Part is something that runs as long as the service: a relay, a worker, the
// consumers. Run returns nil when its context ended and all is settled.
type Part struct {
	Name string
	Run  func(context.Context) error
}

// Life runs one service: its HTTP listener, its parts, its stop.
type Life struct {
	Health Health

	name    string
	listen  string
	log     *slog.Logger
	faults  *fault.Points
	handler atomic.Pointer[http.Handler]
	bound   chan struct{}
	addr    string
}

// NewLife prepares the life of the service called name. It opens nothing.
func NewLife(name, listen string, deps Deps) *Life {
	l := &Life{name: name, listen: listen, log: deps.Log, faults: deps.Faults, bound: make(chan struct{})}
	// Before the first answer, which could otherwise be that all is there.
	l.Health.Check("start", func(context.Context) error { return errors.New(name + " is starting") })
	return l
}

// Name is the service's name.
func (l *Life) Name() string { return l.name }

// Log is where the service logs.
func (l *Life) Log() *slog.Logger { return l.log }

// Faults is what may go wrong on purpose; nil when nothing may.
func (l *Life) Faults() *fault.Points { return l.faults }

// Addr returns the host:port of the HTTP listener; it blocks until Run has
// opened it or ctx ends.
func (l *Life) Addr(ctx context.Context) (string, error) {
	select {
	case <-l.bound:
		return l.addr, nil
	case <-ctx.Done():
		return "", fmt.Errorf("%s: waiting for its listener: %w", l.name, ctx.Err())
	}
}

// Serve hands the service's HTTP API over; until then every path but the health
// ones answers 503.
func (l *Life) Serve(h http.Handler) { l.handler.Store(&h) }

// Run opens the listener, calls start, which waits for what the service needs,
// and runs the parts that start returns until ctx ends or one of them fails.
// stop functions that start returns are called last, after every part has ended.
func (l *Life) Run(ctx context.Context, start func(context.Context) ([]Part, func(), error)) error {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", l.listen)
	if err != nil {
		return fmt.Errorf("%s: listen on %s: %w", l.name, l.listen, err)
	}
	l.addr = ln.Addr().String()
	close(l.bound)

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	serving := make(chan error, 1)
	go func() { serving <- l.serve(ctx, ln) }()

	parts, stop, err := start(ctx)
	if stop != nil {
		defer stop()
	}
	if err != nil {
		err = ignoreEnd(ctx, fmt.Errorf("%s: start: %w", l.name, err))
		cancel()
		return errors.Join(err, <-serving)
	}
	l.Health.Check("start", func(context.Context) error { return nil })
	l.log.InfoContext(ctx, "service is up", "service", l.name, "addr", l.addr)

	parts = append(parts, Part{"http", func(ctx context.Context) error {
		select {
		case err := <-serving:
			return err
		case <-ctx.Done():
			return <-serving
		}
	}})
	err = runParts(ctx, cancel, parts)
	if err != nil {
		return fmt.Errorf("%s: %w", l.name, err)
	}
	l.log.Info("service has stopped", "service", l.name)
	return nil
}

// ignoreEnd drops an error that only says that the service was told to stop.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (l *Life) serve(ctx context.Context, ln net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", serveAlive)
	mux.HandleFunc("GET /readyz", l.Health.serveReady)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if h := l.handler.Load(); h != nil {
			(*h).ServeHTTP(w, r)
			return
		}
		httpapi.WriteProblem(w, httpapi.Problem(http.StatusServiceUnavailable, "starting",
			"the "+l.name+" service is starting; try again in a moment").RetryAfter(time.Second))
	})
	srv := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
		ErrorLog:          slog.NewLogLogger(l.log.Handler(), slog.LevelDebug),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), StopWithin/2)
		defer cancel()
		if err := srv.Shutdown(grace); err != nil {
			_ = srv.Close() // cut what did not end in time
		}
	}()
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("http: %w", err)
	}
	<-done
	return nil
}

// runParts runs all parts; when ctx ends or one fails, cancel tells the rest.
func runParts(ctx context.Context, cancel context.CancelFunc, parts []Part) error {
	var mu sync.Mutex
	var failure error
	running := map[string]bool{}
	ended := make(chan struct{})
	var wg sync.WaitGroup
	for _, p := range parts {
		running[p.Name] = true
	}
	for _, p := range parts {
		wg.Go(func() {
			err := ignoreEnd(ctx, p.Run(ctx))
			mu.Lock()
			defer mu.Unlock()
			delete(running, p.Name)
			switch {
			case err != nil:
				failure = errors.Join(failure, fmt.Errorf("%s: %w", p.Name, err))
			case ctx.Err() == nil:
				failure = errors.Join(failure, fmt.Errorf("%s: ended by itself", p.Name))
			}
			cancel()
		})
	}
	go func() { wg.Wait(); close(ended) }()

	<-ctx.Done()
	select {
	case <-ended:
		return failure
	case <-time.After(StopWithin):
		mu.Lock()
		defer mu.Unlock()
		for name := range running {
			failure = errors.Join(failure, fmt.Errorf("%s: did not stop within %s", name, StopWithin))
		}
		return failure
	}
}

// Pause waits; false when ctx ends first.
func Pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
