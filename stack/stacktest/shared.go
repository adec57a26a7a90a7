package stacktest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cartwheel-shop/cartwheel/stack"
)

// shared are the parts that all tests of this binary use.
var shared = map[stack.Part]func() (*stack.Stack, error){
	stack.Postgres: sync.OnceValues(func() (*stack.Stack, error) { return startShared(stack.Postgres) }),
	stack.Temporal: sync.OnceValues(func() (*stack.Stack, error) { return startShared(stack.Temporal) }),
}

// Postgres returns the URL of a fresh database on a shared server. It is dropped
// at the test's end.
func Postgres(t testing.TB) string {
	t.Helper()
	server := PostgresServer(t)
	name := "test_" + strings.ToLower(rand.Text())
	admin(t, server, "CREATE DATABASE "+name)
	t.Cleanup(func() { admin(t, server, "DROP DATABASE "+name+" WITH (FORCE)") })
	u, err := url.Parse(server)
	if err != nil {
		t.Fatalf("the server's URL: %v", err)
	}
	u.Path = "/" + name
	return u.String()
}

// PostgresServer returns the URL of the shared server, for tests that make their
// databases themselves.
func PostgresServer(t testing.TB) string {
	t.Helper()
	return sharedPart(t, stack.Postgres).Endpoints().Postgres
}

// Temporal returns the address of a shared server with the namespace
// "cartwheel", ready to use.
func Temporal(t testing.TB) string {
	t.Helper()
	return sharedPart(t, stack.Temporal).Endpoints().Temporal
}

func sharedPart(t testing.TB, part stack.Part) *stack.Stack {
	t.Helper()
	s, err := shared[part]()
	if err != nil {
		t.Fatalf("start the shared %s: %v", part, err)
	}
	return s
}

// startShared runs a part that no test stops. Its processes end with this one;
// its files are removed by the next test binary that needs them no more.
func startShared(part stack.Part) (*stack.Stack, error) {
	cfg := stack.Config{Throwaway: true, Only: []stack.Part{part}}
	fromEnvironment(&cfg)
	if err := sweep(); err != nil {
		return nil, err
	}
	cfg.Dir = filepath.Join(os.TempDir(), fmt.Sprintf("%s%d-%s", sharedPrefix, os.Getpid(), part))
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	s, err := stack.Start(ctx, cfg, log, nil)
	if err != nil {
		return nil, err
	}
	if part == stack.Temporal {
		err = waitTemporal(context.Background(), s)
	}
	return s, err
}

const sharedPrefix = "cartwheel-shared-"

// sweep removes the files of test binaries that have ended.
func sweep() error {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), sharedPrefix+"*"))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		number, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), sharedPrefix), "-")
		pid, err := strconv.Atoi(number)
		if err != nil || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			continue
		}
		// Another user's may stay, and so may one whose server is just ending.
		_ = os.RemoveAll(dir)
	}
	return nil
}

func admin(t testing.TB, server, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		t.Fatalf("connect to the shared Postgres: %v", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}
