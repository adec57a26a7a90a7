// Package jobs runs work that is started now and done soon: Asynq on Redis, with
// the settings under which a job is picked up within milliseconds.
//
// # Guarantees
//
//   - A job runs at least once while Redis keeps its memory, and is retried with
//     back-off; one that used up its retries is archived, where asynqmon shows it.
//   - Enqueueing an id that is there already changes nothing.
//   - Redis is not the truth. It may lose everything; whoever enqueues a job keeps
//     what is to be done in a database, carries ids only, and has a sweeper that
//     enqueues again.
//   - Redis being away is waited for: [Serve] goes on when it is back.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/hibiken/asynq"
)

// Queues by their priority.
const (
	Critical = "critical"
	Default  = "default"
	Low      = "low"
)

// Client enqueues jobs.
type Client struct{ asynq *asynq.Client }

// NewClient connects to Redis when it is first used. Close it after use.
func NewClient(redisAddr string) *Client {
	return &Client{asynq.NewClient(redis(redisAddr))}
}

func redis(addr string) asynq.RedisClientOpt {
	return asynq.RedisClientOpt{Addr: addr, DialTimeout: 2 * time.Second, ReadTimeout: 3 * time.Second, WriteTimeout: 3 * time.Second}
}

// Job is something to do; its payload is an id.
type Job struct {
	Type    string
	ID      string // what the handler gets
	Unique  string // a job with the same Unique that is there already makes this one superfluous
	Queue   string
	Retries int
	Timeout time.Duration
}

// Enqueue hands a job over.
func (c *Client) Enqueue(ctx context.Context, j Job) error {
	_, err := c.asynq.EnqueueContext(ctx, asynq.NewTask(j.Type, []byte(j.ID)),
		asynq.TaskID(j.Unique), asynq.Queue(j.Queue), asynq.MaxRetry(j.Retries), asynq.Timeout(j.Timeout))
	if errors.Is(err, asynq.ErrTaskIDConflict) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("enqueue %s %s: %w", j.Type, j.ID, err)
	}
	return nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.asynq.Close() }

// Reachable is a health check: nil when Redis answers.
func (c *Client) Reachable() error {
	if err := c.asynq.Ping(); err != nil {
		return errors.New("Redis does not answer")
	}
	return nil
}

// GiveUp makes a handler's error final: the job is archived without a retry.
func GiveUp(err error) error { return fmt.Errorf("%w: %w", err, asynq.SkipRetry) }

// Handler does the job with the given id.
type Handler func(ctx context.Context, id string) error

// Config of a server.
type Config struct {
	RedisAddr   string
	Concurrency int
	Backoff     func(retry int) time.Duration
	Log         *slog.Logger
}

// Serve works on jobs by type until ctx ends; what is in flight then has 5 s to
// finish, and is run again elsewhere if it does not.
func Serve(ctx context.Context, cfg Config, handlers map[string]Handler) error {
	mux := asynq.NewServeMux()
	for name, h := range handlers {
		mux.HandleFunc(name, func(ctx context.Context, t *asynq.Task) error { return h(ctx, string(t.Payload())) })
	}
	srv := asynq.NewServer(redis(cfg.RedisAddr), asynq.Config{
		Concurrency:              cfg.Concurrency,
		Queues:                   map[string]int{Critical: 6, Default: 3, Low: 1},
		TaskCheckInterval:        50 * time.Millisecond,
		DelayedTaskCheckInterval: 250 * time.Millisecond,
		ShutdownTimeout:          5 * time.Second,
		RetryDelayFunc:           func(n int, _ error, _ *asynq.Task) time.Duration { return cfg.Backoff(n) },
		Logger:                   &logger{log: cfg.Log},
		LogLevel:                 asynq.WarnLevel,
	})
	for waiting := false; ; {
		err := srv.Ping()
		if err == nil {
			break
		}
		if !waiting {
			cfg.Log.InfoContext(ctx, "waiting for Redis", "addr", cfg.RedisAddr, "error", err)
			waiting = true
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(500 * time.Millisecond):
		}
	}
	if err := srv.Start(mux); err != nil {
		return fmt.Errorf("job server: %w", err)
	}
	<-ctx.Done()
	srv.Shutdown()
	return nil
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
