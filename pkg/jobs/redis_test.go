package jobs_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
)

// redisServer is a Redis of a test's own: miniredis, or the program that
// REDIS_SERVER names. Closed and started again it has lost its memory.
type redisServer interface {
	Addr() string
	StartAddr(addr string) error
	Close()
	FlushAll()
	Del(key string) bool
}

// newRedis returns a server that is not started, and the address for it.
func newRedis(t *testing.T) (redisServer, string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var s redisServer = miniredis.NewMiniRedis()
	if path := os.Getenv("REDIS_SERVER"); path != "" {
		s = &realRedis{t: t, path: path}
	}
	t.Cleanup(s.Close)
	return s, ln.Addr().String()
}

func startRedis(t *testing.T) redisServer {
	t.Helper()
	s, addr := newRedis(t)
	if err := s.StartAddr(addr); err != nil {
		t.Fatal(err)
	}
	return s
}

// realRedis is redis-server without persistence.
type realRedis struct {
	t    *testing.T
	path string
	addr string
	cmd  *exec.Cmd
}

func (r *realRedis) Addr() string { return r.addr }

func (r *realRedis) StartAddr(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	r.addr, r.cmd = addr, exec.Command(r.path, "--bind", host, "--port", port, "--save", "", "--appendonly", "no", "--dir", r.t.TempDir())
	if err := r.cmd.Start(); err != nil {
		return err
	}
	until(r.t, "redis-server to answer", func() bool { return r.ask("PING") == "+PONG" })
	return nil
}

func (r *realRedis) Close() {
	if r.cmd == nil {
		return
	}
	var exit *exec.ExitError
	_ = r.cmd.Process.Kill()
	if err := r.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		r.t.Error(err)
	}
	r.cmd = nil
}

func (r *realRedis) FlushAll() {
	if r.cmd != nil && r.ask("FLUSHALL") != "+OK" {
		r.t.Error("Redis does not forget")
	}
}

func (r *realRedis) Del(key string) bool { return r.ask("DEL "+key) == ":1" }

// ask returns the first line of the answer, or nothing.
func (r *realRedis) ask(command string) string {
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		return ""
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%s\r\n", command)
	line, _ := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(line)
}
