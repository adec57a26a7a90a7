// Command real runs another command with Apache Kafka, redis-server and Postgres
// started for it, whose addresses are in KAFKA_BROKERS, REDIS_ADDR and
// POSTGRES_URL, and stops them afterwards:
//
//	go run ./stack/cmd/real go test ./pkg/bus/...
//
// POSTGRES_INSTALLED names the directory of an installed Postgres to take instead of
// the one that is fetched, such as Debian's /usr/lib/postgresql/15.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/cartwheel-shop/cartwheel/stack"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	var failed *exec.ExitError
	switch {
	case errors.As(err, &failed):
		os.Exit(failed.ExitCode())
	case err != nil:
		fmt.Fprintln(os.Stderr, "real:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, command []string) (err error) {
	if len(command) == 0 {
		return errors.New("say which command to run")
	}
	dir, err := os.MkdirTemp("", "cartwheel-real")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // Postgres runs as another user
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	s, err := stack.Start(ctx, stack.Config{
		Dir: dir, CacheDir: os.Getenv("CARTWHEEL_CACHE"), Real: true, PostgresInstalled: os.Getenv("POSTGRES_INSTALLED"),
		Only: []stack.Part{stack.Kafka, stack.Redis, stack.Postgres},
	}, log, stack.ProgressFunc(func(st stack.Status) {
		if st.Phase == stack.Building || st.Phase == stack.Ready {
			fmt.Fprintf(os.Stderr, "%-9s %s %s%s\n", st.Part, st.Phase, st.Address, st.Detail)
		}
	}))
	if err != nil {
		return err
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute) // a busy disk has a last checkpoint to take
		defer cancel()
		err = errors.Join(err, s.Stop(end))
	}()
	e := s.Endpoints()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "KAFKA_BROKERS="+e.Kafka, "REDIS_ADDR="+e.Redis, "POSTGRES_URL="+e.Postgres)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	return cmd.Run()
}
