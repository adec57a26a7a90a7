package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/child"
)

// Config says where a server lives.
type Config struct {
	// Dir holds the server's data and log. As root, when Dir is below a
	// directory that other users may not pass, such as root's home, the files
	// are elsewhere in the system and Dir holds a record of where.
	Dir string
	// CacheDir holds the binaries, for all servers of this user. As root it is
	// replaced in the same way. Default: cartwheel in the user's cache directory.
	CacheDir string
	// Installed is the directory of an installed Postgres to run instead of the one
	// that is fetched, such as Debian's /usr/lib/postgresql/15.
	Installed string
	// Port to listen on; 0 takes a free one.
	Port int
	// Throwaway trades durability for speed: the data survives a killed
	// process, but not a power cut.
	Throwaway bool
	// Progress, if set, is told what a slow start is doing.
	Progress func(string)
	Log      *slog.Logger
}

// Server is a running Postgres.
type Server struct {
	port    int
	data    string
	logFile string
	process *child.Process
	log     *slog.Logger
}

// Start installs Postgres when it is not in the cache, creates the database
// cluster when Dir has none, runs the server and returns when it accepts
// connections. On an error nothing is left running.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Progress == nil {
		cfg.Progress = func(string) {}
	}
	if cfg.CacheDir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("find the cache directory: %w", err)
		}
		cfg.CacheDir = filepath.Join(cache, "cartwheel")
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("resolve the Postgres directory: %w", err)
	}
	cred := runAs()
	if cfg.CacheDir, err = reachable(cfg.CacheDir, cred); err != nil {
		return nil, err
	}
	home, release, err := programs(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := StopLeftover(ctx, dir); err != nil {
		return nil, err
	}
	if dir, err = place(dir, cred); err != nil {
		return nil, err
	}
	s := &Server{port: cfg.Port, data: filepath.Join(dir, "data"), logFile: filepath.Join(dir, "postgres.log"), log: cfg.Log}
	if err := s.create(ctx, home, release, cred, cfg); err != nil {
		return nil, err
	}
	if s.port == 0 {
		if s.port, err = freePort(); err != nil {
			return nil, err
		}
	}
	if err := s.runAlone(ctx, home, cred, cfg); err != nil {
		return nil, err
	}
	return s, nil
}

const (
	// occupied is what a server says while a process of an earlier one is left.
	occupied     = "pre-existing shared memory block"
	vacateWithin = 30 * time.Second
	vacateEvery  = 100 * time.Millisecond
)

// runAlone runs the server when the processes of an earlier one are gone: those of
// one that was killed end by themselves, but each only when it looks up from its
// query.
func (s *Server) runAlone(ctx context.Context, home string, cred *syscall.Credential, cfg Config) error {
	for deadline := time.Now().Add(vacateWithin); ; {
		err := s.run(ctx, home, cred, cfg.Throwaway)
		if err == nil || !strings.Contains(err.Error(), occupied) || time.Now().After(deadline) {
			return err
		}
		cfg.Progress("waiting for what an earlier server left to end")
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(vacateEvery):
		}
	}
}

// URL is the address of the server's own database, postgres.
func (s *Server) URL() string {
	u := url.URL{
		Scheme: "postgres",
		User:   url.UserPassword(User, Password),
		Host:   net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)),
		Path:   "/postgres",
	}
	return u.String()
}

// Port is the port that the server listens on.
func (s *Server) Port() int { return s.port }

// Done is closed when the server has ended, asked to or not.
func (s *Server) Done() <-chan struct{} { return s.process.Done() }

// Stop ends the server in order, cutting open connections. When ctx ends first
// the server is killed; the next start recovers.
func (s *Server) Stop(ctx context.Context) error {
	if err := s.process.Stop(ctx, syscall.SIGINT); err != nil {
		return fmt.Errorf("stop postgres: %w", err)
	}
	return nil
}

// StopLeftover ends a server that a killed process left on the files of dir.
// Start does so too; this is for who wants the port back before that. It also
// removes the server's pid file when the number belongs to somebody else by now,
// which Postgres would take for a running server.
func StopLeftover(ctx context.Context, dir string) error {
	home, err := recorded(dir)
	if err != nil {
		return err
	}
	data := filepath.Join(home, "data")
	pid, err := readPidFile(data)
	if err != nil || pid == 0 {
		return err
	}
	if child.Alive(pid, data) {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		return child.StopLeftover(ctx, pid, data, syscall.SIGINT)
	}
	if syscall.Kill(pid, 0) == syscall.ESRCH {
		return nil // Postgres sees for itself that nobody has this number
	}
	if err := os.Remove(filepath.Join(data, pidFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove a stale pid file: %w", err)
	}
	return nil
}

// create makes the cluster when there is none. It works under another name and
// renames at the end, so that a killed initdb leaves nothing that looks whole.
func (s *Server) create(ctx context.Context, home string, release int, cred *syscall.Credential, cfg Config) error {
	switch found, err := os.ReadFile(filepath.Join(s.data, "PG_VERSION")); {
	case err == nil && strings.TrimSpace(string(found)) == strconv.Itoa(release):
		return nil
	case err == nil:
		return fmt.Errorf("the Postgres data in %s is of version %s, this program runs %d: dump it with the old version, or use another data directory", s.data, strings.TrimSpace(string(found)), release)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("read the version of the Postgres data: %w", err)
	}
	if _, err := os.Stat(s.data); err == nil {
		return fmt.Errorf("%s exists but is no Postgres data directory: move it away, or use another data directory", s.data)
	}
	cfg.Progress("creating the database cluster")
	fresh := s.data + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("remove a half-made cluster: %w", err)
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return fmt.Errorf("create the data directory: %w", err)
	}
	if cred != nil {
		if err := os.Chown(fresh, int(cred.Uid), int(cred.Gid)); err != nil {
			return fmt.Errorf("give the data directory to the server's user: %w", err)
		}
	}
	password := s.data + ".password"
	if err := os.WriteFile(password, []byte(Password+"\n"), 0o644); err != nil {
		return fmt.Errorf("write the password file: %w", err)
	}
	defer os.Remove(password)
	args := []string{
		"--pgdata", fresh, "--username", User, "--pwfile", password, "--auth", "scram-sha-256",
		// The same order and case rules on every machine, whatever its locale.
		"--encoding", "UTF8", "--locale", "C",
	}
	if release >= 17 {
		args = append(args, "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8")
	}
	if cfg.Throwaway {
		args = append(args, "--no-sync")
	}
	var out bytes.Buffer
	cmd := exec.Command(filepath.Join(home, "bin", "initdb"), args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	asUser(cmd, cred)
	p, err := child.Start(cmd, syscall.SIGKILL)
	if err != nil {
		return err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		_ = p.Stop(ctx, syscall.SIGKILL)
		return ctx.Err()
	}
	if err := p.Err(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, lastLines(out.Bytes()))
	}
	if err := os.Rename(fresh, s.data); err != nil {
		return fmt.Errorf("publish the new cluster: %w", err)
	}
	return nil
}

func (s *Server) run(ctx context.Context, home string, cred *syscall.Credential, throwaway bool) error {
	log, err := os.Create(s.logFile)
	if err != nil {
		return fmt.Errorf("create the server's log: %w", err)
	}
	defer log.Close() // the child has its own
	cmd := exec.Command(filepath.Join(home, "bin", "postgres"), append([]string{"-D", s.data}, settings(s.port, throwaway)...)...)
	cmd.Stdout, cmd.Stderr = log, log
	asUser(cmd, cred)
	s.process, err = child.Start(cmd, syscall.SIGINT)
	if err != nil {
		return err
	}
	// The server writes "ready" into its pid file, as pg_ctl relies on too.
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for !s.ready() {
		select {
		case <-poll.C:
		case <-s.process.Done():
			said, _ := os.ReadFile(s.logFile)
			return fmt.Errorf("postgres ended at its start: %w: %s", s.process.Err(), lastLines(said))
		case <-ctx.Done():
			stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			return errors.Join(ctx.Err(), s.Stop(stop))
		}
	}
	return nil
}

func (s *Server) ready() bool {
	b, err := os.ReadFile(filepath.Join(s.data, pidFile))
	if err != nil {
		return false
	}
	const pidLine, statusLine = 0, 7
	lines := strings.Split(string(b), "\n")
	return len(lines) > statusLine && lines[pidLine] == strconv.Itoa(s.process.Pid()) && strings.TrimSpace(lines[statusLine]) == "ready"
}

// settings keep an idle server small, and leave room for five services with a
// pool each. Durability is Postgres' default.
func settings(port int, throwaway bool) []string {
	values := []string{
		"listen_addresses=127.0.0.1",
		"port=" + strconv.Itoa(port),
		"unix_socket_directories=", // TCP only: a socket's path has a length limit
		"max_connections=300",
		"max_prepared_transactions=16",
		"shared_buffers=48MB",
		"max_wal_size=512MB",
		"max_worker_processes=2",
		"max_parallel_workers=0",
		"max_parallel_workers_per_gather=0",
		"max_logical_replication_workers=0",
		"jit=off",
		"timezone=UTC",
		"log_timezone=UTC",
	}
	if throwaway {
		values = append(values, "fsync=off", "full_page_writes=off", "synchronous_commit=off")
	}
	args := make([]string, 0, 2*len(values))
	for _, v := range values {
		args = append(args, "-c", v)
	}
	return args
}

const pidFile = "postmaster.pid"

// readPidFile returns 0 when there is no server to speak of.
func readPidFile(data string) (int, error) {
	b, err := os.ReadFile(filepath.Join(data, pidFile))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the server's pid: %w", err)
	}
	first, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil {
		return 0, nil // cut off by a crash: Postgres says so itself
	}
	return pid, nil
}

func asUser(cmd *exec.Cmd, cred *syscall.Credential) {
	// Not our directory, which the user may be unable to enter, and not our
	// environment, where a PGDATA or a locale would change what happens.
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
}

func lastLines(b []byte) string {
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], " | ")
}

func freePort() (port int, err error) {
	child.Apart(func() {
		var l net.Listener
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err == nil {
			port, err = l.Addr().(*net.TCPAddr).Port, l.Close()
		}
	})
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	return port, nil
}
