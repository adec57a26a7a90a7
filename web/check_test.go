package web

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Who asks gets figures that were read after the call, or as old as may be; who
// asks at the same time shares them.
func TestChecksAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var readings atomic.Int64
		c := newChecks(func(context.Context) []Invariant {
			readings.Add(1)
			time.Sleep(time.Second) // of the bubble
			return []Invariant{{Name: "stock adds up", Holds: true}}
		}, time.Now)
		ask := func(maxAge time.Duration) Check {
			asked := time.Now()
			got, err := c.get(t.Context(), maxAge)
			if err != nil || len(got.Items) != 1 || got.CheckedAt.Before(asked.Add(-maxAge)) {
				t.Errorf("asked at %s for at most %s: %+v, %v", asked, maxAge, got, err)
			}
			return got
		}
		want := func(n int64) {
			t.Helper()
			if got := readings.Load(); got != n {
				t.Errorf("%d readings, want %d", got, n)
			}
		}
		if first := ask(0); first.Took != 1000 || first.At.Sub(first.CheckedAt) != time.Second {
			t.Errorf("the first is %+v, want one that took a second", first)
		}
		want(1)
		ask(4 * time.Second)
		want(1)
		ask(0)
		want(2)
		time.Sleep(10 * time.Second)
		ask(4 * time.Second)
		want(3)

		time.Sleep(10 * time.Second)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { ask(0) })
		}
		wg.Wait()
		want(4) // all had asked when it began
	})
}
