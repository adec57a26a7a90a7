// Package postgrestest gives tests a real Postgres with fresh databases.
//
//	func TestMain(m *testing.M) { postgrestest.Main(m) }
//
//	pool := postgrestest.Open(t, outbox.Migrations)
//
// The first test that needs it starts one server for the whole test binary, in a
// temporary directory, and [Main] stops it. POSTGRES_URL names a server to use
// instead; databases that tests made there are dropped as well.
package postgrestest

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/cartwheel-shop/cartwheel/pkg/postgres"
	"github.com/cartwheel-shop/cartwheel/pkg/postgres/embedded"
)

var server struct {
	sync.Mutex
	url  string
	stop func()
}

// Main runs the tests and stops the server that they started.
func Main(m *testing.M) {
	code := m.Run()
	server.Lock()
	defer server.Unlock()
	if server.stop != nil {
		server.stop()
	}
	os.Exit(code)
}

// URL is the address of a server on which the test may do everything.
func URL(t testing.TB) string {
	t.Helper()
	if url := os.Getenv("POSTGRES_URL"); url != "" {
		return url
	}
	server.Lock()
	defer server.Unlock()
	if server.url == "" {
		if err := start(); err != nil {
			t.Fatal(err)
		}
	}
	return server.url
}

func start() error {
	dir, err := os.MkdirTemp("", "cartwheel-postgres")
	if err != nil {
		return err
	}
	s, err := embedded.Start(context.Background(), embedded.Config{Dir: dir, Throwaway: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		_ = os.RemoveAll(dir)
		return err
	}
	server.url = s.URL()
	server.stop = func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "stop the tests' Postgres:", err)
		}
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(os.Stderr, "remove the tests' Postgres:", err)
		}
	}
	return nil
}

// Name is a database name that no other test has.
func Name() string { return "test_" + strings.ToLower(rand.Text()[:12]) }

// Open returns a pool to a fresh, migrated database that is dropped at the end
// of the test.
func Open(t testing.TB, sources ...postgres.Migrations) *pgxpool.Pool {
	t.Helper()
	name := Name()
	pool, err := postgres.Open(t.Context(), URL(t), name, slog.New(slog.DiscardHandler), 16, sources...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Drop(t, name) })
	t.Cleanup(pool.Close)
	return pool
}

// Drop drops a database that a test has made by itself.
func Drop(t testing.TB, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, URL(t))
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close(ctx)
	// A prepared transaction outlives its connection, and would keep the database.
	if _, err := conn.Exec(ctx, `DROP DATABASE IF EXISTS `+pgx.Identifier{name}.Sanitize()+` WITH (FORCE)`); err != nil {
		t.Error(err)
	}
}
