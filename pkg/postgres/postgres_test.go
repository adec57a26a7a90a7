package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cartwheel-shop/cartwheel/pkg/postgres"
	"github.com/cartwheel-shop/cartwheel/pkg/postgres/embedded"
	"github.com/cartwheel-shop/cartwheel/pkg/postgres/postgrestest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

var quiet = slog.New(slog.DiscardHandler)

func migrations(name string, files ...string) postgres.Migrations {
	fsys := fstest.MapFS{}
	for i, sql := range files {
		fsys[fmt.Sprintf("%05d_step.sql", i+1)] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + sql)}
	}
	return postgres.Migrations{Name: name, FS: fsys}
}

// "order" is a reserved word, and a name may hold anything else as well.
func TestOpenCreatesTheDatabaseWhateverItsName(t *testing.T) {
	for _, name := range []string{"order", `with "quotes" and spaces`} {
		t.Run(name, func(t *testing.T) {
			postgrestest.Drop(t, name)
			t.Cleanup(func() { postgrestest.Drop(t, name) })
			pool, err := postgres.Open(t.Context(), postgrestest.URL(t), name, quiet, 2)
			if err != nil {
				t.Fatal(err)
			}
			defer pool.Close()
			var got string
			if err := pool.QueryRow(t.Context(), `SELECT current_database()`).Scan(&got); err != nil || got != name {
				t.Fatalf("got database %q, %v; want %q", got, err, name)
			}
		})
	}
}

func TestSourcesOfMigrationsAreNumberedIndependently(t *testing.T) {
	name := postgrestest.Name()
	t.Cleanup(func() { postgrestest.Drop(t, name) })
	shop := migrations("shop", `CREATE TABLE goods (sku text); INSERT INTO goods VALUES ('tea');`)
	lib := migrations("lib", `CREATE TABLE letters (id int);`, `ALTER TABLE letters ADD COLUMN body text;`)
	for range 2 { // the second time there is nothing to do
		pool, err := postgres.Open(t.Context(), postgrestest.URL(t), name, quiet, 2, lib, shop)
		if err != nil {
			t.Fatal(err)
		}
		var goods, version int
		err = pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM goods), (SELECT max(version_id) FROM goose_lib)`).Scan(&goods, &version)
		pool.Close()
		if err != nil || goods != 1 || version != 2 {
			t.Fatalf("got %d rows at version %d, %v; want 1 at 2", goods, version, err)
		}
	}
}

func TestReplicasMayOpenAtOnce(t *testing.T) {
	name := postgrestest.Name()
	t.Cleanup(func() { postgrestest.Drop(t, name) })
	url := postgrestest.URL(t)
	src := migrations("shop", `CREATE TABLE opened (at timestamptz); INSERT INTO opened VALUES (now());`)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			pool, err := postgres.Open(t.Context(), url, name, quiet, 2, src)
			if err != nil {
				t.Error(err)
				return
			}
			defer pool.Close()
			var n int
			if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM opened`).Scan(&n); err != nil || n != 1 {
				t.Errorf("migrated %d times, %v; want once", n, err)
			}
		})
	}
	wg.Wait()
}

func TestABrokenMigrationIsAnErrorThatNamesIt(t *testing.T) {
	name := postgrestest.Name()
	t.Cleanup(func() { postgrestest.Drop(t, name) })
	_, err := postgres.Open(t.Context(), postgrestest.URL(t), name, quiet, 2, migrations("shop", `CREATE TABEL goods ();`))
	if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "shop") {
		t.Fatalf("got %v, want an error that names the database and the source", err)
	}
}

func TestAWrongPasswordIsNotWaitedFor(t *testing.T) {
	u, err := url.Parse(postgrestest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(u.User.Username(), "surely wrong")
	_, err = postgres.Open(t.Context(), u.String(), postgrestest.Name(), quiet, 2)
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || pgErr.Code != "28P01" {
		t.Fatalf("got %v, want the refusal of the password", err)
	}
	if strings.Contains(err.Error(), "surely wrong") || !strings.Contains(err.Error(), "POSTGRES_URL") {
		t.Fatalf("%v, want it to name the variable, and not to show the password", err)
	}
}

// A password of any characters, which a URL would have to encode.
func TestRoleAndPasswordMayStandApartFromTheURL(t *testing.T) {
	u, err := url.Parse(postgrestest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	t.Setenv("PGUSER", u.User.Username())
	t.Setenv("PGPASSWORD", password)
	u.User = nil
	name := postgrestest.Name()
	t.Cleanup(func() { postgrestest.Drop(t, name) })
	pool, err := postgres.Open(t.Context(), u.String(), name, quiet, 2)
	if err != nil {
		t.Fatal(err)
	}
	pool.Close()
}

// lines is a log that says when it gets a line.
type lines struct {
	mu   sync.Mutex
	all  bytes.Buffer
	more chan struct{}
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.more <- struct{}{}:
	default:
	}
	return l.all.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

func TestOpenWaitsForTheServerAndSaysSo(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	said := &lines{more: make(chan struct{}, 1)}
	opened := make(chan error, 1)
	go func() {
		url := fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/postgres", embedded.User, embedded.Password, port)
		pool, err := postgres.Open(t.Context(), url, "late", slog.New(slog.NewTextHandler(said, nil)), 2)
		if err == nil {
			pool.Close()
		}
		opened <- err
	}()
	select {
	case <-said.more:
	case err := <-opened:
		t.Fatalf("opened without a server: %v", err)
	}
	s, err := embedded.Start(t.Context(), embedded.Config{Dir: filepath.Join(t.TempDir(), "pg"), Port: port, Throwaway: true, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
	}()
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	if got := said.String(); strings.Count(got, "waiting for Postgres") != 1 || !strings.Contains(got, fmt.Sprint(port)) || strings.Contains(got, embedded.Password) {
		t.Fatalf("it said:\n%s", got)
	}
}

func TestOpenEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	said := &lines{more: make(chan struct{}, 1)}
	opened := make(chan error, 1)
	go func() {
		_, err := postgres.Open(ctx, "postgres://nobody@127.0.0.1:1/postgres", "never", slog.New(slog.NewTextHandler(said, nil)), 2)
		opened <- err
	}()
	<-said.more
	cancel()
	if err := <-opened; !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want the context's end", err)
	}
}

type timeout struct{ error }

func (timeout) Timeout() bool   { return true }
func (timeout) Temporary() bool { return true }

func TestIsUnavailable(t *testing.T) {
	pg := func(code string) error { return fmt.Errorf("insert order: %w", &pgconn.PgError{Code: code}) }
	tests := map[string]struct {
		err  error
		want bool
	}{
		"no error":                            {nil, false},
		"unique violation":                    {pg("23505"), false},
		"syntax error":                        {pg("42601"), false},
		"value too long":                      {pg("22001"), false},
		"statement cancelled or timed out":    {pg("57014"), false},
		"wrong password":                      {pg("28P01"), false},
		"no such database":                    {pg("3D000"), false},
		"database dropped":                    {pg("57P04"), false},
		"error in the server's own code":      {pg("XX000"), false},
		"an error without a code":             {pg(""), false},
		"no rows":                             {pgx.ErrNoRows, false},
		"our deadline":                        {fmt.Errorf("query: %w", context.DeadlineExceeded), false},
		"our stop":                            {context.Canceled, false},
		"somebody's own error":                {errors.New("the order is closed"), false},
		"server starts":                       {pg("57P03"), true},
		"server stops":                        {pg("57P01"), true},
		"server crashed":                      {pg("57P02"), true},
		"too many connections":                {pg("53300"), true},
		"disk full":                           {pg("53100"), true},
		"connection failure":                  {pg("08006"), true},
		"input/output error":                  {pg("58030"), true},
		"serialization failure":               {pg("40001"), true},
		"deadlock":                            {pg("40P01"), true},
		"lock timeout":                        {pg("55P03"), true},
		"a standby, for now":                  {pg("25006"), true},
		"connection refused":                  {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, true},
		"connection cut":                      {fmt.Errorf("commit: %w", io.ErrUnexpectedEOF), true},
		"timeout of the network":              {timeout{errors.New("i/o timeout")}, true},
		"one of several":                      {errors.Join(errors.New("rollback"), pg("57P01")), true},
		"file system trouble is not Postgres": {os.ErrPermission, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := postgres.IsUnavailable(tt.err); got != tt.want {
				t.Errorf("IsUnavailable(%v) = %v, want %v", tt.err, got, tt.want)
			}
		})
	}
}

// What the library really returns when a connection is lost under it.
func TestALostConnectionIsUnavailable(t *testing.T) {
	pool := postgrestest.Open(t)
	ctx := t.Context()
	tx, err := pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(ctx)
	var pid int
	if err := tx.QueryRow(ctx, `SELECT pg_backend_pid()`).Scan(&pid); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(ctx, `SELECT pg_terminate_backend($1, 10000)`, pid); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(ctx, `SELECT 1`); !postgres.IsUnavailable(err) {
		t.Errorf("first use: %v is not unavailable", err)
	}
	if _, err := tx.Exec(ctx, `SELECT 1`); !postgres.IsUnavailable(err) {
		t.Errorf("second use: %v is not unavailable", err)
	}
}
