package stack_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/cartwheel-shop/cartwheel/stack"
	"github.com/cartwheel-shop/cartwheel/stack/stacktest"
)

// waiting is a workflow that a signal ends.
func waiting(ctx workflow.Context) (string, error) {
	var word string
	workflow.GetSignalChannel(ctx, "word").Receive(ctx, &word)
	return word, nil
}

func temporalClient(t *testing.T, addr string) client.Client {
	t.Helper()
	c, err := client.NewLazyClient(client.Options{HostPort: addr, Namespace: "cartwheel"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Its address is known to others, so Temporal does not move when somebody else has
// it: it says so, and goes on when it is free.
func TestTemporalWaitsForItsAddress(t *testing.T) {
	s := stacktest.Start(t, stacktest.Only(stack.Temporal), stacktest.HoldTemporal())
	addr := s.Endpoints().Temporal
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := s.StartTemporal(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it says that its address is taken", func() bool {
		st := s.Status(stack.Temporal)
		return st.Phase == stack.Failed && strings.Contains(st.Detail, addr+" is taken by another program")
	})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	awaitReady(t, s)
	if got := s.Endpoints().Temporal; got != addr {
		t.Errorf("the address was %s, is %s", addr, got)
	}
}

// A workflow goes on after its server was stopped, after the server was killed,
// and after the whole stack was; a client made before the server was up finds it
// each time, at the same address.
func TestTemporalGoesOn(t *testing.T) {
	dir := stacktest.TempDir(t)
	s := stacktest.Start(t, stacktest.Dir(dir), stacktest.Only(stack.Temporal), stacktest.HoldTemporal())
	addr := s.Endpoints().Temporal
	if got := s.Status(stack.Temporal); got.Phase != stack.Stopped || got.Address != addr {
		t.Fatalf("held back, it is %+v", got)
	}
	c := temporalClient(t, addr)
	w := worker.New(c, "queue", worker.Options{})
	w.RegisterWorkflow(waiting)

	if err := s.StartTemporal(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitReady(t, s)
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "kept", TaskQueue: "queue"}, waiting)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get(s.Endpoints().TemporalUI)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("the web UI answers %s", resp.Status)
	}

	// Stopped and started.
	if err := s.StopTemporal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.Status(stack.Temporal).Phase; got != stack.Stopped {
		t.Fatalf("stopped, it is %s", got)
	}
	if err := s.StartTemporal(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitReady(t, s)

	// Killed: the stack starts it again by itself.
	first := pidOf(t, dir)
	p, err := os.FindProcess(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another server is up", func() bool {
		b, err := os.ReadFile(filepath.Join(dir, "temporal", "pid"))
		return err == nil && strings.TrimSpace(string(b)) != fmt.Sprint(first) && s.Status(stack.Temporal).Phase == stack.Ready
	})

	// The whole stack, on the same directory.
	stop(t, s)
	s = stacktest.Start(t, stacktest.Dir(dir), stacktest.Only(stack.Temporal))
	if got := s.Endpoints().Temporal; got != addr {
		t.Fatalf("the address was %s, is %s", addr, got)
	}
	eventually(t, "the workflow takes its signal", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		return c.SignalWorkflow(ctx, "kept", "", "word", "still here") == nil
	})
	var got string
	if err := run.Get(t.Context(), &got); err != nil || got != "still here" {
		t.Fatalf("got %q, %v", got, err)
	}
}

// Whatever keeps Temporal from being built, the shop goes on, and says so.
func TestTemporalThatCannotBeBuilt(t *testing.T) {
	broken := sourceOf(t, "package main\n\nfunc main() { missing() }\n")
	tests := map[string]struct {
		cfg  stack.Config
		path string
		want string
	}{
		"sources that do not compile": {stack.Config{TemporalSource: broken}, onlyGo(t), "undefined: missing"},
		"no sources":                  {stack.Config{TemporalSource: t.TempDir()}, onlyGo(t), "is not the directory of the Temporal server's module"},
		"no Go":                       {stack.Config{TemporalSource: broken}, t.TempDir(), "there is no go command on PATH"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv("PATH", tt.path)
			tt.cfg.Dir, tt.cfg.CacheDir = stacktest.TempDir(t), t.TempDir()
			tt.cfg.Only = []stack.Part{stack.Temporal, stack.Redis}
			s := start(t, tt.cfg)
			if got := s.Status(stack.Redis).Phase; got != stack.Ready {
				t.Fatalf("redis is %s", got)
			}
			eventually(t, "the failure shows", func() bool { return s.Status(stack.Temporal).Phase == stack.Failed })
			got := s.Status(stack.Temporal).Detail
			if !strings.Contains(got, tt.want) || !strings.Contains(got, "TEMPORAL_ADDRESS") || strings.Contains(got, "\n") {
				t.Fatalf("got %q", got)
			}
			select {
			case <-s.TemporalReady():
				t.Fatal("it says that it is ready")
			default:
			}
		})
	}
}

// A build shows how far it is, lands in the cache in one step, and is not done
// twice. The module here compiles in moments and is not Temporal: what is tested
// is how it comes to be.
func TestTemporalIsBuiltOnce(t *testing.T) {
	source := sourceOf(t, "package main\n\nfunc main() { println(\"I am no server\") }\n")
	cache := t.TempDir()
	t.Setenv("PATH", onlyGo(t))
	var mu sync.Mutex
	var seen []stack.Status
	progress := stack.ProgressFunc(func(st stack.Status) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, st)
	})
	built := func() (n int) {
		mu.Lock()
		defer mu.Unlock()
		for _, st := range seen {
			if st.Phase == stack.Building && st.Total > 0 {
				n++
			}
		}
		seen = nil
		return n
	}
	for round, wantBuild := range []bool{true, false} {
		cfg := stack.Config{Dir: stacktest.TempDir(t), CacheDir: cache, TemporalSource: source, Only: []stack.Part{stack.Temporal}}
		s, err := stack.Start(t.Context(), cfg, quiet(), progress)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stop(t, s) })
		// It runs, and ends at once with what it says.
		eventually(t, "the built program ran", func() bool {
			return strings.Contains(s.Status(stack.Temporal).Detail, "I am no server")
		})
		stop(t, s)
		if got := built() > 0; got != wantBuild {
			t.Errorf("round %d: built %v", round, got)
		}
	}
	artefacts, err := filepath.Glob(filepath.Join(cache, "temporal", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range artefacts {
		if name := filepath.Base(a); !strings.HasPrefix(name, "temporalserver-1.99.9-") {
			t.Errorf("the cache holds %s", name)
		}
	}
}

// An installed tool is used instead of a build, and what it began only it goes on
// with.
func TestAnInstalledTemporalIsUsed(t *testing.T) {
	installed := t.TempDir()
	const tool = "#!/bin/sh\necho \"asked for: $*\"\n"
	if err := os.WriteFile(filepath.Join(installed, "temporal"), []byte(tool), 0o755); err != nil {
		t.Fatal(err)
	}
	cfg := stack.Config{
		Dir: stacktest.TempDir(t), CacheDir: t.TempDir(), Only: []stack.Part{stack.Temporal},
		TemporalSource: sourceOf(t, "package main\n\nfunc main() { println(\"I am no server\") }\n"),
	}
	without := onlyGo(t)
	says := func(path, want string) {
		t.Helper()
		t.Setenv("PATH", path)
		s := start(t, cfg)
		defer stop(t, s)
		eventually(t, want, func() bool { return strings.Contains(s.Status(stack.Temporal).Detail, want) })
	}
	says(installed, "asked for: server start-dev --db-filename "+filepath.Join(cfg.Dir, "temporal", "temporal.db")+" --namespace cartwheel --ip 127.0.0.1")
	says(without, "is no longer on PATH")

	// The other way round: what our own server began, it goes on with.
	cfg.Dir = stacktest.TempDir(t)
	says(without, "I am no server")
	says(installed+string(os.PathListSeparator)+without, "I am no server")
}

// A stack that is stopped while it builds leaves no compiler and no half-made
// artefact behind.
func TestStopDuringTheBuild(t *testing.T) {
	source := sourceOf(t, "package main\n\nimport _ \"net/http\"\n\nfunc main() {}\n")
	t.Setenv("PATH", onlyGo(t))
	// A compiler cache of its own, so that there is much to do.
	t.Setenv("GOCACHE", t.TempDir())
	cache := t.TempDir()
	building := make(chan struct{})
	var once sync.Once
	s, err := stack.Start(t.Context(), stack.Config{
		Dir: stacktest.TempDir(t), CacheDir: cache, TemporalSource: source, Only: []stack.Part{stack.Temporal},
	}, quiet(), stack.ProgressFunc(func(st stack.Status) {
		if st.Phase == stack.Building && st.Done > 3 {
			once.Do(func() { close(building) })
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-building:
	case <-time.After(time.Minute):
		t.Fatalf("nothing is built: %s", s.Status(stack.Temporal))
	}
	began := time.Now()
	stop(t, s)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("Stop took %s", took)
	}
	left, err := filepath.Glob(filepath.Join(cache, "temporal", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range left {
		if !strings.HasSuffix(f, ".lock") {
			t.Errorf("%s was left", f)
		}
	}
}

// onlyGo is a PATH with the go command and no temporal.
func onlyGo(t *testing.T) string {
	t.Helper()
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(goTool, filepath.Join(dir, "go")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// sourceOf is a module that names a Temporal server, as ours does, and compiles
// without one.
func sourceOf(t *testing.T, program string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"go.mod":        "module example.com/server\n\ngo 1.26\n\nrequire (\n\tgo.temporal.io/server v1.99.9\n)\n\nreplace go.temporal.io/server => ./server\n",
		"go.sum":        "",
		"server/go.mod": "module go.temporal.io/server\n\ngo 1.26\n",
		"main.go":       program,
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func awaitReady(t *testing.T, s *stack.Stack) {
	t.Helper()
	eventually(t, "temporal is ready", func() bool { return s.Status(stack.Temporal).Phase == stack.Ready })
}

func pidOf(t *testing.T, dir string) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "temporal", "pid"))
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(string(b), &pid); err != nil {
		t.Fatal(errors.Join(errors.New("no pid"), err))
	}
	return pid
}
