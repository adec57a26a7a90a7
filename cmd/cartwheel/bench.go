package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/cartwheel-shop/cartwheel/cmd/cartwheel/internal/bench"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/observe"
	"github.com/cartwheel-shop/cartwheel/pkg/service"
)

type benchCmd struct {
	Names []string `arg:"" name:"bench" help:"What to measure: ${benches}, or all."`

	Brokers  []string `placeholder:"HOST:PORT" help:"Measure on this Kafka; topics of the bench are removed at the end."`
	Postgres string   `placeholder:"URL" help:"Measure on this Postgres; databases of the bench are removed at the end."`
	Real     bool     `help:"Start Apache Kafka for it, which must be installable (Java, Maven)."`

	Rounds   int           `default:"5" help:"Rounds, in which the sides take turns."`
	For      time.Duration `default:"1500ms" help:"How long one side runs in one round, where a bench goes by time."`
	Scale    float64       `default:"1" help:"Multiplies the numbers of messages."`
	Backlog  int           `default:"1000000" placeholder:"ROWS" help:"relay: the backlog whose memory is looked at."`
	Orders   int           `default:"100" help:"saga: orders in one round."`
	InFlight int           `default:"32" help:"saga: orders, or workflows, under way at once."`

	Connections int `default:"500" help:"push: browsers that are connected."`

	JSON bool   `name:"json" help:"Print the figures as JSON."`
	Out  string `type:"path" placeholder:"FILE" help:"Write the figures to a file too, as JSON."`
}

// Help is shown by cartwheel bench --help.
func (benchCmd) Help() string {
	return `Each bench runs ours and what it is compared with in turns, in one process, and
prints both figures, the median of the ratios and their range. docs/performance.md
explains each.

Examples:
  cartwheel bench publish
  cartwheel bench relay latency --real
  cartwheel bench all --brokers 127.0.0.1:9092 --out figures.json`
}

// Run measures.
func (c *benchCmd) Run(ctx context.Context) error {
	if c.Rounds < 1 || c.For <= 0 || c.Scale <= 0 || c.Backlog < 1 || c.Orders < 1 || c.InFlight < 1 || c.Connections < 1 {
		return errors.New("--rounds, --for, --scale, --backlog, --orders, --in-flight and --connections must be greater than 0")
	}
	log, err := observe.NewLogger(os.Stderr, "error", "text")
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	report, err := bench.Run(ctx, bench.Config{
		Brokers: c.Brokers, Postgres: c.Postgres, Real: c.Real, CacheDir: os.Getenv("CARTWHEEL_CACHE"), Log: log,
		Say:    func(what string) { fmt.Fprintln(os.Stderr, what) },
		Rounds: c.Rounds, For: c.For, Scale: c.Scale, Backlog: c.Backlog, Orders: c.Orders, InFlight: c.InFlight, Connections: c.Connections,
		Shop:    c.shop,
		Drainer: func(ctx context.Context) *exec.Cmd { return exec.CommandContext(ctx, self, "drain") },
	}, c.Names, func(part bench.Report) {
		if !c.JSON {
			_ = part.Print(os.Stdout) // the end of the output is said once, below
		}
	})
	if len(report.Rows) == 0 {
		return err
	}
	if c.Out != "" {
		err = errors.Join(err, writeReport(c.Out, report))
	}
	if c.JSON {
		err = errors.Join(err, report.JSON(os.Stdout))
	}
	return err
}

func writeReport(path string, report bench.Report) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	return errors.Join(report.JSON(f), f.Close())
}

// drainCmd is a relay in a process of its own, for the bench of its memory.
type drainCmd struct{}

// Run relays until its input ends.
func (drainCmd) Run(ctx context.Context) error { return bench.Drain(ctx, os.Stdin, os.Stdout) }

// shop starts a shop of its own for the bench of the saga.
func (c *benchCmd) shop(ctx context.Context, use func(context.Context, bench.Serving) error) error {
	dir, err := os.MkdirTemp("", "cartwheel-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // Postgres runs as another user
		return err
	}
	log, file, err := openLog(dir, "warn", "text")
	if err != nil {
		return err
	}
	defer file.Close()
	environ := service.Environ()
	environ["COURIER_DELAY"] = "0s"
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var failed error
	used := make(chan struct{})
	s := &shop{dir: dir, environ: environ, real: c.Real, listen: "127.0.0.1:0", log: log, say: func(string, string) {}}
	err = s.run(ctx, func(ctx context.Context, e endpoints) error {
		base, err := url.Parse(e.Console)
		if err != nil {
			return err
		}
		client := &client{base: base, patience: patience, http: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
		go func() {
			defer close(used)
			defer cancel()
			if failed = awaitReady(ctx, e.Console); failed == nil {
				failed = use(ctx, bench.Serving{Temporal: e.Temporal, Place: placer(client)})
			}
		}()
		return nil
	})
	if err != nil {
		return err
	}
	<-used
	return failed
}

// placer returns a function that sends orders and waits until each has ended.
func placer(shop *client) func(ctx context.Context, orders, inFlight int) (float64, error) {
	next := 1
	return func(ctx context.Context, orders, inFlight int) (float64, error) {
		requests := make([]request, orders)
		for i := range requests {
			requests[i] = purchase{number: next, customer: strconv.Itoa(next), day: time.Date(1997, 1, 1, 0, 0, 0, 0, time.UTC), pieces: 1, total: events.Money{Amount: 1199, Currency: "USD"}}.request()
			next++
		}
		got, err := send(ctx, shop, requests, 0, inFlight, func() {})
		if err == nil && got.Statuses["completed"] != orders {
			err = fmt.Errorf("%d of %d orders completed: %s", got.Statuses["completed"], orders, got.FirstError)
		}
		return float64(orders) / got.Seconds, err
	}
}
