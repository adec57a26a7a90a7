package analytics

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
)

var background = context.Background() // of what a rapid.T does, which has none

// aggregate is the model of a window: its readings one by one, in the order of
// their times.
func aggregate(start time.Time, samples []Sample) Window {
	sorted := slices.SortedFunc(slices.Values(samples), func(a, b Sample) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Value, b.Value)) })
	w := Window{Start: start, Min: sorted[0].Value, Max: sorted[0].Value}
	for _, s := range sorted {
		w.Count++
		w.Min, w.Max, w.Sum = min(w.Min, s.Value), max(w.Max, s.Value), w.Sum+s.Value
		w.Last, w.LastAt = s.Value, s.At
	}
	return w
}

// model is what is to become of a device's frames.
type model struct {
	readings map[time.Time][]Sample // by minute
	revision map[time.Time]int
	newest   time.Time
	frames   map[int64]bool
}

func newModel() *model {
	return &model{map[time.Time][]Sample{}, map[time.Time]int{}, time.Time{}, map[int64]bool{}}
}

// batch takes each frame once. A minute that was closed and has new readings is
// told again; one that the sensor has left behind is closed.
func (m *model) batch(frames []Frame) {
	touched := map[time.Time]bool{}
	for _, f := range frames {
		if m.frames[f.Number] {
			continue
		}
		m.frames[f.Number] = true
		for _, s := range f.Samples {
			s.At = s.At.Truncate(time.Microsecond)
			start := s.At.Truncate(time.Minute)
			m.readings[start] = append(m.readings[start], s)
			touched[start] = true
			if s.At.After(m.newest) {
				m.newest = s.At
			}
		}
	}
	for start := range m.readings {
		switch {
		case m.revision[start] > 0 && touched[start]:
			m.revision[start]++
		case m.revision[start] == 0 && !m.newest.Before(start.Add(65*time.Second)):
			m.revision[start] = 1
		}
	}
}

// fallSilent closes what is open.
func (m *model) fallSilent() {
	for start := range m.readings {
		m.revision[start] = max(m.revision[start], 1)
	}
}

func (m *model) windows() map[time.Time]Window {
	out := map[time.Time]Window{}
	for start, samples := range m.readings {
		w := aggregate(start, samples)
		w.Revision = m.revision[start]
		out[start] = w
	}
	return out
}

// readings draws samples of some minutes. Values are quarters, whose sums are
// exact in any order; some times are the same, and some as fine as a Go clock.
func readings() *rapid.Generator[Sample] {
	return rapid.Custom(func(t *rapid.T) Sample {
		at := noon.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "x10s")) * 10 * time.Second)
		if rapid.Bool().Draw(t, "fine") {
			at = at.Add(time.Duration(rapid.Int64Range(0, 9_999_999_999).Draw(t, "ns")))
		}
		return Sample{at, float64(rapid.IntRange(-80, 80).Draw(t, "quarters")) / 4}
	})
}

func sameWindows(t tb, what string, got, want map[time.Time]Window) {
	t.Helper()
	for _, start := range slices.SortedFunc(maps.Keys(want), time.Time.Compare) {
		if g, ok := got[start]; !ok || g.brief() != want[start].brief() {
			t.Errorf("%s: %s\nwant %s", what, g.brief(), want[start].brief())
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: %d minutes, want %d", what, len(got), len(want))
	}
}

// Parts of windows may come in any order and grouping.
func TestAnyGroupingOfReadingsGivesTheSameWindows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		samples := rapid.SliceOfN(readings(), 1, 60).Draw(t, "samples")
		want := map[time.Time]Window{}
		for _, s := range samples {
			start := s.At.Truncate(time.Minute)
			if _, ok := want[start]; !ok {
				want[start] = aggregate(start, slices.DeleteFunc(slices.Clone(samples), func(s Sample) bool { return !s.At.Truncate(time.Minute).Equal(start) }))
			}
		}
		var parts []Window
		for rest := rapid.Permutation(samples).Draw(t, "order"); len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "group")
			of := windowsOf(rest[:n])
			if !slices.IsSortedFunc(of, func(a, b Window) int { return a.Start.Compare(b.Start) }) {
				t.Fatalf("windows are not oldest first: %v", of)
			}
			parts, rest = append(parts, of...), rest[n:]
		}
		got := map[time.Time]Window{}
		for _, p := range rapid.Permutation(parts).Draw(t, "parts") {
			got[p.Start] = got[p.Start].merge(p)
		}
		sameWindows(t, "merged", got, want)
	})
}

var runs atomic.Int64

// A device's frames come in the order of their numbers, each any number of times
// again later, with readings as late as may be, in batches of any size. After
// each batch the minutes are what the sorted readings give, and what was told of
// a minute, by its highest revision, is what the table has.
func TestWindowsAgainstTheModel(t *testing.T) {
	s := open(t)
	rapid.Check(t, func(t *rapid.T) {
		d := s.device(Sensor{"lab", "bench", fmt.Sprint("probe-", runs.Add(1))})
		d.now = noon.Add(7 * time.Minute)
		m := newModel()
		sent := make([]Frame, rapid.IntRange(1, 12).Draw(t, "frames"))
		var stream []Frame
		for i := range sent {
			sent[i] = d.frame(int64(i+1), rapid.SliceOfN(readings(), 1, 8).Draw(t, "samples")...)
			stream = append(stream, sent[i])
			for range rapid.IntRange(0, 2).Draw(t, "repeats") {
				stream = append(stream, sent[rapid.IntRange(0, i).Draw(t, "repeated")])
			}
		}
		for len(stream) > 0 {
			n := rapid.IntRange(1, len(stream)).Draw(t, "batch")
			d.send(t, stream[:n]...)
			m.batch(stream[:n])
			sameWindows(t, "after a batch", d.minutes(t), m.windows())
			stream = stream[n:]
		}
		d.now = d.now.Add(time.Hour)
		d.send(t)
		m.fallSilent()
		sameWindows(t, "in the end", d.minutes(t), m.windows())
		sameTold(t, told[events.TelemetryAggregated](t, s, d.sensor.ID()), m.windows())
	})
}

// sameTold checks that each revision of a minute was told once, in order, and
// that the newest is the minute.
func sameTold(t tb, facts []events.TelemetryAggregated, want map[time.Time]Window) {
	t.Helper()
	newest := map[time.Time]events.TelemetryAggregated{}
	for _, f := range facts {
		if f.Revision != newest[f.WindowStart].Revision+1 {
			t.Errorf("%s: revision %d after %d", f.WindowStart, f.Revision, newest[f.WindowStart].Revision)
		}
		newest[f.WindowStart] = f
	}
	for start, w := range want {
		f := newest[start]
		if f.Revision != w.Revision || f.Count != w.Count || f.Min != w.Min || f.Max != w.Max || f.Sum != w.Sum || f.Last != w.Last || f.Mean != w.Sum/float64(w.Count) || !f.WindowEnd.Equal(start.Add(time.Minute)) {
			t.Errorf("told %+v\nwant %s", f, w.brief())
		}
	}
	if len(newest) != len(want) {
		t.Errorf("told of %d minutes, want %d", len(newest), len(want))
	}
}

// What is known of the first minutes after some batches, one a line.
func TestWindows(t *testing.T) {
	s := open(t)
	for _, tc := range []struct {
		name    string
		batches [][]Frame
		want    string // count:sum:last, and revision
	}{
		{"open until the sensor is 5 s past the end", [][]Frame{{{1, "C", []Sample{read(0, 1), read(59.9, 2), read(64.9, 8)}}}}, "2:3:2 r0, 1:8:8 r0"},
		{"closed from then on", [][]Frame{{{1, "C", []Sample{read(0, 1), read(59.9, 2), read(65, 8)}}}}, "2:3:2 r1, 1:8:8 r0"},
		{"a reading on the minute is the next one's", [][]Frame{{{1, "C", []Sample{read(59.999, 1), read(60, 2)}}}}, "1:1:1 r0, 1:2:2 r0"},
		{"late, and its minute still open", [][]Frame{{{1, "C", []Sample{read(30, 1), read(62, 8)}}}, {{2, "C", []Sample{read(31, 2)}}}}, "2:3:2 r0, 1:8:8 r0"},
		{"late, and its minute closed", [][]Frame{{{1, "C", []Sample{read(30, 1), read(70, 8)}}}, {{2, "C", []Sample{read(10, 2)}}}, {{3, "C", []Sample{read(40, 4)}}}}, "3:7:4 r3, 1:8:8 r0"},
		{"late twice in one batch is told once", [][]Frame{{{1, "C", []Sample{read(30, 1), read(70, 8)}}}, {{2, "C", []Sample{read(10, 2)}}, {3, "C", []Sample{read(40, 4)}}}}, "3:7:4 r2, 1:8:8 r0"},
		{"a minute that only late readings have", [][]Frame{{{1, "C", []Sample{read(70, 8)}}}, {{2, "C", []Sample{read(10, 2)}}}}, "1:2:2 r1, 1:8:8 r0"},
		{"a repeated frame", [][]Frame{{{1, "C", []Sample{read(1, 1)}}}, {{1, "C", []Sample{read(1, 1)}}}}, "1:1:1 r0"},
		{"a repeated frame in the same batch", [][]Frame{{{1, "C", []Sample{read(1, 1)}}, {1, "C", []Sample{read(1, 1)}}}}, "1:1:1 r0"},
		{"an old frame again", [][]Frame{{{1, "C", []Sample{read(1, 1)}}, {2, "C", []Sample{read(2, 2)}}}, {{1, "C", []Sample{read(1, 1)}}}}, "2:3:2 r0"},
		{"a repeat of a closed minute tells nothing", [][]Frame{{{1, "C", []Sample{read(1, 1), read(70, 8)}}}, {{1, "C", []Sample{read(1, 1), read(70, 8)}}}}, "1:1:1 r1, 1:8:8 r0"},
		{"a repeat as fine as a clock", [][]Frame{{{1, "C", []Sample{read(1.123456789, 1)}}}, {{1, "C", []Sample{read(1.123456789, 1)}}}}, "1:1:1 r0"},
		{"a device that was started anew", [][]Frame{{{8, "C", []Sample{read(1, 1)}}}, {{1, "C", []Sample{read(2, 2)}}}}, "2:3:2 r0"},
		{"two readings at one instant", [][]Frame{{{1, "C", []Sample{read(1, 4), read(1, 2)}}}}, "2:6:4 r0"},
		{"two readings at one instant, the other way", [][]Frame{{{1, "C", []Sample{read(1, 2)}}}, {{2, "C", []Sample{read(1, 4)}}}}, "2:6:4 r0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := s.device(Sensor{"lab", "bench", fmt.Sprint("table-", runs.Add(1))})
			for _, b := range tc.batches {
				d.send(t, b...)
			}
			got := ""
			for i, w := range sortedWindows(d.minutes(t)) {
				if i > 0 {
					got += ", "
				}
				got += fmt.Sprintf("%d:%g:%g r%d", w.Count, w.Sum, w.Last, w.Revision)
			}
			if got != tc.want {
				t.Errorf("minutes %s\nwant %s", got, tc.want)
			}
		})
	}
}

func sortedWindows(by map[time.Time]Window) []Window {
	return slices.SortedFunc(maps.Values(by), func(a, b Window) int { return a.Start.Compare(b.Start) })
}

// A sensor from which nothing comes does not keep its last minutes open, and
// what comes after all is told again.
func TestASilentSensorsMinutesClose(t *testing.T) {
	s := open(t)
	d, other := s.device(Sensor{"lab", "bench", "silent"}), s.device(Sensor{"lab", "bench", "other"})
	d.send(t, d.frame(1, read(1, 1)))
	minute := func() string { return sortedWindows(d.minutes(t))[0].brief() }
	for _, step := range []struct {
		after time.Duration
		want  string
	}{
		{silent, "12:00 1 of 1 to 1, sum 1, last 1 at 12:00:01, revision 0"},
		{time.Microsecond, "12:00 1 of 1 to 1, sum 1, last 1 at 12:00:01, revision 1"},
		{time.Hour, "12:00 1 of 1 to 1, sum 1, last 1 at 12:00:01, revision 1"},
	} {
		other.now = other.now.Add(step.after)
		other.send(t)
		if got := minute(); got != step.want {
			t.Errorf("%s: %s\nwant %s", other.now.Sub(noon), got, step.want)
		}
	}
	d.send(t, d.frame(2, read(2, 2)))
	if got, want := minute(), "12:00 2 of 1 to 2, sum 3, last 2 at 12:00:02, revision 2"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	sameTold(t, told[events.TelemetryAggregated](t, s, d.sensor.ID()), d.minutes(t))
}
