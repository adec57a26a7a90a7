package embedded_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cartwheel-shop/cartwheel/pkg/postgres/embedded"
)

func start(t *testing.T, cfg embedded.Config) *embedded.Server {
	t.Helper()
	cfg.Log = slog.New(slog.DiscardHandler)
	s, err := embedded.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s) })
	return s
}

func stop(t *testing.T, s *embedded.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func query(t *testing.T, s *embedded.Server, sql string) (got string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if strings.HasPrefix(sql, "SELECT") || strings.HasPrefix(sql, "SHOW") {
		err = conn.QueryRow(t.Context(), sql).Scan(&got)
	} else {
		_, err = conn.Exec(t.Context(), sql)
	}
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return got
}

func TestDataSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	s := start(t, embedded.Config{Dir: dir})
	query(t, s, "CREATE TABLE kept AS SELECT 'still here' AS word")
	for setting, want := range map[string]string{
		"max_connections": "300", "max_prepared_transactions": "16", "fsync": "on", "listen_addresses": "127.0.0.1",
		"server_encoding": "UTF8", "TimeZone": "UTC",
	} {
		if got := query(t, s, "SHOW "+setting); got != want {
			t.Errorf("%s: got %q, want %q", setting, got, want)
		}
	}
	stop(t, s)

	again := start(t, embedded.Config{Dir: dir, Port: s.Port()})
	if got := query(t, again, "SELECT word FROM kept"); got != "still here" {
		t.Fatalf("got %q", got)
	}
}

// A server that nobody stopped is what kill -9 leaves where the kernel does not
// end children with their parent.
func TestALeftoverServerIsStopped(t *testing.T) {
	dir := t.TempDir()
	left := start(t, embedded.Config{Dir: dir})
	query(t, left, "CREATE TABLE kept AS SELECT 'still here' AS word")

	s := start(t, embedded.Config{Dir: dir})
	select {
	case <-left.Done():
	default:
		t.Fatal("the leftover runs")
	}
	if got := query(t, s, "SELECT word FROM kept"); got != "still here" {
		t.Fatalf("got %q", got)
	}
}

func TestAPidThatBelongsToAnotherProcessIsIgnored(t *testing.T) {
	dir := t.TempDir()
	stop(t, start(t, embedded.Config{Dir: dir}))
	// This test runs under a number that a crashed server could have had.
	pid := filepath.Join(data(t, dir), "postmaster.pid")
	if err := os.WriteFile(pid, []byte(fmtPid(os.Getpid())), 0o644); err != nil {
		t.Fatal(err)
	}
	s := start(t, embedded.Config{Dir: dir})
	if got := query(t, s, "SELECT 'up'"); got != "up" {
		t.Fatalf("got %q", got)
	}
}

func TestForeignDataIsRefusedAndKept(t *testing.T) {
	tests := map[string]struct {
		file, content string
		want          string
	}{
		"of another version":       {"PG_VERSION", "16\n", "is of version 16"},
		"without a version at all": {"precious", "notes\n", "is no Postgres data directory"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			stop(t, start(t, embedded.Config{Dir: dir}))
			path := data(t, dir)
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(path, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(path, tt.file), []byte(tt.content), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := embedded.Start(t.Context(), embedded.Config{Dir: dir, Log: slog.New(slog.DiscardHandler)})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			if b, err := os.ReadFile(filepath.Join(path, tt.file)); err != nil || string(b) != tt.content {
				t.Fatalf("the data was touched: %q, %v", b, err)
			}
		})
	}
}

func TestAHalfMadeClusterIsMadeAgain(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "data.new", "base"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := start(t, embedded.Config{Dir: dir, Throwaway: true})
	if got := query(t, s, "SHOW fsync"); got != "off" {
		t.Fatalf("fsync of a throwaway server: %q", got)
	}
}

func TestATakenPortIsReported(t *testing.T) {
	first := start(t, embedded.Config{Dir: t.TempDir(), Throwaway: true})
	_, err := embedded.Start(t.Context(), embedded.Config{Dir: t.TempDir(), Port: first.Port(), Throwaway: true, Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "in use") {
		t.Fatalf("got %v", err)
	}
}

// A server that is installed is run like the one that is fetched. That one stands
// for it here: it is in the cache.
func TestAnInstalledServerIsUsed(t *testing.T) {
	fetched := start(t, embedded.Config{Dir: t.TempDir()})
	home := query(t, fetched, `SELECT setting FROM pg_config WHERE name = 'BINDIR'`)
	dir := t.TempDir()
	s := start(t, embedded.Config{Dir: dir, Installed: strings.TrimSuffix(home, "/bin")})
	if got := query(t, s, `SELECT setting FROM pg_config WHERE name = 'BINDIR'`); got != home {
		t.Errorf("the server is in %s, want %s", got, home)
	}
	for name, want := range map[string]string{"empty": "bin/postgres", "old": "15 or newer is needed", "broken": "version"} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			if err := os.Mkdir(filepath.Join(home, "bin"), 0o755); err != nil {
				t.Fatal(err)
			}
			for _, program := range []string{"postgres", "initdb", "pg_ctl"} {
				script := map[string]string{"old": "#!/bin/sh\necho 'postgres (PostgreSQL) 14.9'\n", "broken": "#!/bin/sh\nexit 1\n"}[name]
				if script == "" {
					continue
				}
				if err := os.WriteFile(filepath.Join(home, "bin", program), []byte(script), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			_, err := embedded.Start(t.Context(), embedded.Config{Dir: t.TempDir(), Installed: home, Log: slog.New(slog.DiscardHandler)})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want it to say %s", err, want)
			}
		})
	}
}

// The processes of a server that was killed may work on for a while; a start waits
// for them.
func TestAQueryOutlivesItsServer(t *testing.T) {
	dir := t.TempDir()
	s := start(t, embedded.Config{Dir: dir})
	conn, err := pgx.Connect(t.Context(), s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	busy := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.Background(), `DO $$ DECLARE n bigint := 0; BEGIN
			WHILE clock_timestamp() < statement_timestamp() + interval '2 s' LOOP n := n + 1; END LOOP; END $$`)
		busy <- err
	}()
	watch, err := pgx.Connect(t.Context(), s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close(context.Background())
	for running := false; !running; {
		if err := watch.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'DO %' AND state = 'active')`).Scan(&running); err != nil {
			t.Fatal(err)
		}
	}
	killed, cancel := context.WithCancel(t.Context())
	cancel()
	_ = s.Stop(killed) // without any patience, which kills it
	waited := false
	again, err := embedded.Start(t.Context(), embedded.Config{Dir: dir, Log: slog.New(slog.DiscardHandler), Progress: func(what string) {
		waited = waited || strings.Contains(what, "left to end")
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, again)
	if !waited {
		t.Error("the start did not have to wait; is the query over too soon?")
	}
	if got := query(t, again, `SELECT 'here'`); got != "here" {
		t.Errorf("got %q", got)
	}
	<-busy
}
