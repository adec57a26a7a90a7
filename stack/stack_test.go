package stack_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/cartwheel-shop/cartwheel/stack"
	"github.com/cartwheel-shop/cartwheel/stack/stacktest"
)

// fast are the parts that start in milliseconds.
var fast = []stack.Part{stack.Kafka, stack.NATS, stack.Redis, stack.SMTP}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func start(t *testing.T, cfg stack.Config) *stack.Stack {
	t.Helper()
	s, err := stack.Start(t.Context(), cfg, quiet(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s) })
	return s
}

func stop(t *testing.T, s *stack.Stack) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func kafkaClient(t *testing.T, brokers string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(strings.Split(brokers, ",")...))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func createTopic(t *testing.T, c *kgo.Client, topic, maxBytes string) {
	t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = topic, 1, 1
	if maxBytes != "" {
		rc := kmsg.NewCreateTopicsRequestTopicConfig()
		rc.Name, rc.Value = "max.message.bytes", &maxBytes
		rt.Configs = append(rt.Configs, rc)
	}
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if err := kerr.ErrorForCode(resp.Topics[0].ErrorCode); err != nil {
		t.Fatal(err)
	}
}

// durable are the parts that promise to remember.
func durable() []stack.Part {
	return []stack.Part{stack.Kafka, stack.NATS, stack.SMTP, stack.Postgres, stack.Temporal}
}

// Everything that was acknowledged is there after a restart, at the same
// addresses.
func TestTheStackGoesOnWhereItStopped(t *testing.T) {
	cfg := stack.Config{Dir: stacktest.TempDir(t), Only: durable()}
	s := start(t, cfg)
	before := s.Endpoints()
	fill(t, before)
	began := time.Now()
	stop(t, s)
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("Stop took %s", took)
	}
	for _, addr := range addresses(before) {
		if l, err := net.Listen("tcp", addr); err != nil {
			t.Errorf("the port is not free after Stop: %v", err)
		} else {
			l.Close()
		}
	}
	s = start(t, cfg)
	if after := s.Endpoints(); after != before {
		t.Errorf("addresses changed\ngot  %+v\nwant %+v", after, before)
	}
	verify(t, before)
}

// The same when nobody had the time to stop anything.
func TestTheStackGoesOnAfterKill9(t *testing.T) {
	dir := stacktest.TempDir(t)
	victim := exec.Command(os.Args[0])
	victim.Env = append(os.Environ(), victimDir+"="+dir)
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	victim.Stderr = t.Output()
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	defer func() {
		if !killed {
			_ = victim.Process.Kill()
			_ = victim.Wait()
		}
	}()
	var before stack.Endpoints
	if err := json.NewDecoder(out).Decode(&before); err != nil {
		t.Fatal(err)
	}
	fill(t, before)
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait()
	killed = true

	// At once: its children may not even have noticed.
	s := start(t, stack.Config{Dir: dir, Only: durable()})
	if after := s.Endpoints(); after != before {
		t.Errorf("addresses changed\ngot  %+v\nwant %+v", after, before)
	}
	verify(t, s.Endpoints())
}

const victimDir = "STACK_TEST_VICTIM_DIR"

// TestMain lets the test binary play the program that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv(victimDir); dir != "" {
		s, err := stack.Start(context.Background(), stack.Config{Dir: dir, Only: durable()}, slog.Default(), nil)
		if err == nil {
			err = json.NewEncoder(os.Stdout).Encode(s.Endpoints())
		}
		if err != nil {
			slog.Error("the victim does not live", "error", err)
			os.Exit(1)
		}
		<-make(chan struct{}) // until it is killed
	}
	os.Exit(m.Run())
}

// fill leaves something in every part, and returns when all is acknowledged.
func fill(t *testing.T, e stack.Endpoints) {
	t.Helper()
	k := kafkaClient(t, e.Kafka)
	createTopic(t, k, "kept", "")
	if err := k.ProduceSync(t.Context(), &kgo.Record{Topic: "kept", Value: []byte("a fact")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(connectNATS(t, e.NATS))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "KEPT", Subjects: []string{"kept.>"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "kept.one", []byte("a reading")); err != nil {
		t.Fatal(err)
	}
	execSQL(t, e.Postgres, "CREATE TABLE kept AS SELECT 'a row' AS what")
	sendMail(t, e.SMTP, "kept@example.com", "Kept")
	c := temporalClient(t, e.Temporal)
	eventually(t, "temporal starts a workflow", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: "kept", TaskQueue: "nobody"}, "kept")
		return err == nil
	})
}

// verify finds what fill left.
func verify(t *testing.T, e stack.Endpoints) {
	t.Helper()
	reader := kafkaClient(t, e.Kafka, kgo.ConsumeTopics("kept"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if got := reader.PollRecords(t.Context(), 1).Records(); len(got) != 1 || string(got[0].Value) != "a fact" {
		t.Errorf("kafka: got %v", got)
	}
	js, err := jetstream.New(connectNATS(t, e.NATS))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "KEPT")
	if err != nil {
		t.Fatal(err)
	}
	if msg, err := stream.GetMsg(t.Context(), 1); err != nil || string(msg.Data) != "a reading" {
		t.Errorf("nats: got %v, %v", msg, err)
	}
	conn, err := pgx.Connect(t.Context(), e.Postgres)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var what string
	if err := conn.QueryRow(t.Context(), "SELECT what FROM kept").Scan(&what); err != nil || what != "a row" {
		t.Errorf("postgres: got %q, %v", what, err)
	}
	resp, err := http.Get(e.Inbox + "/api/messages?to=kept@example.com")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(body), `"subject":"Kept"`) {
		t.Errorf("inbox: got %s, %v", body, err)
	}
	c := temporalClient(t, e.Temporal)
	eventually(t, "temporal knows the workflow", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		d, err := c.DescribeWorkflowExecution(ctx, "kept", "")
		return err == nil && d.GetWorkflowExecutionInfo().GetStatus() == enums.WORKFLOW_EXECUTION_STATUS_RUNNING
	})
}

func addresses(e stack.Endpoints) (all []string) {
	for _, a := range []string{e.Kafka, e.Temporal, e.TemporalUI, e.NATS, e.MQTT, e.Redis, e.SMTP, e.Inbox, e.Postgres} {
		if a != "" {
			all = append(all, host(a))
		}
	}
	return all
}

func TestKafkaTakesWhatTheTopicAllows(t *testing.T) {
	brokers := strings.Join(stacktest.Kafka(t), ",")
	k := kafkaClient(t, brokers, kgo.ProducerBatchMaxBytes(4<<20), kgo.ProducerBatchCompression(kgo.NoCompression()))
	// Random content: compression must not be what makes it fit.
	value := func(n int) []byte { return bytes.Repeat([]byte{0xA5, 0x17, 0x3C, 0xE9}, n/4) }
	tests := []struct {
		topic, max string
		size       int
		fits       bool
	}{
		{"facts", "1100000", 1 << 20, true},
		{"dead", "2200000", 2 << 20, true},
		{"plain", "", 900 << 10, true},
		{"too-small", "1100000", 2 << 20, false},
	}
	for _, tt := range tests {
		t.Run(tt.topic, func(t *testing.T) {
			createTopic(t, k, tt.topic, tt.max)
			err := k.ProduceSync(t.Context(), &kgo.Record{Topic: tt.topic, Value: value(tt.size)}).FirstErr()
			if tt.fits && err != nil {
				t.Fatal(err)
			}
			if !tt.fits && !errors.Is(err, kerr.MessageTooLarge) {
				t.Fatalf("got %v, want %v", err, kerr.MessageTooLarge)
			}
			if !tt.fits {
				return
			}
			r := kafkaClient(t, brokers, kgo.ConsumeTopics(tt.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
			if got := r.PollRecords(t.Context(), 1).Records(); len(got) != 1 || len(got[0].Value) != tt.size {
				t.Fatalf("got %d records", len(got))
			}
		})
	}
}

func TestRedisKeysExpire(t *testing.T) {
	c := redis.NewClient(&redis.Options{Addr: stacktest.Redis(t)})
	defer c.Close()
	if err := c.Set(t.Context(), "short", "x", time.Second).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the key is gone", func() bool {
		return errors.Is(c.Get(t.Context(), "short").Err(), redis.Nil)
	})
}

func TestTwoStacksSideBySide(t *testing.T) {
	one := start(t, stack.Config{Dir: stacktest.TempDir(t), Only: fast})
	two := start(t, stack.Config{Dir: stacktest.TempDir(t), Only: fast})
	a, b := one.Endpoints(), two.Endpoints()
	if a.Kafka == b.Kafka || a.NATS == b.NATS || a.MQTT == b.MQTT || a.Redis == b.Redis || a.SMTP == b.SMTP || a.Inbox == b.Inbox {
		t.Fatalf("two stacks share an address\n%+v\n%+v", a, b)
	}
}

func TestATakenPortIsReplaced(t *testing.T) {
	cfg := stack.Config{Dir: stacktest.TempDir(t), Only: fast}
	s := start(t, cfg)
	before := s.Endpoints()
	stop(t, s)
	l, err := net.Listen("tcp", before.Kafka)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	after := start(t, cfg).Endpoints()
	if after.Kafka == before.Kafka || after.Kafka == "" {
		t.Fatalf("kafka at %q, was %q", after.Kafka, before.Kafka)
	}
	if after.NATS != before.NATS {
		t.Fatalf("nats moved from %s to %s without need", before.NATS, after.NATS)
	}
}

func TestStartRefusals(t *testing.T) {
	notADir := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(notADir, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	newer := t.TempDir()
	if err := os.WriteFile(filepath.Join(newer, "format"), []byte("99\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	garbled := t.TempDir()
	if err := os.WriteFile(filepath.Join(garbled, "format"), []byte("new\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	fresh := filepath.Join(t.TempDir(), "fresh")
	used := t.TempDir()
	start(t, stack.Config{Dir: used, Only: fast})

	tests := map[string]struct {
		cfg  stack.Config
		want string
	}{
		"in use":                   {stack.Config{Dir: used}, "is in use by pid " + strconv.Itoa(os.Getpid()) + ": stop it or choose another --data"},
		"not a directory":          {stack.Config{Dir: filepath.Join(notADir, "data")}, "cannot be made: choose another --data"},
		"of a newer format":        {stack.Config{Dir: newer}, "was written by a newer version"},
		"of what no program wrote": {stack.Config{Dir: garbled}, "has an unreadable format file"},
		"a cache below a file": {stack.Config{Dir: fresh, CacheDir: filepath.Join(notADir, "cache"), Only: []stack.Part{stack.Temporal}},
			"the cache directory " + filepath.Join(notADir, "cache") + " cannot be made: choose another with CARTWHEEL_CACHE"},
		"no directory":    {stack.Config{}, "no data directory"},
		"an unknown part": {stack.Config{Dir: t.TempDir(), Only: []stack.Part{"etcd"}}, `no part "etcd"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := stack.Start(t.Context(), tt.cfg, quiet(), nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Fatalf("more than one line: %v", err)
			}
		})
	}
	for dir, want := range map[string]int{newer: 1, garbled: 1, fresh: 0} {
		if left, _ := os.ReadDir(dir); len(left) != want {
			t.Errorf("%s: a refused start left %v there", dir, left)
		}
	}
}

// One part that cannot start takes the others down with it.
func TestAFailedStartLeavesNothing(t *testing.T) {
	cfg := stack.Config{Dir: stacktest.TempDir(t), Only: append(slices.Clone(fast), stack.Postgres)}
	foreign := filepath.Join(cfg.Dir, "postgres", "data")
	if err := os.MkdirAll(foreign, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(foreign, "PG_VERSION"), []byte("9.6\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	addresses := map[string]bool{}
	seen := stack.ProgressFunc(func(st stack.Status) {
		mu.Lock()
		defer mu.Unlock()
		if st.Address != "" {
			addresses[host(st.Address)] = true
		}
	})
	if _, err := stack.Start(t.Context(), cfg, quiet(), seen); err == nil || !strings.Contains(err.Error(), "is of version 9.6") {
		t.Fatalf("got %v", err)
	}
	for addr := range addresses {
		if l, err := net.Listen("tcp", addr); err != nil {
			t.Errorf("%s is still in use: %v", addr, err)
		} else {
			l.Close()
		}
	}
	// The lock is free too: the directory can be used once it is mended.
	if err := os.RemoveAll(foreign); err != nil {
		t.Fatal(err)
	}
	start(t, cfg)
}

// A start that is told to stop ends what it has begun, and nothing has failed.
func TestAStartThatIsToldToStop(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var mu sync.Mutex
	phases := map[stack.Phase]bool{}
	seen := stack.ProgressFunc(func(st stack.Status) {
		mu.Lock()
		defer mu.Unlock()
		phases[st.Phase] = true
		if st.Part == stack.Postgres { // it is there, and its cluster is about to be made
			stop()
		}
	})
	_, err := stack.Start(ctx, stack.Config{Dir: stacktest.TempDir(t), Only: []stack.Part{stack.Postgres}}, quiet(), seen)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if phases[stack.Failed] || !phases[stack.Stopped] {
		t.Errorf("reported %v, want it stopped and nothing failed", phases)
	}
}

func TestAnAddressReplacesAPart(t *testing.T) {
	s := start(t, stack.Config{
		Dir:             stacktest.TempDir(t),
		KafkaBrokers:    []string{"k1:9092", "k2:9092"},
		TemporalAddress: "temporal:7233",
		NATSURL:         "nats://nats:4222",
		RedisAddr:       "redis:6379",
		PostgresURL:     "postgres://u:p@db/postgres",
		SMTPAddr:        "mail:25",
		InboxURL:        "http://mail:8025",
	})
	want := stack.Endpoints{
		Kafka: "k1:9092,k2:9092", Temporal: "temporal:7233", NATS: "nats://nats:4222", Redis: "redis:6379",
		Postgres: "postgres://u:p@db/postgres", SMTP: "mail:25", Inbox: "http://mail:8025",
	}
	if got := s.Endpoints(); got != want {
		t.Fatalf("got %+v", got)
	}
	for _, st := range s.Statuses() {
		if st.Phase != stack.Ready || !st.External {
			t.Errorf("%+v", st)
		}
	}
	<-s.TemporalReady()
	if err := s.StartTemporal(t.Context()); err == nil {
		t.Fatal("somebody else's Temporal was started")
	}
}

func TestACrashedPostgresComesBack(t *testing.T) {
	s := start(t, stack.Config{Dir: stacktest.TempDir(t), Only: []stack.Part{stack.Postgres}})
	url := s.Endpoints().Postgres
	execSQL(t, url, "CREATE TABLE kept ()")
	var pid int
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	const firstLine = "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int"
	if err := conn.QueryRow(t.Context(), firstLine).Scan(&pid); err != nil {
		t.Fatal(err)
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the table is there again", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return false
		}
		defer conn.Close(context.Background())
		_, err = conn.Exec(ctx, "SELECT FROM kept")
		var now int
		return err == nil && conn.QueryRow(ctx, firstLine).Scan(&now) == nil && now != pid
	})
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for !ok() {
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatalf("not so in time: %s", what)
		}
	}
}

func connectNATS(t *testing.T, url string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func execSQL(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func sendMail(t *testing.T, addr, to, subject string) {
	t.Helper()
	mail := "Subject: " + subject + "\r\nMessage-ID: <1@example.com>\r\n\r\nHello.\r\n"
	if err := smtp.SendMail(addr, nil, "shop@example.com", []string{to}, []byte(mail)); err != nil {
		t.Fatal(err)
	}
}

// host is the host:port of a URL, or the address itself.
func host(addr string) string {
	if _, after, ok := strings.Cut(addr, "@"); ok {
		addr = after
	}
	if _, after, ok := strings.Cut(addr, "://"); ok {
		addr = after
	}
	addr, _, _ = strings.Cut(addr, "/")
	return addr
}

// Kafka stops and starts again with its data, at its address: what connects
// meanwhile is refused, and twice is as good as once.
func TestKafkaStopsAndStartsAgain(t *testing.T) {
	s := start(t, stack.Config{Dir: t.TempDir(), Only: []stack.Part{stack.Kafka}})
	addr := s.Endpoints().Kafka
	c := kafkaClient(t, addr)
	createTopic(t, c, "kept", "")
	if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: "kept", Value: []byte("before")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.StopKafka(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if conn, err := net.Dial("tcp", addr); err == nil {
		conn.Close()
		t.Error("a stopped Kafka takes connections")
	}
	if got := s.Status(stack.Kafka).Phase; got != stack.Stopped {
		t.Errorf("it is %s, want stopped", got)
	}
	for range 2 {
		if err := s.StartKafka(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	// The client of before goes on.
	if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: "kept", Value: []byte("after")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	reader := kafkaClient(t, addr, kgo.ConsumeTopics("kept"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	var got []string
	for len(got) < 2 && t.Context().Err() == nil {
		reader.PollFetches(t.Context()).EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
	}
	if !slices.Equal(got, []string{"before", "after"}) {
		t.Errorf("it holds %v, want before and after", got)
	}
	other := start(t, stack.Config{Dir: t.TempDir(), Only: []stack.Part{stack.Kafka}, KafkaBrokers: []string{addr}})
	if err := other.StopKafka(t.Context()); err == nil {
		t.Error("a Kafka of somebody else was stopped")
	}
}
