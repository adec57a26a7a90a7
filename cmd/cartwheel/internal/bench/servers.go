package bench

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/postgres"
	"github.com/cartwheel-shop/cartwheel/stack"
)

// partitions of every topic that is measured.
const partitions = 16

// servers are the Kafka and the Postgres of a run.
type servers struct {
	dir             string // for temporary data
	stack           *stack.Stack
	bus             bus.Config
	postgres        string
	kafkaVersion    string
	postgresVersion string
	admin           *kadm.Client
	topics          []string // to remove at the end
	databases       []string
}

// start starts the servers that have no address, in a temporary directory.
func (r *runner) start(ctx context.Context) (stop func(), err error) {
	var stops []func()
	stop = func() {
		for i := len(stops) - 1; i >= 0; i-- {
			stops[i]()
		}
	}
	defer func() {
		if err != nil {
			stop()
		}
	}()
	if r.dir, err = os.MkdirTemp("", "cartwheel-bench"); err != nil {
		return nil, err
	}
	stops = append(stops, func() { _ = os.RemoveAll(r.dir) }) // temporary
	if err := os.Chmod(r.dir, 0o755); err != nil {            //nolint:gosec // Postgres runs as another user
		return nil, err
	}
	s, err := stack.Start(ctx, stack.Config{
		Dir: r.dir, CacheDir: r.CacheDir, Real: r.Real, KafkaBrokers: r.Brokers, PostgresURL: r.Postgres,
		Only: []stack.Part{stack.Kafka, stack.Postgres},
	}, r.Log, stack.ProgressFunc(func(st stack.Status) {
		if st.Detail != "" {
			r.Say(string(st.Part) + ": " + st.Detail)
		}
	}))
	if err != nil {
		return nil, err
	}
	stops = append(stops, func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		_ = s.Stop(end) // all of it is temporary
	})
	r.stack, r.postgres = s, s.Endpoints().Postgres
	r.bus = bus.Config{Brokers: strings.Split(s.Endpoints().Kafka, ","), Service: "bench", Log: r.Log}
	client, err := kgo.NewClient(kgo.SeedBrokers(r.bus.Brokers...), kgo.MetadataMinAge(50*time.Millisecond))
	if err != nil {
		return nil, err
	}
	r.admin = kadm.NewClient(client)
	stops = append(stops, client.Close, func() { r.cleanUp(context.WithoutCancel(ctx)) })
	return stop, r.versions(ctx)
}

// versions finds out what is measured on.
func (r *runner) versions(ctx context.Context) error {
	r.kafkaVersion = "the embedded broker (kfake)"
	if r.Real || len(r.Brokers) > 0 {
		v, err := r.admin.ApiVersions(ctx)
		if err != nil {
			return fmt.Errorf("ask Kafka for its version: %w", err)
		}
		for _, broker := range v.Sorted() {
			versions := kversion.FromApiVersionsResponse(broker.Raw())
			r.kafkaVersion = "Kafka " + versions.VersionGuess() + ", " + strconv.Itoa(len(v)) + " broker(s)"
		}
	}
	conn, err := pgx.Connect(ctx, r.postgres)
	if err != nil {
		return fmt.Errorf("connect to Postgres: %w", err)
	}
	defer conn.Close(ctx)
	return conn.QueryRow(ctx, `SELECT 'Postgres ' || current_setting('server_version') || ', fsync ' || current_setting('fsync')`).Scan(&r.postgresVersion)
}

// cleanUp removes what was made on servers that live longer than we do.
func (r *runner) cleanUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if len(r.Brokers) > 0 {
		_, _ = r.admin.DeleteTopics(ctx, r.topics...) // an attempt
	}
	for _, name := range r.databases {
		r.drop(ctx, name)
	}
}

// topic creates a topic with a unique name.
func (r *runner) topic(ctx context.Context, name string) (string, error) {
	name = "bench-" + name + "-" + unique()
	replicas, err := r.admin.ListBrokers(ctx)
	if err != nil {
		return "", fmt.Errorf("list brokers: %w", err)
	}
	if _, err := r.admin.CreateTopic(ctx, partitions, int16(min(3, len(replicas))), nil, name); err != nil {
		return "", fmt.Errorf("create topic %s: %w", name, err)
	}
	r.topics = append(r.topics, name)
	return name, until(ctx, func() (bool, error) {
		there, err := r.admin.ListTopics(ctx, name)
		if err != nil || errors.Is(there[name].Err, kerr.UnknownTopicOrPartition) {
			return false, nil
		}
		for _, p := range there[name].Partitions {
			if p.Leader < 0 {
				return false, nil
			}
		}
		return len(there[name].Partitions) == partitions, nil
	})
}

// database creates a migrated database.
func (r *runner) database(ctx context.Context, sources ...postgres.Migrations) (*pgxpool.Pool, error) {
	name := "bench_" + strings.ReplaceAll(unique(), "-", "_")
	r.databases = append(r.databases, name)
	return postgres.Open(ctx, r.postgres, name, r.Log, 40, sources...)
}

// urlOf is the address of a pool's database.
func (r *runner) urlOf(pool *pgxpool.Pool) string {
	u, err := url.Parse(r.postgres)
	if err != nil {
		return r.postgres // it was opened by it, so it is no URL but a list of settings
	}
	u.Path = "/" + pool.Config().ConnConfig.Database
	return u.String()
}

func (r *runner) drop(ctx context.Context, name string) {
	conn, err := pgx.Connect(ctx, r.postgres)
	if err != nil {
		return // the server is gone, and the database with it
	}
	defer conn.Close(ctx)
	_, _ = conn.Exec(ctx, `DROP DATABASE IF EXISTS `+pgx.Identifier{name}.Sanitize()+` WITH (FORCE)`) // an attempt
}

// settle gives each side the same start: statistics, and nothing left to write.
func settle(ctx context.Context, pool *pgxpool.Pool) error {
	for _, sql := range []string{`VACUUM (ANALYZE)`, `CHECKPOINT`} {
		if _, err := pool.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", strings.ToLower(sql), err)
		}
	}
	return nil
}

// end is how many records a topic has got.
func (r *runner) end(ctx context.Context, topic string) (int64, error) {
	ends, err := r.admin.ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("ask for the end of %s: %w", topic, err)
	}
	var sum int64
	ends.Each(func(o kadm.ListedOffset) { sum += o.Offset })
	return sum, nil
}

// awaitEnd waits until a topic has so many records.
func (r *runner) awaitEnd(ctx context.Context, topic string, want int64) error {
	return until(ctx, func() (bool, error) {
		n, err := r.end(ctx, topic)
		return n >= want, err
	})
}

// until waits for a condition, and looks often.
func until(ctx context.Context, cond func() (bool, error)) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := cond(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func unique() string { return events.NewEventID()[24:] }
