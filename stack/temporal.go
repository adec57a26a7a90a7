package stack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"

	"github.com/cartwheel-shop/cartwheel/pkg/child"
)

// temporalSettings are dynamic configuration. The server's own values suit a
// cluster of many shards; with the one shard of SQLite the poll limits alone
// make a workflow five times slower.
var temporalSettings = []string{
	"history.transferProcessorMaxPollRPS=2000",
	"history.timerProcessorMaxPollRPS=2000",
	"history.visibilityProcessorMaxPollRPS=2000",
	"matching.numTaskqueueReadPartitions=1",
	"matching.numTaskqueueWritePartitions=1",
	"system.forceSearchAttributesCacheRefreshOnRead=true",
}

// temporal runs the server as a child and keeps it running. Its address never
// changes, so that whoever dialed it finds it again; while somebody else listens
// there, it waits.
type temporal struct {
	s            *Stack
	dir          string
	port, uiPort int
	ready        chan struct{} // closed when it served for the first time
	readyOnce    sync.Once

	mu   sync.Mutex
	stop func(context.Context) error // nil while stopped
}

// startTemporal begins to run the server and does not wait for it.
func (s *Stack) startTemporal(ctx context.Context) error {
	t := &temporal{s: s, dir: filepath.Join(s.cfg.Dir, "temporal"), ready: make(chan struct{})}
	if s.cfg.TemporalAddress != "" {
		s.temporal = t
		s.external(Temporal, s.cfg.TemporalAddress)
		t.readyOnce.Do(func() { close(t.ready) })
		return nil
	}
	if err := os.MkdirAll(t.dir, 0o755); err != nil {
		return fmt.Errorf("make Temporal's directory: %w", err)
	}
	// Before the choice of a port: the leftover may be what still holds ours.
	err := t.stopLeftover(ctx)
	if err != nil {
		return err
	}
	if t.port, err = s.ports.pick("temporal"); err != nil {
		return err
	}
	if t.uiPort, err = s.ports.pick("temporal_ui"); err != nil {
		return err
	}
	s.temporal = t
	s.setEndpoints(func(e *Endpoints) {
		e.Temporal = address(t.port)
		e.TemporalUI = "http://" + address(t.uiPort)
	})
	s.onStop(Temporal, s.StopTemporal)
	if s.cfg.HoldTemporal {
		s.report(Status{Part: Temporal, Phase: Stopped, Address: address(t.port)})
		return nil
	}
	return s.StartTemporal(ctx)
}

// TemporalReady is closed when Temporal has served for the first time. One at
// an address of somebody else's counts as ready.
func (s *Stack) TemporalReady() <-chan struct{} {
	if s.temporal == nil {
		return nil
	}
	return s.temporal.ready
}

// StopTemporal ends the embedded server, and what builds it, while all else runs
// on. It returns when both have ended.
func (s *Stack) StopTemporal(ctx context.Context) error {
	t := s.temporal
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stop == nil {
		return nil
	}
	err := t.stop(ctx)
	t.stop = nil
	s.report(Status{Part: Temporal, Phase: Stopped})
	return err
}

// StartTemporal starts the embedded server if it is stopped, and returns without
// waiting for it.
func (s *Stack) StartTemporal(ctx context.Context) error {
	t := s.temporal
	if t == nil || s.cfg.TemporalAddress != "" {
		return errors.New("the stack runs no Temporal of its own")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stop != nil {
		return nil
	}
	life, end := context.WithCancelCause(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	// The child's grace period ends with the context that Stop is given.
	var grace context.Context
	go func() {
		defer close(ended)
		t.run(life, func() context.Context { return grace })
	}()
	t.stop = func(ctx context.Context) error {
		grace = ctx
		end(errors.New("stopped"))
		<-ended
		return nil
	}
	return nil
}

// run finds or builds the server and keeps it running until ctx ends.
func (t *temporal) run(ctx context.Context, grace func() context.Context) {
	pause := newBackoff()
	for ctx.Err() == nil {
		started := time.Now()
		err := t.runOnce(ctx, grace)
		if ctx.Err() != nil {
			return
		}
		t.s.log.ErrorContext(ctx, "temporal is not running", "error", err)
		t.s.report(Status{Part: Temporal, Phase: Failed, Detail: err.Error()})
		var hopeless *unavailableError
		if errors.As(err, &hopeless) {
			// Trying again at once would fail in the same way; a network that
			// comes back is found in a minute.
			pause.next = time.Minute
		} else if time.Since(started) > time.Minute {
			pause = newBackoff()
		}
		if pause.wait(ctx) != nil {
			return
		}
	}
}

// runOnce returns when the server has ended, with the reason.
func (t *temporal) runOnce(ctx context.Context, grace func() context.Context) error {
	t.s.report(Status{Part: Temporal, Phase: Starting, Address: address(t.port)})
	program, err := t.engine(ctx)
	if err != nil {
		return err
	}
	for _, port := range []int{t.port, t.uiPort} {
		if taken(port) {
			return fmt.Errorf("%s is taken by another program: stop that one, and this goes on by itself", address(port))
		}
	}
	log, err := os.Create(filepath.Join(t.dir, "temporal.log"))
	if err != nil {
		return fmt.Errorf("create Temporal's log: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(program, t.args()...)
	cmd.Dir = t.dir
	cmd.Stdout, cmd.Stderr = log, log
	// The server is idle most of the time: memory is worth more than the
	// collector's work.
	cmd.Env = append(os.Environ(), "GOGC=50", "GOMEMLIMIT=400MiB")
	// Its database survives a kill, and a new process need not wait for an old
	// one that takes its time.
	p, err := child.Start(cmd, syscall.SIGKILL)
	if err != nil {
		return err
	}
	if err := writeFile(t.pidFile(), []byte(strconv.Itoa(p.Pid())+"\n")); err != nil {
		return errors.Join(fmt.Errorf("record Temporal's pid: %w", err), p.Stop(ctx, syscall.SIGKILL))
	}
	var announcing sync.WaitGroup
	defer announcing.Wait() // nothing is announced after runOnce
	probe, stopProbe := context.WithCancel(ctx)
	defer stopProbe()
	announcing.Go(func() { t.announce(probe) })

	select {
	case <-p.Done():
		return fmt.Errorf("temporal ended: %w: %s", firstError(p.Err(), errServerEnded), t.lastWords())
	case <-ctx.Done():
		return t.end(grace(), p)
	}
}

// end gives the server two seconds to finish what it is doing. Its own orderly
// stop may take longer and saves nothing: what it acknowledged is in its file.
func (t *temporal) end(ctx context.Context, p *child.Process) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := p.Stop(ctx, syscall.SIGTERM); err != nil {
		t.s.log.DebugContext(ctx, "temporal did not stop in time", "error", err)
	}
	if err := os.Remove(t.pidFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove Temporal's pid file: %w", err)
	}
	return nil
}

// args are understood by Temporal's own command line tool too.
func (t *temporal) args() []string {
	args := []string{
		"server", "start-dev",
		"--db-filename", t.database(),
		"--namespace", t.s.cfg.TemporalNamespace,
		"--ip", loopback,
		"--port", strconv.Itoa(t.port),
		"--ui-port", strconv.Itoa(t.uiPort),
		"--log-level", "error",
		"--sqlite-pragma", "journal_mode=wal",
		"--sqlite-pragma", "synchronous=1",
	}
	for _, setting := range temporalSettings {
		args = append(args, "--dynamic-config-value", setting)
	}
	return args
}

func (t *temporal) database() string { return filepath.Join(t.dir, "temporal.db") }
func (t *temporal) pidFile() string  { return filepath.Join(t.dir, "pid") }

// announce says that the server is ready as soon as the namespace and the web UI
// answer.
func (t *temporal) announce(ctx context.Context) {
	c, err := client.NewLazyClient(client.Options{
		HostPort:  address(t.port),
		Namespace: t.s.cfg.TemporalNamespace,
		Logger:    sdklog.NewStructuredLogger(t.s.log),
	})
	if err != nil {
		t.s.log.ErrorContext(ctx, "cannot tell when temporal is ready", "error", err)
		return
	}
	defer c.Close()
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for {
		try, cancel := context.WithTimeout(ctx, 2*time.Second)
		_, err := c.WorkflowService().DescribeNamespace(try, &workflowservice.DescribeNamespaceRequest{Namespace: t.s.cfg.TemporalNamespace})
		cancel()
		if err == nil {
			err = get(ctx, "http://"+address(t.uiPort))
		}
		if err == nil && ctx.Err() == nil {
			t.s.report(Status{Part: Temporal, Phase: Ready, Address: address(t.port)})
			t.readyOnce.Do(func() { close(t.ready) })
			return
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return
		}
	}
}

// get finds out whether a web server answers.
func get(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// stopLeftover ends the server of an earlier process on our database.
func (t *temporal) stopLeftover(ctx context.Context) error {
	b, err := os.ReadFile(t.pidFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read Temporal's pid: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return nil
	}
	return child.StopLeftover(ctx, pid, t.database(), syscall.SIGKILL)
}

// lastWords are the end of the server's log, in one line.
func (t *temporal) lastWords() string {
	b, err := os.ReadFile(filepath.Join(t.dir, "temporal.log"))
	if err != nil {
		return "it left no log"
	}
	return lastLines(b, 3)
}

func lastLines(b []byte, n int) string {
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], " | ")
}
