package native

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/child"
)

// Server is a child process that is kept running.
type Server struct {
	Addr string // host:port

	p     program
	log   *slog.Logger
	ended chan struct{}

	once     sync.Once
	stop     context.CancelFunc
	patience context.Context // of the stop
	err      error           // of the stop
}

// program is what a server runs, and how one finds out that it serves.
type program struct {
	name  string
	dir   string
	addr  string
	cmd   func() *exec.Cmd
	ready func(context.Context) error
	end   syscall.Signal
}

const (
	startWithin = 3 * time.Minute // on a machine that is busy with all else
	pollEvery   = 50 * time.Millisecond
	againAfter  = 500 * time.Millisecond
)

// start runs p and returns when it serves. The server outlives ctx.
func start(ctx context.Context, p program, log *slog.Logger) (*Server, error) {
	if err := stopLeftover(ctx, p); err != nil {
		return nil, err
	}
	first, err := p.run(ctx, log)
	if err != nil {
		return nil, err
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	s := &Server{Addr: p.addr, p: p, log: log, stop: stop, ended: make(chan struct{})}
	go s.keep(life, first)
	return s, nil
}

// Stop ends the server and waits for it. One that has not ended by itself when
// ctx ends is killed, which loses nothing that it acknowledged.
func (s *Server) Stop(ctx context.Context) error {
	s.once.Do(func() {
		s.patience = ctx
		s.stop()
	})
	<-s.ended
	return s.err
}

// Pid is the process's number, for who wants to send it a signal. It changes when
// the server is started again.
func (s *Server) Pid() (int, error) {
	b, err := os.ReadFile(s.p.pidFile())
	if err != nil {
		return 0, fmt.Errorf("read %s's pid: %w", s.p.name, err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("read %s's pid: %w", s.p.name, err)
	}
	return pid, nil
}

// keep starts the program again whenever it ends.
func (s *Server) keep(life context.Context, running *child.Process) {
	defer close(s.ended)
	for {
		select {
		case <-life.Done():
			if running != nil {
				s.err = running.Stop(s.patience, s.p.end)
			}
			if err := os.Remove(s.p.pidFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
				s.err = errors.Join(s.err, err)
			}
			return
		case <-done(running):
			s.log.WarnContext(life, "server ended; starting it again", "server", s.p.name)
			pause(life, againAfter)
			var err error
			if running, err = s.p.run(life, s.log); err != nil && life.Err() == nil {
				s.log.ErrorContext(life, "server does not start; trying again", "server", s.p.name, "error", err)
			}
		}
	}
}

// done is closed when the process has ended, or is not there.
func done(p *child.Process) <-chan struct{} {
	if p != nil {
		return p.Done()
	}
	closed := make(chan struct{})
	close(closed)
	return closed
}

// run starts the program and waits until it serves.
func (p program) run(ctx context.Context, log *slog.Logger) (*child.Process, error) {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	if err := free(ctx, p.addr); err != nil {
		return nil, err
	}
	out, err := os.Create(p.logFile())
	if err != nil {
		return nil, fmt.Errorf("create %s's log: %w", p.name, err)
	}
	defer out.Close()
	cmd := p.cmd()
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, out, out
	running, err := child.Start(cmd, syscall.SIGKILL)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(p.pidFile(), []byte(strconv.Itoa(running.Pid())+"\n"), 0o644); err != nil {
		return nil, errors.Join(fmt.Errorf("record %s's pid: %w", p.name, err), running.Stop(ctx, syscall.SIGKILL))
	}
	if err := p.await(ctx, running); err != nil {
		kill, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = running.Stop(kill, syscall.SIGKILL) // it did not serve anyway
		return nil, fmt.Errorf("%w%s", err, p.lastWords())
	}
	log.InfoContext(ctx, "server is up", "server", p.name, "addr", p.addr, "pid", running.Pid())
	return running, nil
}

func (p program) await(ctx context.Context, running *child.Process) error {
	for {
		try, cancel := context.WithTimeout(ctx, 2*time.Second)
		err := p.ready(try)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-running.Done():
			return fmt.Errorf("%s ended: %w", p.name, running.Err())
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w", p.name, err)
		case <-time.After(pollEvery):
		}
	}
}

func (p program) pidFile() string { return filepath.Join(p.dir, "pid") }
func (p program) logFile() string { return filepath.Join(p.dir, p.name+".log") }

// lastWords is the end of the log.
func (p program) lastWords() string {
	b, err := os.ReadFile(p.logFile())
	if err != nil || len(bytes.TrimSpace(b)) == 0 {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return " (it said: " + strings.Join(lines[max(0, len(lines)-3):], " / ") + ")"
}

// stopLeftover ends the server of an earlier process on the same directory.
func stopLeftover(ctx context.Context, p program) error {
	b, err := os.ReadFile(p.pidFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s's pid: %w", p.name, err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return nil // a torn file says nothing
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return child.StopLeftover(ctx, pid, p.dir, p.end)
}

// free says whether an address can be listened on: a server that finds out by
// itself may take long to say so.
func free(ctx context.Context, addr string) (err error) {
	child.Apart(func() {
		var ln net.Listener
		if ln, err = (&net.ListenConfig{}).Listen(ctx, "tcp", addr); err == nil {
			err = ln.Close()
		}
	})
	if err != nil {
		return fmt.Errorf("%s is taken by another program: %w", addr, err)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
