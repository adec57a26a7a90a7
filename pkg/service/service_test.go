package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/figures"
	"github.com/cartwheel-shop/cartwheel/pkg/httpapi"
)

var quiet = slog.New(slog.DiscardHandler)

func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !cond(); {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// get returns "status body" of an answer of the life.
func get(t *testing.T, l *Life, path string) string {
	t.Helper()
	addr, err := l.Addr(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get("http://" + addr + path)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, strings.TrimSpace(string(body)))
}

// The stages of a life, in the order that doc.go promises.
func TestALife(t *testing.T) {
	l := NewLife("lamp", "127.0.0.1:0", Deps{Log: quiet})
	if r := l.Health.Ready(t.Context()); r.Ready {
		t.Error("ready before it runs")
	}
	ctx, stop := context.WithCancel(t.Context())
	oil := errors.New("no oil")
	var mu sync.Mutex // of oil
	var ends []string
	waiting, come := make(chan struct{}), make(chan struct{})
	burning, blown, told := make(chan struct{}), make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- l.Run(ctx, func(context.Context) ([]Part, func(), error) {
			l.Health.Check("oil", func(context.Context) error { mu.Lock(); defer mu.Unlock(); return oil })
			close(waiting)
			<-come
			l.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/burn" {
					close(burning)
					<-blown
					if r.Context().Err() != nil {
						t.Error("a request in flight was called off")
					}
				}
				fmt.Fprint(w, "light")
			}))
			return []Part{{"wick", func(ctx context.Context) error {
				<-ctx.Done()
				close(told)
				ends = append(ends, "wick")
				return ctx.Err()
			}}}, func() { ends = append(ends, "links") }, nil
		})
	}()
	expect := func(path, want string) {
		t.Helper()
		if got := get(t, l, path); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	<-waiting
	expect("/healthz", `200 {"alive":true}`)
	expect("/readyz", `503 {"ready":false,"missing":[{"name":"oil","state":"down","detail":"no oil"},{"name":"start","state":"down","detail":"lamp is starting"}]}`)
	expect("/api", `503 {"type":"about:blank","title":"Service Unavailable","status":503,"code":"starting"`)
	close(come)
	until(t, "what it needs", func() bool { return get(t, l, "/api") == "200 light" })
	expect("/readyz", `503 {"ready":false,"missing":[{"name":"oil"`) // and this not yet
	mu.Lock()
	oil = nil
	mu.Unlock()
	until(t, "readiness", func() bool { return get(t, l, "/readyz") == `200 {"ready":true,"missing":[]}` })
	answer := make(chan string, 1)
	go func() { answer <- get(t, l, "/burn") }()
	<-burning
	stop()
	<-told // although a request is in flight
	until(t, "the end of its listener", func() bool { return strings.Contains(get(t, l, "/healthz"), "refused") })
	close(blown)
	if got := <-answer; got != "200 light" {
		t.Errorf("a request in flight at the end: %s", got)
	}
	if err := <-ended; err != nil || !slices.Equal(ends, []string{"wick", "links"}) {
		t.Errorf("ended with %v, in the order %q, want wick, links", err, ends)
	}
}

func TestWhatEndsALife(t *testing.T) {
	broken := errors.New("broken")
	waits := Part{"waits", func(ctx context.Context) error { <-ctx.Done(); return fmt.Errorf("wait: %w", ctx.Err()) }}
	part := func(name string, err error) Part { return Part{name, func(context.Context) error { return err }} }
	for _, c := range []struct {
		name    string
		parts   []Part
		start   error
		stopped bool
		want    string
	}{
		{"told to stop", []Part{waits}, nil, true, ""},
		{"told to stop while it starts", nil, fmt.Errorf("dial: %w", context.Canceled), true, ""},
		{"cannot start", nil, broken, false, "x: start: broken"},
		{"cannot start, and not because it was told", nil, fmt.Errorf("dial: %w", context.Canceled), false, "x: start: dial: context canceled"},
		{"a part fails", []Part{waits, part("relay", broken), waits}, nil, false, "x: relay: broken"},
		{"a part fails, and not because it was told", []Part{waits, part("relay", context.Canceled)}, nil, false, "x: relay: context canceled"},
		{"a part ends", []Part{part("relay", nil), waits}, nil, false, "x: relay: ended by itself"},
		{"a part fails at the end", []Part{waits, {"relay", func(ctx context.Context) error { <-ctx.Done(); return broken }}}, nil, true, "x: relay: broken"},
	} {
		ctx, stop := context.WithCancel(t.Context())
		closed := false
		err := NewLife("x", "127.0.0.1:0", Deps{Log: quiet}).Run(ctx, func(context.Context) ([]Part, func(), error) {
			if c.stopped {
				stop()
			}
			return c.parts, func() { closed = true }, c.start
		})
		stop()
		if got := fmt.Sprint(err); got != c.want && (err != nil || c.want != "") {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if !closed {
			t.Errorf("%s: the links stay open", c.name)
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	l := NewLife("x", ln.Addr().String(), Deps{Log: quiet})
	err = l.Run(t.Context(), func(context.Context) ([]Part, func(), error) {
		t.Error("started without its port")
		return nil, nil, nil
	})
	if err == nil || !strings.Contains(err.Error(), ln.Addr().String()) {
		t.Errorf("a port that is taken: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Addr(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("the address of what never ran: %v", err)
	}
}

// Parts may end while others are only beginning.
func TestManyPartsThatEndAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	parts := make([]Part, 200)
	for i := range parts {
		parts[i] = Part{fmt.Sprint("part", i), func(context.Context) error { return errors.New("broken") }}
	}
	if err := runParts(ctx, cancel, parts); strings.Count(fmt.Sprint(err), "broken") != len(parts) {
		t.Errorf("%v", err)
	}
}

// The clock is synctest's.
func TestWhatTakesTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		forever := make(chan struct{})
		defer close(forever)
		cancel()
		err := runParts(ctx, cancel, []Part{
			{"good", func(ctx context.Context) error { Pause(context.Background(), StopWithin-1); return nil }},
			{"stuck", func(context.Context) error { <-forever; return nil }},
		})
		if got := fmt.Sprint(err); got != "stuck: did not stop within 8s" {
			t.Errorf("a part that does not stop: %s", got)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		var h Health
		if r := h.Ready(t.Context()); !r.Ready || r.Missing == nil {
			t.Errorf("nothing to check: %+v", r)
		}
		slow := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		h.Check("z", slow)
		h.Check("a", slow)
		h.Check("m", slow)
		h.Check("m", func(context.Context) error { return nil }) // in its place
		h.Gather(func(context.Context) []Missing { return []Missing{{Name: "k"}} })
		start := time.Now()
		var names []string
		for _, m := range h.Ready(t.Context()).Missing {
			names = append(names, m.Name)
		}
		if took := time.Since(start); took != checkPatience || !slices.Equal(names, []string{"a", "k", "z"}) {
			t.Errorf("missing %q after %s, want a, k, z after %s", names, took, checkPatience)
		}
	})
}

type lampConfig struct {
	Base
	Wicks int    `env:"WICKS" envDefault:"1" doc:"how many wicks"`
	Key   string `env:"KEY" secret:"true" doc:"opens it"`
}

type lamp struct{ did *string }

func (l lamp) Run(context.Context) error   { *l.did = "run"; return nil }
func (l lamp) Setup(context.Context) error { *l.did = "setup"; return nil }

func TestConfiguration(t *testing.T) {
	_, err := Load[lampConfig](map[string]string{"WICKS": "two", "KAFKA_BROKERS": "", "NATS_URL": "nats://x", "POSTGRES_POOL": "many"})
	for _, want := range []string{`WICKS must be a whole number, not "two" (how many wicks)`, `POSTGRES_POOL must be a whole number, not "many"`,
		"POSTGRES_URL is missing (", "KAFKA_BROKERS is missing ("} {
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%v, want %q in it", err, want)
		}
	}
	if strings.Contains(fmt.Sprint(err), "NATS_URL") {
		t.Errorf("%v, and NATS_URL is right", err)
	}
	env := map[string]string{"POSTGRES_URL": "postgres://u:hunter2@x", "KAFKA_BROKERS": "a:1,b:2", "NATS_URL": "nats://x", "KEY": "hunter2"}
	cfg, err := Load[lampConfig](env)
	if err != nil || cfg.Wicks != 1 || !slices.Equal(cfg.KafkaBrokers, []string{"a:1", "b:2"}) {
		t.Errorf("%+v, %v", cfg, err)
	}
	masked := 0
	for _, v := range Variables(cfg) {
		if strings.Contains(v.Value, "hunter2") {
			t.Errorf("%s is not masked", v.Name)
		}
		if v.Value == "***" {
			masked++
		}
	}
	if masked != 2 { // what is not set is not masked
		t.Errorf("%d are masked, want the two that are set", masked)
	}
	for name, value := range env {
		t.Setenv(name, value)
	}
	for arg, want := range map[string]string{"": "run", "setup": "setup", "stup": "", "setup now": ""} {
		did := ""
		err := run("lamp", strings.Fields(arg), func(lampConfig, Deps) (lamp, error) { return lamp{&did}, nil })
		if did != want || (err == nil) != (want != "") {
			t.Errorf("%q: did %q, %v", arg, did, err)
		}
	}
}

// A value that can never work is said at once, and nothing is waited for.
func TestFormsOfVariables(t *testing.T) {
	type config struct {
		Base
		For     time.Duration `env:"FOR" doc:"how long"`
		Share   float64       `env:"SHARE" doc:"how much"`
		Token   int           `env:"TOKEN" secret:"true" doc:"opens it"`
		Shops   []string      `env:"SHOPS" form:"http" doc:"others"`
		Courier string        `env:"COURIER" form:"http" doc:"who brings it"`
	}
	right := map[string]string{"POSTGRES_URL": "postgres://x", "KAFKA_BROKERS": "a:1", "NATS_URL": "nats://a:4222"}
	load := func(name, value string) string {
		vars := maps.Clone(right)
		vars[name] = value
		_, err := Load[config](vars)
		if err == nil {
			return ""
		}
		return strings.TrimPrefix(err.Error(), "configuration: ")
	}
	for name, values := range map[string][]string{
		"LISTEN": {":8080", "127.0.0.1:0", "[::1]:80", ""}, "KAFKA_BROKERS": {"a:1,b:2", "10.0.0.1:9092"}, "TEMPORAL_ADDRESS": {"temporal.example:7233"},
		"NATS_URL": {"nats://a", "tls://u:p@a:4222", "ws://a:80"}, "POSTGRES_POOL": {"1"}, "OPERATOR_OPEN": {"true", "false"}, "BUS_DRIVER": {"franz", "watermill-kafka"},
		"FOR": {"0s", "1h30m"}, "SHARE": {"0.5"}, "SHOPS": {"https://a.example,http://b:1"}, "COURIER": {"http://a:1", "https://a.example/x"},
	} {
		for _, value := range values {
			if got := load(name, value); got != "" {
				t.Errorf("%s=%s: %s", name, value, got)
			}
		}
	}
	for name, values := range map[string][]string{
		"LISTEN": {"8080", "x:y", ":99999", "a b:1", ":+1"}, "KAFKA_BROKERS": {"a", "a:1,b", "a:1, b:2", "kafka://a:1", "a:"}, "TEMPORAL_ADDRESS": {"a", "http://a:1"},
		"NATS_URL": {"a:4222", "http://a", "nats://", "x y"}, "POSTGRES_POOL": {"0", "-1", "x", "1.5"}, "OPERATOR_OPEN": {"yes please"}, "BUS_DRIVER": {"sarama"},
		"FOR": {"5", "1 h", "x"}, "SHARE": {"half"}, "SHOPS": {"https://a.example,b"}, "COURIER": {"a:1", "ftp://a", "http://", "http://a b"},
	} {
		for _, value := range values {
			if got := load(name, value); !strings.HasPrefix(got, name+" must be ") || !strings.Contains(got, strconv.Quote(value)) || strings.Count(got, " must be ") != 1 {
				t.Errorf("%s=%s: %q, want one sentence that names the variable and its value", name, value, got)
			}
		}
	}
	for _, value := range []string{"x", "mysql://u:hunter2@a", "postgres://u:hunter2@a:b/c"} {
		if got := load("POSTGRES_URL", value); !strings.HasPrefix(got, "POSTGRES_URL must be postgres://") || strings.Contains(got, "hunter2") {
			t.Errorf("POSTGRES_URL=%s: %q", value, got)
		}
	}
	if got := load("TOKEN", "hunter2"); !strings.HasPrefix(got, "TOKEN must be a whole number (") {
		t.Errorf("a secret that is wrong: %q", got)
	}
}

func TestHealthcheck(t *testing.T) {
	ready := http.StatusServiceUnavailable
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(ready)
		fmt.Fprint(w, r.URL.Path, " says no oil")
	}))
	defer srv.Close()
	_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
	if err := healthcheck(t.Context(), ":"+port); err == nil || !strings.Contains(err.Error(), "/readyz says no oil") {
		t.Errorf("not ready: %v", err)
	}
	ready = http.StatusOK
	if err := healthcheck(t.Context(), "0.0.0.0:"+port); err != nil {
		t.Errorf("ready: %v", err)
	}
	srv.Close()
	if err := healthcheck(t.Context(), ":"+port); err == nil {
		t.Error("nobody there is healthy")
	}
	for _, listen := range []string{"", "127.0.0.1:0", "127.0.0.1"} {
		if err := healthcheck(t.Context(), listen); err == nil || !strings.Contains(err.Error(), "LISTEN") {
			t.Errorf("%q: %v, want it to say what LISTEN must be", listen, err)
		}
	}
}

func TestInternalCalls(t *testing.T) {
	a := httpapi.New("x", httpapi.Config{Log: quiet})
	HandleInternal(a, nil,
		func(_ context.Context, id string) (Trail, error) { return Trail{Items: []TrailItem{{Name: id}}}, nil },
		func(context.Context) (figures.Report, error) { return figures.Report{}, nil },
		func(_ context.Context, name string, bucket int) (figures.Items, error) {
			if name != "orders" || bucket < 0 || bucket >= figures.Buckets {
				t.Errorf("asked for %s %d", name, bucket)
			}
			return figures.Items{}, nil
		})
	for path, want := range map[string]int{
		"/internal/trail/ord_1": 200, "/internal/figures": 200, "/internal/figures/orders/0": 200, "/internal/figures/orders/63": 200,
		"/internal/figures/orders/64": 404, "/internal/figures/orders/-1": 404, "/internal/figures/orders/x": 404, "/internal/trail/": 404,
	} {
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != want || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s: %d %s, want %d", path, w.Code, w.Body, want)
		}
	}
}
