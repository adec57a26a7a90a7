package fault_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/fault"
)

var quiet = slog.New(slog.DiscardHandler)

// A process of its own that is to be killed at a point.
func TestMain(m *testing.M) {
	if spec := os.Getenv("FAULTS"); spec != "" {
		p, err := fault.FromEnv(spec, quiet)
		if err != nil {
			panic(err)
		}
		defer os.Stdout.WriteString("deferred\n") // of which a kill lets nothing happen
		for range 3 {
			os.Stdout.WriteString("passing\n")
			if err := p.At(context.Background(), fault.CommitAfter, "ord_1"); err != nil {
				panic(err)
			}
		}
		return
	}
	os.Exit(m.Run())
}

func TestOffCostsNothing(t *testing.T) {
	var off *fault.Points
	ctx := t.Context()
	key := strings.Repeat("k", 10)
	if n := testing.AllocsPerRun(100, func() {
		if err := off.At(ctx, fault.CommitBefore, key, "name"); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("a point that is off allocates %g times", n)
	}
	if off.Armed() != nil || off.Passed(fault.CommitBefore) != 0 {
		t.Error("points that are off know of something")
	}
	if _, err := off.Arm(fault.Fault{Point: fault.CommitBefore, Kind: fault.Fail}); err == nil {
		t.Error("armed, though off")
	}
	for _, v := range []string{"", "off", " off "} {
		if p, err := fault.FromEnv(v, quiet); p != nil || err != nil {
			t.Errorf("FAULTS=%q: %v, %v, want it off", v, p, err)
		}
	}
}

// What fires at each of six passings, three with each key.
func TestWhatFiresWhen(t *testing.T) {
	cases := map[string]struct {
		spec string
		want string // passings of a, b, a, b, a, b: x where it fires
	}{
		"on, with nothing armed":           {"on", "......"},
		"every time":                       {"mail.before=error", "xxxxxx"},
		"once":                             {"mail.before=error times=1", "x....."},
		"the third time":                   {"mail.before=error from=3 times=1", "..x..."},
		"from the third time on":           {"mail.before=error from=3", "..xxxx"},
		"for a key":                        {"mail.before=error key=b", ".x.x.x"},
		"a key's second time":              {"mail.before=error key=b from=2 times=1", "...x.."},
		"at another point":                 {"mail.after=error", "......"},
		"two of them":                      {"mail.before=error key=a times=1; mail.before=error key=b times=2;", "xx.x.."},
		"one does not use the other up":    {"mail.before=error times=2; mail.before=error times=1", "xxx..."},
		"an exhausted one hides no other":  {"mail.before=error times=1; mail.before=error from=4", "x..xxx"},
		"by another key of the same place": {"mail.before=error key=kind", "xxxxxx"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			p, err := fault.FromEnv(tc.spec, quiet)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, key := range []string{"a", "b", "a", "b", "a", "b"} {
				err := p.At(t.Context(), fault.MailBefore, key, "kind")
				var injected *fault.Error
				switch {
				case err == nil:
					got += "."
				case errors.As(err, &injected) && injected.Point == fault.MailBefore && injected.Keys[0] == key:
					got += "x"
				default:
					t.Fatalf("the error is %v", err)
				}
			}
			if got != tc.want {
				t.Errorf("fires at %s, want %s", got, tc.want)
			}
			if n := p.Passed(fault.MailBefore); n != 6 {
				t.Errorf("passed %d times, want 6", n)
			}
		})
	}
}

func TestWrongFaultsAreNamed(t *testing.T) {
	for spec, want := range map[string]string{
		"yes":                                  "not name=value",
		"no.such.point=error":                  "there is no point \"no.such.point\"; there are: commit.before,",
		"mail.before=fail":                     "not \"fail\"",
		"mail.before=delay":                    "needs a duration",
		"mail.before=delay for=long":           "for=long",
		"mail.before=delay for=-1s":            "negative",
		"mail.before=error for=1s":             "only a delay or a block",
		"mail.before=error times=-1":           "negative",
		"mail.before=error from=x":             "from=x",
		"mail.before=error at=3":               "key, from, times and for",
		"mail.before=error; mail.after=error2": "mail.after",
	} {
		if _, err := fault.FromEnv(spec, quiet); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "FAULTS") {
			t.Errorf("%s: %v, want it to say %s", spec, err, want)
		}
	}
}

func TestBlock(t *testing.T) {
	p := fault.New(quiet)
	arm := func(f fault.Fault) *fault.Armed {
		f.Point, f.Kind = fault.AckBefore, fault.Block
		a, err := p.Arm(f)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	t.Run("until it is disarmed", func(t *testing.T) {
		a := arm(fault.Fault{})
		through := make(chan error, 2)
		for range 2 {
			go func() { through <- p.At(context.Background(), fault.AckBefore) }()
		}
		<-a.Fired()
		select {
		case err := <-through:
			t.Fatalf("it is through: %v", err)
		default:
		}
		a.Disarm()
		a.Disarm()
		for range 2 {
			if err := <-through; err != nil {
				t.Error(err)
			}
		}
		if err := p.At(t.Context(), fault.AckBefore); err != nil || len(p.Armed()) != 0 {
			t.Errorf("disarmed, it is still there: %v", err)
		}
	})
	t.Run("until the context ends", func(t *testing.T) {
		a := arm(fault.Fault{})
		defer a.Disarm()
		ctx, cancel := context.WithCancel(t.Context())
		through := make(chan error, 1)
		go func() { through <- p.At(ctx, fault.AckBefore) }()
		<-a.Fired()
		cancel()
		if err := <-through; !errors.Is(err, context.Canceled) {
			t.Errorf("the error is %v", err)
		}
	})
	t.Run("until its time is over", func(t *testing.T) {
		a := arm(fault.Fault{For: time.Millisecond})
		defer a.Disarm()
		if err := p.At(t.Context(), fault.AckBefore); err != nil || a.Fires() != 1 {
			t.Errorf("%v after %d fires", err, a.Fires())
		}
	})
}

func TestDelayEndsWithTheContext(t *testing.T) {
	p, err := fault.FromEnv("courier.before=delay for=1h", quiet)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-p.Armed()[0].Fired(); cancel() }()
	if err := p.At(ctx, fault.CourierBefore); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
}

func TestPanic(t *testing.T) {
	var log bytes.Buffer
	p, err := fault.FromEnv("activity.before=panic key=ord_1", slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if e, ok := recover().(*fault.Error); !ok || e.Point != fault.ActivityBefore {
			t.Errorf("panics with %v", e)
		}
		if got := log.String(); !strings.Contains(got, "activity.before") || !strings.Contains(got, "ord_1") {
			t.Errorf("the log says %q", got)
		}
	}()
	t.Errorf("goes on: %v", p.At(t.Context(), fault.ActivityBefore, "ord_1", "inventory.reserve"))
}

// Nothing of the process happens after a kill.
func TestKill(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "FAULTS=commit.after=kill from=2 key=ord_1")
	out, err := cmd.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("the process ended with %v", err)
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Errorf("ended by %v, want a kill", exit)
	}
	if got := string(out); got != "passing\npassing\n" {
		t.Errorf("it did %q, want two passings", got)
	}
}

// In a program of several services a kill may be something else. What was killed
// does not go on.
func TestWithKill(t *testing.T) {
	killed := make(chan struct{})
	p := fault.New(quiet, fault.WithKill(func() { close(killed) }))
	if _, err := p.Arm(fault.Fault{Point: fault.ProduceAfter, Kind: fault.Kill, Times: 1}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-killed; cancel() }()
	if err := p.At(ctx, fault.ProduceAfter); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
}

func TestAtTheSameTime(t *testing.T) {
	p, err := fault.FromEnv("job.before=error times=10", quiet)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	failed := make(chan error, 100)
	for range 100 {
		wg.Go(func() {
			if err := p.At(t.Context(), fault.JobBefore); err != nil {
				failed <- err
			}
		})
	}
	wg.Wait()
	if n := len(failed); n != 10 || p.Armed()[0].Fires() != 10 {
		t.Errorf("fired %d times, want 10", n)
	}
}
