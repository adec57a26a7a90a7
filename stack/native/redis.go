package native

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Redis starts redis-server with its data in dir: what it acknowledged a second
// ago survives a kill.
func Redis(ctx context.Context, dir string, port int, log *slog.Logger) (*Server, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errors.New("there is no redis-server on PATH: install Debian's package redis-server, or set REDIS_ADDR")
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("resolve Redis's directory: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make Redis's directory: %w", err)
	}
	addr := net.JoinHostPort(loopback, strconv.Itoa(port))
	return start(ctx, program{
		name: "redis", dir: dir, addr: addr, end: syscall.SIGTERM,
		cmd: func() *exec.Cmd {
			return exec.Command(path, "--bind", loopback, "--port", strconv.Itoa(port), "--dir", dir,
				"--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--daemonize", "no")
		},
		ready: func(ctx context.Context) error { return pong(ctx, addr) },
	}, log)
}

const loopback = "127.0.0.1"

// pong asks for a sign of life: while Redis reads its data it listens, but
// answers that it is loading.
func pong(ctx context.Context, addr string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	if answer = strings.TrimSpace(answer); answer != "+PONG" {
		return fmt.Errorf("redis answers %s", answer)
	}
	return nil
}
