package stack

import (
	"context"
	"testing"
	"time"
)

// How long a part may take to stop is what the caller says: a server of a test may
// have a last checkpoint to take, a shop that is told to stop has no time.
func TestStopTakesTheTimeThatItIsGiven(t *testing.T) {
	lock, err := openDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := &Stack{lock: lock, progress: ProgressFunc(func(Status) {}), status: map[Part]Status{}, stops: map[Part]func(context.Context) error{}}
	var got time.Time
	s.onStop(Postgres, func(ctx context.Context) error {
		got, _ = ctx.Deadline()
		return nil
	})
	want := time.Now().Add(time.Hour)
	ctx, cancel := context.WithDeadline(t.Context(), want)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if !got.Equal(want) {
		t.Errorf("a part may take until %v, want %v", got, want)
	}
}
