package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/service"
)

type upCmd struct {
	Data   string `default:"${data}" placeholder:"DIR" help:"Data directory; a second start goes on where the first stopped. Default: ${data}."`
	Listen string `default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Where the console and the API answer; port 0 picks a free one. Default: ${default}."`
	Real   bool   `help:"Run Apache Kafka and redis-server as children instead of the embedded ones; Java 17, Maven and redis-server must be installed."`
	Demo   bool   `help:"Also load a history of real purchases, play sensors, and offer the scenarios."`
}

// Help is shown by cartwheel up --help.
func (upCmd) Help() string {
	return `A dependency whose address is set in the environment is used instead of the
embedded one: KAFKA_BROKERS, TEMPORAL_ADDRESS, NATS_URL, REDIS_ADDR, POSTGRES_URL,
SMTP_ADDR with INBOX_URL, PAYMENT_PROVIDER_URL, COURIER_URL.

Examples:
  cartwheel up
  cartwheel up --data /tmp/shop --listen 127.0.0.1:0
  POSTGRES_URL=postgres://me:secret@db:5432/postgres cartwheel up`
}

// Run runs the shop until it is told to stop.
func (c *upCmd) Run(ctx context.Context) error {
	environ := service.Environ()
	if (c.Demo || environ["SCENARIOS"] == "true") && environ["FAULTS"] == "" {
		environ["FAULTS"] = "on" // scenarios arm them
	}
	out := &lines{started: time.Now()}
	s := &shop{dir: c.Data, environ: environ, real: c.Real, demo: c.Demo, listen: c.Listen, log: slog.New(slog.DiscardHandler), say: out.say}
	// What is refused is refused before anything is made.
	if err := portFree(ctx, c.Listen); err != nil {
		return err
	}
	if err := s.validate(); err != nil {
		return err
	}
	if err := os.MkdirAll(c.Data, 0o755); err != nil {
		return fmt.Errorf("the data directory %s cannot be made: choose another with --data (%w)", c.Data, err)
	}
	log, file, err := openLog(c.Data, environ["LOG_LEVEL"], environ["LOG_FORMAT"])
	if err != nil {
		return err
	}
	defer file.Close()
	s.log = log

	ours := false // the directory may be another shop's
	err = s.run(ctx, func(ctx context.Context, e endpoints) error {
		ours = true
		if err := writeEndpoints(c.Data, e); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(c.Data, "cartwheel.pid"), []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
			return fmt.Errorf("write the pid: %w", err)
		}
		out.say("console", e.Console)
		if !s.operatorOpen(c.Listen) && environ["OPERATOR_TOKEN"] == "" {
			out.say("operator", "nobody: set OPERATOR_TOKEN to approve orders, redrive dead letters and close tasks from here on")
		}
		go c.greet(ctx, e, out)
		return nil
	})
	if ours {
		_ = os.Remove(filepath.Join(c.Data, "endpoints.json")) // nobody answers there any more
	}
	switch {
	case err == nil:
		fmt.Println("stopped")
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		fmt.Println("stopped before it was ready")
	}
	return err
}

// greet tells when orders run, and starts what the demo adds.
func (c *upCmd) greet(ctx context.Context, e endpoints, out *lines) {
	if err := awaitReady(ctx, e.Console); err != nil {
		return
	}
	out.say("shop", fmt.Sprintf("ready: open %s (log: %s)", e.Console, filepath.Join(c.Data, "cartwheel.log")))
	if !c.Demo {
		return
	}
	if err := demo(ctx, e, out); err != nil && !errors.Is(err, context.Canceled) {
		out.say("demo", "incomplete: "+err.Error())
	}
}

// portFree refuses a taken port before anything is started.
func portFree(ctx context.Context, listen string) error {
	if listen == "" { // would be every address of this machine
		return errors.New("--listen must be HOST:PORT, not empty")
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		if strings.Contains(err.Error(), "address already in use") {
			return fmt.Errorf("%s is taken by another program: stop it, or choose another address with --listen", listen)
		}
		return fmt.Errorf("cannot listen on %s: give --listen HOST:PORT of this machine (%w)", listen, err)
	}
	return ln.Close()
}

func writeEndpoints(dir string, e endpoints) error {
	raw, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "endpoints.json")
	if err := os.WriteFile(path+".new", append(raw, '\n'), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// lines prints one line for each part; a part that repeats itself, as a build
// does, prints at most one line a second.
type lines struct {
	started time.Time
	mu      sync.Mutex
	last    map[string]time.Time
}

func (l *lines) say(part, state string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == nil {
		l.last = map[string]time.Time{}
	}
	now := time.Now()
	if strings.HasPrefix(state, "building") && now.Sub(l.last[part]) < 5*time.Second {
		return
	}
	l.last[part] = now
	fmt.Printf("%6.1fs  %-13s %s\n", now.Sub(l.started).Seconds(), part, state)
}
