//go:build real

package native_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cartwheel-shop/cartwheel/stack/native"
)

const patience = time.Minute

func port(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

func cache(t *testing.T) string {
	t.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "cartwheel")
}

func stop(t *testing.T, s *native.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// kill ends a server as a crash would.
func kill(t *testing.T, s *native.Server) {
	t.Helper()
	pid, err := s.Pid()
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// What Kafka has acknowledged is there after a kill, and after a stop and a start
// on the same directory.
func TestKafkaKeepsWhatItAcknowledged(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	dir, p, c := t.TempDir(), port(t), port(t)
	start := func() *native.Server {
		s, err := native.Kafka(ctx, cache(t), dir, p, c, slog.New(slog.DiscardHandler), func(string) {})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := start()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.Addr), kgo.DefaultProduceTopic("t"), kgo.ConsumeTopics("t"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(ctx, 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	read := 0
	produce := func(value string) {
		if err := client.ProduceSync(ctx, kgo.StringRecord(value)).FirstErr(); err != nil {
			t.Fatalf("%s: %v", value, err)
		}
		for want := read + 1; read < want; {
			client.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
				if got := string(r.Value); got != fmt.Sprint(read) {
					t.Fatalf("record %d is %s", read, got)
				}
				read++
			})
			if ctx.Err() != nil {
				t.Fatal("the record was not read")
			}
		}
	}
	produce("0")
	kill(t, s)
	produce("1") // when it is back
	stop(t, s)
	s = start()
	produce("2")
	stop(t, s)
}

func TestRedisKeepsWhatItAcknowledged(t *testing.T) {
	dir, p := t.TempDir(), port(t)
	s, err := native.Redis(t.Context(), dir, p, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ask := func(command string) (string, error) {
		conn, err := net.Dial("tcp", s.Addr)
		if err != nil {
			return "", err
		}
		defer conn.Close()
		fmt.Fprintf(conn, "%s\r\n", command)
		b := make([]byte, 100)
		n, err := conn.Read(b)
		return string(b[:n]), err
	}
	if got, err := ask("SET k v"); err != nil || got != "+OK\r\n" {
		t.Fatalf("SET answers %q, %v", got, err)
	}
	stop(t, s)
	if s, err = native.Redis(t.Context(), dir, p, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	defer stop(t, s)
	if got, err := ask("GET k"); err != nil || got != "$1\r\nv\r\n" {
		t.Errorf("after a restart GET answers %q, %v", got, err)
	}
	kill(t, s)
	deadline := time.After(patience)
	for {
		if got, err := ask("GET k"); err == nil && got == "$1\r\nv\r\n" {
			return
		}
		select {
		case <-deadline:
			t.Fatal("killed, it did not come back")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	log := slog.New(slog.DiscardHandler)
	if _, err := native.Redis(t.Context(), t.TempDir(), taken.Addr().(*net.TCPAddr).Port, log); err == nil || !strings.Contains(err.Error(), "is taken") {
		t.Errorf("a taken port: %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := native.Redis(t.Context(), t.TempDir(), port(t), log); err == nil || !strings.Contains(err.Error(), "REDIS_ADDR") {
		t.Errorf("no redis-server: %v", err)
	}
	if _, err := native.Kafka(t.Context(), t.TempDir(), t.TempDir(), port(t), port(t), log, func(string) {}); err == nil || !strings.Contains(err.Error(), "KAFKA_BROKERS") {
		t.Errorf("no java: %v", err)
	}
}
