package jobs_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/cartwheel-shop/cartwheel/pkg/fault"
	"github.com/cartwheel-shop/cartwheel/pkg/jobs"
)

const patience = 20 * time.Second

// work is a job server that notes what it is given.
type work struct {
	client *jobs.Client
	redis  redisServer
	faults *fault.Points
	log    *safeBuffer
	runs   chan string
	stop   func()

	mu   sync.Mutex
	seen map[string]int
}

// start serves "do" on a Redis of its own; handle sees the id and the number of
// the run.
func start(t *testing.T, handle func(ctx context.Context, id string, run int) error) *work {
	t.Helper()
	w := &work{redis: startRedis(t), log: &safeBuffer{}, runs: make(chan string, 1000), seen: map[string]int{}}
	w.client = jobs.NewClient(w.redis.Addr())
	t.Cleanup(func() { _ = w.client.Close() })
	w.serve(t, handle)
	return w
}

func (w *work) serve(t *testing.T, handle func(ctx context.Context, id string, run int) error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- jobs.Serve(ctx, jobs.Config{
			RedisAddr: w.redis.Addr(), Concurrency: 2, Faults: w.faults, Log: slog.New(slog.NewTextHandler(w.log, nil)),
			Backoff: func(int) time.Duration { return 10 * time.Millisecond },
		}, map[string]jobs.Handler{"do": func(ctx context.Context, id string) error {
			w.mu.Lock()
			w.seen[id]++
			run := w.seen[id]
			w.mu.Unlock()
			err := handle(ctx, id, run)
			w.runs <- id
			return err
		}})
	}()
	w.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Error("the server did not stop")
		}
	})
	t.Cleanup(w.stop)
}

func (w *work) enqueue(t *testing.T, j jobs.Job) {
	t.Helper()
	j.Type, j.Timeout = "do", 10*time.Second
	if j.Queue == "" {
		j.Queue = jobs.Default
	}
	if err := w.client.Enqueue(t.Context(), j); err != nil {
		t.Fatal(err)
	}
}

// ran waits for one run and returns its id.
func (w *work) ran(t *testing.T) string {
	t.Helper()
	select {
	case id := <-w.runs:
		return id
	case <-time.After(patience):
		t.Fatal("no job ran in time")
		return ""
	}
}

func (w *work) state(t *testing.T, id string) string {
	t.Helper()
	inspector := asynq.NewInspector(asynq.RedisClientOpt{Addr: w.redis.Addr()})
	defer inspector.Close()
	task, err := inspector.GetTaskInfo(jobs.Default, id)
	if errors.Is(err, asynq.ErrTaskNotFound) || errors.Is(err, asynq.ErrQueueNotFound) {
		return "absent"
	}
	if err != nil {
		t.Fatal(err)
	}
	return task.State.String()
}

func (w *work) awaitState(t *testing.T, id, want string) {
	t.Helper()
	until(t, "job "+id+" to be "+want, func() bool { return w.state(t, id) == want })
}

func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

var errAway = errors.New("the mail server is away")

func TestJobsRunOnce(t *testing.T) {
	gate := make(chan struct{})
	w := start(t, func(context.Context, string, int) error { <-gate; return nil })
	for range 5 {
		w.enqueue(t, jobs.Job{ID: "a"})
	}
	w.enqueue(t, jobs.Job{ID: "a", Unique: "a:2"})
	close(gate)
	if a, b := w.ran(t), w.ran(t); a != "a" || b != "a" {
		t.Errorf("ran %s and %s, want a twice: once for each Unique", a, b)
	}
	w.awaitState(t, "a", "absent")
	w.awaitState(t, "a:2", "absent")
	w.stop()
	if n := len(w.runs); n != 0 {
		t.Errorf("%d runs too many", n)
	}
}

func TestRetries(t *testing.T) {
	cases := map[string]struct {
		handle  func(run int) error
		retries int
		runs    int
		end     string
	}{
		"a failure is tried again": {func(run int) error {
			if run < 3 {
				return errAway
			}
			return nil
		}, 5, 3, "absent"},
		"the handler says when": {func(run int) error {
			if run < 2 {
				return jobs.Later(errAway, time.Millisecond)
			}
			return nil
		}, 5, 2, "absent"},
		"a panic is a failure": {func(run int) error {
			if run < 2 {
				panic("out of luck")
			}
			return nil
		}, 5, 2, "absent"},
		"used up retries end in the archive": {func(int) error { return errAway }, 2, 3, "archived"},
		"given up is not tried again":        {func(int) error { return jobs.GiveUp(errAway) }, 5, 1, "archived"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, func(_ context.Context, _ string, run int) error { return tc.handle(run) })
			w.enqueue(t, jobs.Job{ID: "a", Retries: tc.retries})
			w.awaitEnd(t, "a", tc.end, tc.runs)
		})
	}
}

// awaitEnd waits until a job has run so often and is in a state.
func (w *work) awaitEnd(t *testing.T, id, state string, runs int) {
	t.Helper()
	until(t, "job "+id+" to have run "+strconv.Itoa(runs)+" times and be "+state, func() bool {
		w.mu.Lock()
		n := w.seen[id]
		w.mu.Unlock()
		if n > runs {
			t.Fatalf("job %s ran %d times, want %d", id, n, runs)
		}
		return n == runs && w.state(t, id) == state
	})
}

// Whoever enqueues what the archive has is sure that it is not done.
func TestArchivedJobStartsAnew(t *testing.T) {
	w := start(t, func(_ context.Context, _ string, run int) error {
		if run == 1 {
			return jobs.GiveUp(errAway)
		}
		return nil
	})
	w.enqueue(t, jobs.Job{ID: "a"})
	w.awaitEnd(t, "a", "archived", 1)
	w.enqueue(t, jobs.Job{ID: "a"})
	w.awaitEnd(t, "a", "absent", 2)
}

func TestFloodHoldsUpNoOtherQueue(t *testing.T) {
	w := start(t, func(context.Context, string, int) error { return nil })
	w.stop()
	for i := range 200 {
		w.enqueue(t, jobs.Job{ID: "flood-" + strconv.Itoa(i), Queue: jobs.Low})
	}
	w.enqueue(t, jobs.Job{ID: "urgent", Queue: jobs.Critical})
	w.serve(t, func(context.Context, string, int) error { return nil })
	before := 0
	for w.ran(t) != "urgent" {
		before++
	}
	if before > 50 {
		t.Errorf("the urgent job ran after %d others", before)
	}
}

func TestStopWaitsForWhatIsInFlight(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	w := start(t, func(context.Context, string, int) error { close(begun); <-end; return nil })
	w.enqueue(t, jobs.Job{ID: "a"})
	<-begun
	stopped := make(chan struct{})
	go func() { w.stop(); close(stopped) }()
	select {
	case <-stopped:
		t.Error("stopped with a job in flight")
	default:
	}
	close(end)
	<-stopped
	if got := w.state(t, "a"); got != "absent" {
		t.Errorf("the job is %s, want done", got)
	}
}

func TestRedisAway(t *testing.T) {
	w := start(t, func(context.Context, string, int) error { return nil })
	w.enqueue(t, jobs.Job{ID: "before"})
	w.ran(t)
	addr := w.redis.Addr()
	w.redis.Close()
	if err := w.client.Reachable(); err == nil {
		t.Error("Redis is said to be reachable")
	}
	if err := w.client.Enqueue(t.Context(), jobs.Job{Type: "do", ID: "lost", Queue: jobs.Default, Timeout: time.Second}); err == nil {
		t.Error("enqueued without Redis")
	}
	// It comes back without its memory, as an embedded one does.
	w.redis.FlushAll()
	if err := w.redis.StartAddr(addr); err != nil {
		t.Fatal(err)
	}
	until(t, "Redis to be reached again", func() bool { return w.client.Reachable() == nil })
	w.enqueue(t, jobs.Job{ID: "after"})
	if got := w.ran(t); got != "after" {
		t.Errorf("ran %s, want after", got)
	}
}

// A Redis that lost its memory takes a job as often as before, and lets one out
// of the archive.
func TestEnqueueAgainAfterRedisLostItsMemory(t *testing.T) {
	fail := make(chan error, 1)
	w := start(t, func(context.Context, string, int) error { return <-fail })
	w.enqueue(t, jobs.Job{ID: "a"})
	fail <- nil
	w.ran(t)
	w.awaitState(t, "a", "absent")
	w.redis.FlushAll()
	for range 2 {
		w.enqueue(t, jobs.Job{ID: "a"})
	}
	fail <- jobs.GiveUp(errAway)
	w.ran(t)
	w.awaitState(t, "a", "archived")
	w.redis.Del("asynq:queues")
	w.enqueue(t, jobs.Job{ID: "a"})
	fail <- nil
	w.ran(t)
	w.awaitState(t, "a", "absent")
}

func TestServeWaitsForRedis(t *testing.T) {
	redis, addr := newRedis(t)
	log := &safeBuffer{}
	ctx, cancel := context.WithCancel(t.Context())
	ended, ran := make(chan error, 1), make(chan string, 1)
	go func() {
		ended <- jobs.Serve(ctx, jobs.Config{RedisAddr: addr, Concurrency: 1, Log: slog.New(slog.NewTextHandler(log, nil)), Backoff: func(int) time.Duration { return time.Second }},
			map[string]jobs.Handler{"do": func(_ context.Context, id string) error { ran <- id; return nil }})
	}()
	until(t, "the server to say that it waits", func() bool { return strings.Contains(log.String(), "waiting for Redis") })
	if err := redis.StartAddr(addr); err != nil {
		t.Fatal(err)
	}
	client := jobs.NewClient(addr)
	defer client.Close()
	if err := client.Enqueue(ctx, jobs.Job{Type: "do", ID: "a", Queue: jobs.Low, Timeout: time.Second}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ran:
	case <-time.After(patience):
		t.Fatal("the job did not run when Redis was there")
	}
	if n := strings.Count(log.String(), "waiting for Redis"); n != 1 {
		t.Errorf("the wait was said %d times, want once", n)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestServeEndsWhileItWaits(t *testing.T) {
	_, addr := newRedis(t)
	ctx, cancel := context.WithCancel(t.Context())
	log := &safeBuffer{}
	ended := make(chan error, 1)
	go func() {
		ended <- jobs.Serve(ctx, jobs.Config{RedisAddr: addr, Concurrency: 1, Log: slog.New(slog.NewTextHandler(log, nil))}, nil)
	}()
	until(t, "the server to say that it waits", func() bool { return log.String() != "" })
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("the server did not end")
	}
}

// A fault in front of a job and one behind it: it is run again.
func TestFaultsAtJobs(t *testing.T) {
	for point, want := range map[fault.Point]int{fault.JobBefore: 1, fault.JobAfter: 2} {
		t.Run(string(point), func(t *testing.T) {
			w := &work{redis: startRedis(t), log: &safeBuffer{}, runs: make(chan string, 10), seen: map[string]int{}}
			w.faults = fault.New(slog.New(slog.NewTextHandler(w.log, nil)))
			if _, err := w.faults.Arm(fault.Fault{Point: point, Kind: fault.Fail, Key: "a", Times: 1}); err != nil {
				t.Fatal(err)
			}
			w.client = jobs.NewClient(w.redis.Addr())
			t.Cleanup(func() { _ = w.client.Close() })
			w.serve(t, func(context.Context, string, int) error { return nil })
			w.enqueue(t, jobs.Job{ID: "a", Retries: 3})
			w.awaitEnd(t, "a", "absent", want)
		})
	}
}

// The queues as they stand, those too that nothing was put into.
func TestFigures(t *testing.T) {
	goOn := make(chan struct{})
	w := start(t, func(ctx context.Context, id string, _ int) error {
		if id == "bad" {
			return jobs.GiveUp(errors.New("no"))
		}
		select {
		case <-goOn:
		case <-ctx.Done():
		}
		return nil
	})
	defer close(goOn)
	for _, id := range []string{"bad", "slow-1", "slow-2", "waits"} { // two workers
		if err := w.client.Enqueue(t.Context(), jobs.Job{Type: "do", ID: id, Queue: jobs.Critical, Timeout: time.Minute}); err != nil {
			t.Fatal(err)
		}
	}
	<-w.runs // bad is done
	var got []jobs.QueueFigures
	for end := time.Now().Add(patience); ; {
		var err error
		if got, err = w.client.Figures(); err != nil {
			t.Fatal(err)
		}
		if got[0].Active == 2 && got[0].Archived == 1 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("queues %+v, want 2 active jobs and 1 in the archive", got)
		}
	}
	if len(got) != 3 || got[0].Name != jobs.Critical || got[0].Pending != 1 || got[0].Failed != 1 || got[1] != (jobs.QueueFigures{Name: jobs.Default}) || got[2] != (jobs.QueueFigures{Name: jobs.Low}) {
		t.Errorf("queues %+v; want critical with 1 pending and 1 failed, then default and low at nothing", got)
	}
}
