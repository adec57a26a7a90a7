package questions

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// limit is how long a test waits for what must come.
const limit = 20 * time.Second

var echo = Question[string, string]{"echo"}

func startNATS(t *testing.T) (*natsserver.Server, *nats.Conn) {
	t.Helper()
	srv, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(limit) {
		t.Fatal("NATS did not start")
	}
	return srv, connect(t, srv)
}

func connect(t *testing.T, srv *natsserver.Server) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(srv.ClientURL(), nats.ReconnectBufSize(-1)) // as a service does
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// answer serves echo on a connection of its own, which ends as soon as Answer
// does, as in a service. It returns when NATS knows of it. The function that it
// returns stops it.
func answer(t *testing.T, srv *natsserver.Server, fn func(context.Context, string) (string, error)) func() {
	t.Helper()
	nc, before, left := connect(t, srv), srv.NumSubscriptions(), make(chan struct{})
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		defer close(left)
		if err := Answer(ctx, nc, slog.New(slog.DiscardHandler), echo, "echoes", fn); err != nil {
			t.Error(err)
		}
		nc.Close()
	}()
	leave := func() { stop(); <-left }
	t.Cleanup(leave)
	for end := time.Now().Add(limit); srv.NumSubscriptions() == before; _ = nc.Flush() {
		if time.Now().After(end) {
			t.Fatal("nobody listens")
		}
	}
	return leave
}

func TestWhatTheAskerHears(t *testing.T) {
	srv, nc := startNATS(t)
	answer(t, srv, func(ctx context.Context, q string) (string, error) {
		switch q {
		case "refuse":
			return "ignored", fmt.Errorf("look up: %w", &Error{NotFound, "no such order"})
		case "fail":
			return "", errors.New("password=hunter2 does not open the database")
		case "panic":
			panic("password=hunter2")
		case "too much":
			return strings.Repeat("x", 2<<20), nil
		case "nested": // a slow question holds up no other
			return Ask(ctx, nc, echo, q+" echo")
		}
		return q, nil
	})
	failed := &Error{Internal, "the answerer failed; ask again"} // the secrets stay there
	for _, c := range []struct {
		ask, want string
		refusal   *Error
	}{
		{"hello", "hello", nil}, {"", "", nil}, {"nested", "nested echo", nil}, {"refuse", "", &Error{NotFound, "no such order"}},
		{"fail", "", failed}, {"panic", "", failed}, {"too much", "", failed}, {"still there?", "still there?", nil},
	} {
		got, err := Ask(t.Context(), nc, echo, c.ask)
		var e *Error
		if errors.As(err, &e); got != c.want || (err == nil) != (c.refusal == nil) || err != nil && (e == nil || *e != *c.refusal) {
			t.Errorf("%q: %q, %v, want %q, %v", c.ask, got, err, c.want, c.refusal)
		}
	}
	for _, body := range []string{``, `{`, `{"a":1}`, `"one" "two"`, "\xff"} { // what others may send
		msg, err := nc.Request(echo.Subject, []byte(body), limit)
		if err != nil || !strings.HasPrefix(string(msg.Data), `{"error":{"code":"bad_request"`) {
			t.Errorf("request %q: %v, %+v, want bad_request", body, err, msg)
		}
	}
	// It fits no more the next time, so nobody may be told to ask again.
	if _, err := Ask(t.Context(), nc, echo, strings.Repeat("x", 2<<20)); err == nil || errors.Is(err, ErrUnavailable) {
		t.Errorf("a request that is too big: %v, want an error that is for good", err)
	}
}

func TestNobodyAnswers(t *testing.T) {
	srv, nc := startNATS(t)
	expect := func(ctx context.Context, what string, cause error) {
		t.Helper()
		if _, err := Ask(ctx, nc, echo, "hello"); !errors.Is(err, ErrUnavailable) || !errors.Is(err, cause) {
			t.Errorf("%s: %v, want ErrUnavailable because %v", what, err, cause)
		}
	}
	expect(t.Context(), "nobody there", nats.ErrNoResponders)
	ctx, cancel := context.WithCancel(t.Context())
	heard := make(chan struct{})
	leave := answer(t, srv, func(context.Context, string) (string, error) { cancel(); <-heard; return "late", nil })
	expect(ctx, "the asker has gone", context.Canceled)
	close(heard)
	leave()
	expect(t.Context(), "nobody there any more", nats.ErrNoResponders)
	noticed := nc.StatusChanged(nats.RECONNECTING)
	srv.Shutdown()
	srv.WaitForShutdown()
	<-noticed
	expect(t.Context(), "NATS away", nats.ErrReconnectBufExceeded)
}

func TestAnAnswerOfOthers(t *testing.T) {
	_, nc := startNATS(t)
	for i, body := range []string{``, `{}`, `null`, `{"answer":null}`, `{"answer":7}`, `pong`} {
		subject := fmt.Sprint("other.", i)
		if _, err := nc.Subscribe(subject, func(m *nats.Msg) { _ = m.Respond([]byte(body)) }); err != nil {
			t.Fatal(err)
		}
		var e *Error
		if got, err := Ask(t.Context(), nc, Question[string, string]{subject}, "ping"); err == nil || errors.Is(err, ErrUnavailable) || errors.As(err, &e) {
			t.Errorf("%q: %q, %v, want an error that no repeat would heal", body, got, err)
		}
	}
}

// One of two replicas stops while both work: every question is answered, once.
func TestAReplicaLeavesAndNoQuestionIsLost(t *testing.T) {
	srv, nc := startNATS(t)
	const askers, each = 8, 50
	var calls atomic.Int64
	work := func(ctx context.Context, q string) (string, error) {
		calls.Add(1)
		for range 20 { // what it does takes a while
			_ = nc.Flush()
		}
		return q, ctx.Err() // what was begun is not called off
	}
	busy := make(chan struct{}, askers*each)
	answer(t, srv, work)
	leave := answer(t, srv, func(ctx context.Context, q string) (string, error) {
		busy <- struct{}{}
		return work(ctx, q)
	})
	var asking sync.WaitGroup
	for range askers {
		asking.Go(func() {
			for i := range each {
				ctx, cancel := context.WithTimeout(context.Background(), limit)
				if got, err := Ask(ctx, nc, echo, fmt.Sprint(i)); err != nil || got != fmt.Sprint(i) {
					t.Errorf("question %d: %q, %v", i, got, err)
				}
				cancel()
			}
		})
	}
	for range 20 {
		<-busy
	}
	leave()
	asking.Wait()
	if calls.Load() != askers*each {
		t.Errorf("%d questions were handled %d times", askers*each, calls.Load())
	}
}
