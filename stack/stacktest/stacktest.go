package stacktest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cartwheel-shop/cartwheel/stack"
)

// startLimit is long because Temporal may have to be compiled first.
const (
	startLimit = time.Minute
	buildLimit = 15 * time.Minute
)

// Option changes the stack that Start makes.
type Option func(*stack.Config)

// Only starts these parts alone.
func Only(parts ...stack.Part) Option {
	return func(c *stack.Config) { c.Only = parts }
}

// Dir uses a data directory of the test's own, for tests that start again on it.
// Its data is as durable as in production.
func Dir(dir string) Option {
	return func(c *stack.Config) { c.Dir, c.Throwaway = dir, false }
}

// HoldTemporal leaves Temporal stopped until the test starts it.
func HoldTemporal() Option {
	return func(c *stack.Config) { c.HoldTemporal = true }
}

// Start runs a stack of the test's own, on temporary files, and stops it at the
// test's end. It returns when every part serves, Temporal included unless it is
// held back.
func Start(t testing.TB, opts ...Option) *stack.Stack {
	t.Helper()
	cfg := stack.Config{Throwaway: true}
	fromEnvironment(&cfg)
	for _, opt := range opts {
		opt(&cfg)
	}
	if cfg.Dir == "" {
		cfg.Dir = TempDir(t)
	}
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	s, err := stack.Start(ctx, cfg, logger(t), nil)
	if err != nil {
		t.Fatalf("start the stack: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Errorf("stop the stack: %v", err)
		}
	})
	if !cfg.HoldTemporal {
		awaitTemporal(t, s)
	}
	return s
}

// TempDir is a directory that every user may enter, as Postgres wants it when the
// tests run as root; t.TempDir is not.
func TempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "cartwheel-test-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatalf("make a temporary directory: %v", err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove the temporary directory: %v", err)
		}
	})
	return dir
}

// Kafka returns the addresses of a broker of the test's own.
func Kafka(t testing.TB) []string {
	t.Helper()
	return strings.Split(Start(t, Only(stack.Kafka)).Endpoints().Kafka, ",")
}

// NATS returns the URL of a server of the test's own.
func NATS(t testing.TB) string {
	t.Helper()
	return Start(t, Only(stack.NATS)).Endpoints().NATS
}

// Redis returns the address of a server of the test's own.
func Redis(t testing.TB) string {
	t.Helper()
	return Start(t, Only(stack.Redis)).Endpoints().Redis
}

// SMTP returns the address of a mail server of the test's own, and the URL of its
// inbox.
func SMTP(t testing.TB) (addr, inboxURL string) {
	t.Helper()
	e := Start(t, Only(stack.SMTP)).Endpoints()
	return e.SMTP, e.Inbox
}

func fromEnvironment(c *stack.Config) {
	if brokers := os.Getenv("KAFKA_BROKERS"); brokers != "" {
		c.KafkaBrokers = strings.Split(brokers, ",")
	}
	c.TemporalAddress = os.Getenv("TEMPORAL_ADDRESS")
	c.NATSURL = os.Getenv("NATS_URL")
	c.RedisAddr = os.Getenv("REDIS_ADDR")
	c.PostgresURL = os.Getenv("POSTGRES_URL")
	c.SMTPAddr = os.Getenv("SMTP_ADDR")
	c.InboxURL = os.Getenv("INBOX_URL")
}

func awaitTemporal(t testing.TB, s *stack.Stack) {
	t.Helper()
	if s.TemporalReady() == nil {
		return
	}
	if err := waitTemporal(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

func waitTemporal(ctx context.Context, s *stack.Stack) error {
	ctx, cancel := context.WithTimeout(ctx, buildLimit)
	defer cancel()
	poll := time.NewTicker(100 * time.Millisecond)
	defer poll.Stop()
	for {
		select {
		case <-s.TemporalReady():
			return nil
		case <-ctx.Done():
			return fmt.Errorf("temporal is not ready (%s): %w", s.Status(stack.Temporal), ctx.Err())
		case <-poll.C:
			// A test need not wait for what a person has to mend.
			if st := s.Status(stack.Temporal); st.Phase == stack.Failed {
				return fmt.Errorf("temporal does not start: %s", st.Detail)
			}
		}
	}
}

// logger writes into the test's log what is worth reading after a failure.
func logger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}
