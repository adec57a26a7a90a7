package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
)

// failure is a message that is given up: it goes to the dead letters.
type failure struct {
	reason   Reason
	attempts int
	err      error
}

func (f *failure) Error() string {
	return fmt.Sprintf("%s after %d attempts: %v", f.reason, f.attempts, f.err)
}
func (f *failure) Unwrap() error { return f.err }

type panicked struct{ value any }

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

const (
	backoffMax     = 2 * time.Second // between attempts of a failing handler
	unavailableMax = 5 * time.Second // between looks at something that is away
)

// attempt calls fn until it succeeds, has failed so many times (*failure), or
// its message is no longer ours to wait with: ctx ends or the router stops.
// Something that is unavailable is waited for and counts as no attempt. It is
// logged once when a consumer begins to wait and once when all is there again,
// and no further messages of the partition are begun meanwhile.
func (r *router) attempt(ctx context.Context, attempts int, fn func() error) error {
	failed, away := 0, 0
	goOn := func() {}
	defer func() { goOn() }()
	for {
		err := fn()
		if err != nil && ctx.Err() != nil {
			return err // cancelled in the middle: it says nothing about the message
		}
		unavailable := IsUnavailable(err)
		if away > 0 && !unavailable {
			goOn()
			away, goOn = 0, func() {}
		}
		var pause time.Duration
		var f *failure
		switch {
		case err == nil, errors.As(err, &f): // decided already
			return err
		case unavailable:
			if away == 0 {
				goOn = r.await(ctx, err)
			}
			away++
			pause = min(r.cfg.Backoff<<min(away-1, 10), unavailableMax)
		case errors.Is(err, events.ErrUndecodable):
			return &failure{Undecodable, failed + 1, err}
		default:
			if failed++; failed >= attempts {
				return &failure{reasonOf(err), failed, err}
			}
			r.log.WarnContext(ctx, "handler failed; trying again", "attempt", failed, "error", err)
			pause = min(r.cfg.Backoff<<min(failed-1, 10), backoffMax)
		}
		if !r.pause(ctx, pause) {
			return err
		}
	}
}

// await notes that a message waits for something that is away, until goOn is
// called.
func (r *router) await(ctx context.Context, err error) (goOn func()) {
	release := hold(ctx)
	r.waits(ctx, 1)
	if r.waiting.Add(1) == 1 {
		r.log.WarnContext(ctx, "waiting for something that is away", "error", err)
	}
	return func() {
		if r.waiting.Add(-1) == 0 {
			r.log.InfoContext(ctx, "nothing is waited for any more")
		}
		r.waits(ctx, -1)
		release()
	}
}

func reasonOf(err error) Reason {
	var p *panicked
	if errors.As(err, &p) {
		return Panicked
	}
	return Failed
}

// pause waits; false when ctx ends or the router stops first.
func (r *router) pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-r.stopping.Done():
	}
	return false
}
