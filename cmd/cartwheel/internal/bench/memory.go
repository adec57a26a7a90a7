package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
)

// relayMemory compares a relay that has nothing to do with one that drains a
// large backlog: each a process of its own, by the most memory that it ever had.
func (r *runner) relayMemory(ctx context.Context) error {
	topic, err := r.topic(ctx, "memory")
	if err != nil {
		return err
	}
	pool, err := r.database(ctx, outbox.Migrations)
	if err != nil {
		return err
	}
	defer pool.Close()
	r.Say(fmt.Sprintf("relay: memory with a backlog of %d rows …", r.Backlog))
	idle, err := r.drainer(ctx, pool, func(ctx context.Context) error {
		return until(ctx, quiet(pool, 2*time.Second))
	})
	if err != nil {
		return err
	}
	if err := r.backlog(ctx, pool, topic); err != nil {
		return err
	}
	busy, err := r.drainer(ctx, pool, func(ctx context.Context) error {
		return r.awaitEnd(ctx, topic, int64(r.Backlog))
	})
	if err != nil {
		return err
	}
	r.row("relay", fmt.Sprintf("memory above idle, backlog of %s rows", number(float64(r.Backlog))), "MB", []float64{busy - idle}, "", nil, Goal{AtMost: 64, Own: true})
	return nil
}

// backlog fills the outbox, and makes partitions that a running relay would have
// made meanwhile.
func (r *runner) backlog(ctx context.Context, pool *pgxpool.Pool, topic string) error {
	const rows = 1_000_000
	for n := 0; n <= r.Backlog/rows+1; n++ {
		_, err := pool.Exec(ctx, fmt.Sprintf(`CREATE TABLE IF NOT EXISTS outbox_p%d PARTITION OF outbox FOR VALUES FROM (%d) TO (%d)`, n, n*rows, (n+1)*rows))
		if err != nil {
			return fmt.Errorf("make partitions for the backlog: %w", err)
		}
	}
	return errors.Join(fillOutbox(ctx, pool, topic, r.Backlog), settle(ctx, pool))
}

// quiet holds once a relay has been connected for a while.
func quiet(pool *pgxpool.Pool, d time.Duration) func() (bool, error) {
	var since time.Time
	return func() (bool, error) {
		if since.IsZero() {
			var n int
			err := pool.QueryRow(context.Background(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`).Scan(&n)
			if err != nil || n == 0 {
				return false, err
			}
			since = time.Now()
		}
		return time.Since(since) > d, nil
	}
}

// job is what a drainer is told.
type job struct {
	Brokers  []string `json:"brokers"`
	Database string   `json:"database"` // its URL
}

// verdict is what it answers at its end.
type verdict struct {
	PeakMB float64 `json:"peak_mb"`
}

// drainer runs a relay in a process of its own until a condition holds, and
// returns its peak memory in MB.
func (r *runner) drainer(ctx context.Context, pool *pgxpool.Pool, until func(context.Context) error) (float64, error) {
	cmd := r.Drainer(ctx)
	in, err := cmd.StdinPipe()
	if err != nil {
		return 0, err
	}
	var out, trouble strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &trouble
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("start a relay of its own: %w", err)
	}
	err = json.NewEncoder(in).Encode(job{r.bus.Brokers, r.urlOf(pool)})
	if err == nil {
		err = until(ctx)
	}
	_ = in.Close() // tells it to end
	if e := cmd.Wait(); e != nil {
		return 0, fmt.Errorf("a relay of its own: %w: %s", errors.Join(err, e), trouble.String())
	}
	var v verdict
	if e := json.Unmarshal([]byte(out.String()), &v); e != nil {
		return 0, errors.Join(err, fmt.Errorf("a relay of its own said %q: %w", out.String(), e))
	}
	return v.PeakMB, err
}

// Drain is the program of such a process: a relay until in ends.
func Drain(ctx context.Context, in io.Reader, out io.Writer) error {
	dec := json.NewDecoder(in)
	var j job
	if err := dec.Decode(&j); err != nil {
		return fmt.Errorf("read what to drain: %w", err)
	}
	pool, err := pgxpool.New(ctx, j.Database)
	if err != nil {
		return err
	}
	defer pool.Close()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	pub, err := bus.NewPublisher(bus.Config{Brokers: j.Brokers, Service: "bench", Log: log})
	if err != nil {
		return err
	}
	defer pub.Close()
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, io.MultiReader(dec.Buffered(), in)) // until its end
		cancel()
	}()
	if err := outbox.NewRelay(outbox.Open(pool, "bench"), pub, log).Run(ctx); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(verdict{peak()})
}

// peak is the most memory that this process ever had, in MB: resident, where the
// system says it, else what Go has got from the system.
func peak() float64 {
	if status, err := os.ReadFile("/proc/self/status"); err == nil {
		for line := range strings.Lines(string(status)) {
			if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
				if kb, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 64); err == nil {
					return kb / 1024
				}
			}
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.Sys) / (1 << 20)
}
