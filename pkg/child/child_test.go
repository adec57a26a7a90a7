package child_test

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/child"
)

// TestMain lets the test binary play the parent that is killed.
func TestMain(m *testing.M) {
	if marker := os.Getenv("CHILD_TEST_PARENT"); marker != "" {
		p, err := child.Start(sleeper(marker), syscall.SIGKILL)
		if err != nil {
			os.Exit(2)
		}
		_, _ = os.Stdout.WriteString(strconv.Itoa(p.Pid()) + "\n")
		<-p.Done()
		return
	}
	os.Exit(m.Run())
}

func sleeper(marker string) *exec.Cmd {
	return exec.Command("sh", "-c", "trap 'exit 0' INT; while :; do sleep 0.05; done", marker)
}

func waitGone(t *testing.T, pid int, marker string) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for child.Alive(pid, marker) {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("process %d still runs", pid)
		}
	}
}

func TestStopWaitsForTheEnd(t *testing.T) {
	p, err := child.Start(sleeper("stop-waits"), syscall.SIGKILL)
	if err != nil {
		t.Fatal(err)
	}
	if !child.Alive(p.Pid(), "stop-waits") {
		t.Fatal("a running child is not alive")
	}
	if child.Alive(p.Pid(), "somebody else") {
		t.Fatal("a process without the marker counts as ours")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := p.Stop(ctx, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if child.Alive(p.Pid(), "stop-waits") {
		t.Fatal("the child runs after Stop")
	}
	if err := p.Stop(ctx, syscall.SIGINT); err != nil {
		t.Fatalf("second Stop: %v", err)
	}
}

func TestStopKillsTheStubborn(t *testing.T) {
	cmd := exec.Command("sh", "-c", "trap '' INT; echo deaf; while :; do sleep 0.05; done", "stubborn")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p, err := child.Start(cmd, syscall.SIGKILL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Stop(ctx, syscall.SIGINT); err == nil {
		t.Fatal("a kill was not reported")
	}
	waitGone(t, p.Pid(), "stubborn")
}

func TestStartReportsAMissingProgram(t *testing.T) {
	if _, err := child.Start(exec.Command("/no/such/program"), syscall.SIGKILL); err == nil {
		t.Fatal("no error for a missing program")
	}
}

func TestStopLeftover(t *testing.T) {
	cmd := sleeper("leftover")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(waited) }()
	if err := child.StopLeftover(t.Context(), cmd.Process.Pid, "another marker", syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if !child.Alive(cmd.Process.Pid, "leftover") {
		t.Fatal("a stranger was stopped")
	}
	if err := child.StopLeftover(t.Context(), cmd.Process.Pid, "leftover", syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-waited
}

func TestChildEndsWithAKilledParent(t *testing.T) {
	if runtime.GOOS != "linux" {
		// Elsewhere the package promises less, see doc.go.
		return
	}
	marker := "orphan-" + strconv.Itoa(os.Getpid())
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), "CHILD_TEST_PARENT="+marker)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if !child.Alive(pid, marker) {
		t.Fatal("the grandchild does not run")
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	waitGone(t, pid, marker)
}
