package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/hibiken/asynq"

	"github.com/cartwheel-shop/cartwheel/pkg/fault"
)

// Handler does the job with the given id.
type Handler func(ctx context.Context, id string) error

// GiveUp makes a handler's error final: the job is archived without a retry.
func GiveUp(err error) error { return fmt.Errorf("%w: %w", err, asynq.SkipRetry) }

// Later asks that the job be tried again after some time.
func Later(err error, after time.Duration) error { return &laterError{err, after} }

type laterError struct {
	error
	after time.Duration
}

func (e *laterError) Unwrap() error { return e.error }

// Config of a server.
type Config struct {
	RedisAddr   string
	Concurrency int
	Backoff     func(retry int) time.Duration // after errors that do not say [Later]; from 0
	Log         *slog.Logger
	Faults      *fault.Points // nil: none
}

const (
	// pickup is how long an idle worker sleeps between two looks; Asynq's own
	// default makes half a second of it.
	pickup = 50 * time.Millisecond
	// forward is how often jobs whose time has come are moved to their queue.
	forward = 250 * time.Millisecond
	// settle is how long jobs in flight have to end when the server stops.
	settle = 5 * time.Second
	// reach is how often Redis is tried while it is away.
	reach = 500 * time.Millisecond
)

// Serve works on jobs by type until ctx ends; what is in flight then has 5 s to
// finish, and is run again elsewhere if it does not.
func Serve(ctx context.Context, cfg Config, handlers map[string]Handler) error {
	mux := asynq.NewServeMux()
	for name, h := range handlers {
		mux.HandleFunc(name, func(ctx context.Context, t *asynq.Task) error {
			id := string(t.Payload())
			if err := cfg.Faults.At(ctx, fault.JobBefore, id, name); err != nil {
				return err
			}
			if err := h(ctx, id); err != nil {
				return err
			}
			return cfg.Faults.At(ctx, fault.JobAfter, id, name)
		})
	}
	srv := asynq.NewServer(redis(cfg.RedisAddr), asynq.Config{
		Concurrency:              cfg.Concurrency,
		Queues:                   weights,
		TaskCheckInterval:        pickup,
		DelayedTaskCheckInterval: forward,
		ShutdownTimeout:          settle,
		RetryDelayFunc: func(n int, err error, _ *asynq.Task) time.Duration {
			if l, ok := errors.AsType[*laterError](err); ok {
				return l.after
			}
			return cfg.Backoff(n)
		},
		Logger:   &logger{log: cfg.Log},
		LogLevel: asynq.WarnLevel,
	})
	if !await(ctx, srv, cfg) {
		return nil
	}
	if err := srv.Start(mux); err != nil {
		return fmt.Errorf("job server: %w", err)
	}
	<-ctx.Done()
	srv.Shutdown()
	return nil
}

// await waits for Redis; false when ctx ends first.
func await(ctx context.Context, srv *asynq.Server, cfg Config) bool {
	tick := time.NewTicker(reach)
	defer tick.Stop()
	for said := false; ; said = true {
		err := srv.Ping()
		if err == nil {
			return true
		}
		if !said {
			cfg.Log.InfoContext(ctx, "waiting for Redis", "addr", cfg.RedisAddr, "error", err)
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

// logger makes Asynq's notices ours; the same one is said at most every 5 s.
type logger struct {
	log  *slog.Logger
	mu   sync.Mutex
	last map[string]time.Time
}

func (l *logger) say(level slog.Level, args []any) {
	text := fmt.Sprint(args...)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == nil || len(l.last) > 100 {
		l.last = map[string]time.Time{}
	}
	if now := time.Now(); now.Sub(l.last[text]) > 5*time.Second {
		l.last[text] = now
		l.log.Log(context.Background(), level, "asynq: "+text)
	}
}

// Debug implements asynq.Logger, like its siblings.
func (l *logger) Debug(args ...any) { l.say(slog.LevelDebug, args) }

// Info logs.
func (l *logger) Info(args ...any) { l.say(slog.LevelDebug, args) }

// Warn logs.
func (l *logger) Warn(args ...any) { l.say(slog.LevelWarn, args) }

// Error logs.
func (l *logger) Error(args ...any) { l.say(slog.LevelError, args) }

// Fatal logs; it does not end the process.
func (l *logger) Fatal(args ...any) { l.say(slog.LevelError, args) }
