package analytics

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/cartwheel-shop/cartwheel/pkg/bus/bustest"
)

// follow reads the stream until the test, or the function that it returns, stops
// it.
func (w *tower) follow(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := w.readTelemetry(ctx); err != nil {
			t.Error(err)
		}
	})
	stop = func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return stop
}

// publish sends frames of one device as it does, one of each text.
func (w *tower) publish(t *testing.T, frames ...string) {
	t.Helper()
	js, err := jetstream.New(w.nats)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range frames {
		if _, err := js.Publish(t.Context(), "telemetry.lab.bench.probe", []byte(f)); err != nil {
			t.Fatal(err)
		}
	}
}

// taken waits until the stream is read up to a sequence number, and returns what
// is known of the device's minutes then.
func (w *tower) taken(t *testing.T, upTo uint64) string {
	t.Helper()
	bustest.Await(t, func() bool {
		at, err := w.store.streamPosition(t.Context())
		return err == nil && at == upTo
	}, "the stream to be read to %d", upTo)
	var out []string
	for _, m := range sortedWindows(w.store.device(Sensor{"lab", "bench", "probe"}).minutes(t)) {
		out = append(out, m.brief())
	}
	return strings.Join(out, "\n")
}

// Each frame of the stream counts once, also when the reader ends and another
// goes on; what is broken is counted and stops nobody; and a stream that was made
// anew is read from its beginning.
func TestTheStreamIsReadOnce(t *testing.T) {
	w := openTower(t)
	w.connect(t)
	if _, err := w.stream(t.Context()); err != nil {
		t.Fatal(err)
	}
	frame := func(number int64, s ...Sample) string {
		raw, err := json.Marshal(Frame{number, "C", s})
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	w.publish(t, frame(1, read(0, 1)), "broken", frame(2, read(1, 2)))
	stop := w.follow(t)
	if got, want := w.taken(t, 3), "12:00 2 of 1 to 2, sum 3, last 2 at 12:00:01, revision 0"; got != want || w.badFrames.Load() != 1 {
		t.Errorf("%s, %d broken; want %s and one", got, w.badFrames.Load(), want)
	}
	stop()
	w.publish(t, frame(2, read(1, 2)), frame(3, read(2, 4)))
	stop = w.follow(t)
	if got, want := w.taken(t, 5), "12:00 3 of 1 to 4, sum 7, last 4 at 12:00:02, revision 0"; got != want {
		t.Errorf("after another reader: %s, want %s", got, want)
	}
	stop()
	js, err := jetstream.New(w.nats)
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), Stream); err != nil {
		t.Fatal(err)
	}
	if _, err := w.stream(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.publish(t, frame(4, read(3, 8)))
	w.follow(t)
	if got, want := w.taken(t, 1), "12:00 4 of 1 to 8, sum 15, last 8 at 12:00:03, revision 0"; got != want {
		t.Errorf("after the stream was made anew: %s, want %s", got, want)
	}
}
