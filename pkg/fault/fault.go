package fault

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Kind is what happens at a point.
type Kind string

// The kinds.
const (
	Fail  Kind = "error" // the point returns an *Error
	Delay Kind = "delay" // For passes
	Block Kind = "block" // it stands still until it is disarmed, or for For
	Kill  Kind = "kill"  // the process ends at once, as by kill -9
	Panic Kind = "panic"
)

// Fault is something to go wrong.
type Fault struct {
	Point Point
	Kind  Kind
	Key   string        // fires only where this is one of the keys; empty: everywhere
	From  int           // the first passing that it fires at; 1 when 0
	Times int           // how often it fires; without end when 0
	For   time.Duration // of a Delay; of a Block the longest
}

// Error is what a point with a fault of kind Fail returns.
type Error struct {
	Point Point
	Keys  []string
}

func (e *Error) Error() string {
	return fmt.Sprintf("fault on purpose at %s %q", e.Point, e.Keys)
}

// Points are where faults are armed. The nil value is off.
type Points struct {
	log  *slog.Logger
	kill func()

	mu     sync.Mutex
	armed  []*Armed
	last   int
	passed map[Point]int
}

// Option changes Points.
type Option func(*Points)

// WithKill has faults of kind Kill call kill instead of ending the process. The
// point stands still afterwards, as a dead process does, until its context ends.
func WithKill(kill func()) Option { return func(p *Points) { p.kill = kill } }

// New returns points with nothing armed.
func New(log *slog.Logger, opts ...Option) *Points {
	p := &Points{log: log, kill: killProcess, passed: map[Point]int{}}
	for _, o := range opts {
		o(p)
	}
	return p
}

func killProcess() {
	if self, err := os.FindProcess(os.Getpid()); err != nil || self.Kill() != nil {
		os.Exit(137)
	}
	select {} // the signal is on its way
}

// Armed is a fault at its point.
type Armed struct {
	Fault
	ID string

	points   *Points
	matched  int // passings with its key
	fires    int
	fired    chan struct{} // closed by the first fire
	disarmed chan struct{}
}

// Arm arms a fault. An error says what is wrong with it.
func (p *Points) Arm(f Fault) (*Armed, error) {
	if p == nil {
		return nil, errors.New("faults are off: set FAULTS=on")
	}
	f.From = max(f.From, 1)
	if err := f.validate(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	a := &Armed{Fault: f, ID: strconv.Itoa(p.last), points: p, fired: make(chan struct{}), disarmed: make(chan struct{})}
	p.armed = append(p.armed, a)
	return a, nil
}

func (f Fault) validate() error {
	switch {
	case !known(f.Point):
		return fmt.Errorf("there is no point %q; there are: %s", f.Point, names())
	case !slices.Contains([]Kind{Fail, Delay, Block, Kill, Panic}, f.Kind):
		return fmt.Errorf("%s: a fault is error, delay, block, kill or panic, not %q", f.Point, f.Kind)
	case f.Times < 0:
		return fmt.Errorf("%s: times must not be negative, as %d is", f.Point, f.Times)
	case f.For < 0:
		return fmt.Errorf("%s: for must not be negative, as %s is", f.Point, f.For)
	case f.Kind == Delay && f.For == 0:
		return fmt.Errorf("%s: a delay needs a duration, such as for=2s", f.Point)
	case f.Kind != Delay && f.Kind != Block && f.For != 0:
		return fmt.Errorf("%s: only a delay or a block has a duration", f.Point)
	}
	return nil
}

// Fired is closed when the fault has fired for the first time; of a Block, when
// something stands at its point.
func (a *Armed) Fired() <-chan struct{} { return a.fired }

// Fires is how often it has fired.
func (a *Armed) Fires() int {
	a.points.mu.Lock()
	defer a.points.mu.Unlock()
	return a.fires
}

// Disarm takes the fault away and lets go on what stands at it. A second call
// does nothing.
func (a *Armed) Disarm() {
	p := a.points
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.armed, a); i >= 0 {
		p.armed = slices.Delete(p.armed, i, i+1)
		close(a.disarmed)
	}
}

// Armed lists what is armed, oldest first. A fault that has fired as often as it
// may stays until it is disarmed.
func (p *Points) Armed() []*Armed {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.armed)
}

// Passed is how often a point was passed.
func (p *Points) Passed(at Point) int {
	if p == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.passed[at]
}

// At is a point. Its error is what the effect that it stands for is to return.
func (p *Points) At(ctx context.Context, at Point, keys ...string) error {
	if p == nil {
		return nil
	}
	return p.at(ctx, at, keys)
}

func (p *Points) at(ctx context.Context, at Point, keys []string) error {
	a := p.match(at, keys)
	if a == nil {
		return nil
	}
	kept := append([]string(nil), keys...) // the caller's, of a point that is off, stay on its stack
	p.log.WarnContext(ctx, "fault on purpose", "point", string(at), "kind", string(a.Kind), "keys", kept)
	switch a.Kind {
	case Fail:
		return &Error{at, kept}
	case Panic:
		panic(&Error{at, kept})
	case Kill:
		p.kill()
		<-ctx.Done()
		return ctx.Err()
	}
	var over <-chan time.Time
	if a.For > 0 {
		timer := time.NewTimer(a.For)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-over:
	case <-a.disarmed:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// match counts a passing and returns the fault that fires, if one does.
func (p *Points) match(at Point, keys []string) *Armed {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.passed[at]++
	var fires *Armed
	for _, a := range p.armed {
		if a.Point != at || a.Key != "" && !slices.Contains(keys, a.Key) {
			continue
		}
		a.matched++
		if fires != nil || a.matched < a.From || a.Times > 0 && a.fires >= a.Times {
			continue
		}
		if a.fires++; a.fires == 1 {
			close(a.fired)
		}
		fires = a
	}
	return fires
}
