package analytics

import (
	"math"
	"testing"
	"time"
)

// minutes are closed windows, a minute each, oldest first, of these means.
func minutes(means ...float64) []Window {
	list := make([]Window, len(means))
	for i, m := range means {
		list[i] = Window{Start: noon.Add(time.Duration(i) * time.Minute), Count: 2, Min: m - 1, Max: m + 1, Sum: 2 * m, Revision: 1}
	}
	return list
}

// around gives means that sway about a middle, with the last ones as given.
func around(middle float64, n int, last ...float64) []float64 {
	means := make([]float64, n)
	for i := range means {
		means[i] = middle + 0.1*float64(i%5-2)
	}
	return append(means, last...)
}

// What is unusual about a sensor's newest minute.
// The means of around() sway by 0.1, so that 8 times 1.4826 of that is too far.
func TestDetect(t *testing.T) {
	for _, tc := range []struct {
		name  string
		zone  string
		means []float64
		rule  string // empty: all is well
		limit float64
	}{
		{"no minutes", "chilled", nil, "", 0},
		{"a cold room", "chilled", []float64{2, 2, 2}, "", 0},
		{"a cold room at its limit", "chilled", []float64{8, 8, 8}, "", 0},
		{"a cold room above it", "chilled-2", []float64{8.1, 8.1, 8.1}, "too_warm", 8},
		{"a cold room above it for two minutes", "cold-room-3", []float64{2, 9, 9}, "", 0},
		{"a cold room that has recovered", "cold-room-3", []float64{9, 9, 9, 2}, "", 0},
		{"a cold room that was opened in between", "cold-room-3", []float64{9, 9, 7, 9}, "", 0},
		{"a freezer", "frozen", []float64{-18, -18, -18}, "", 0},
		{"a freezer that thaws", "freezer-1", []float64{-11, -11, -11}, "too_warm", -12},
		{"a warm room", "bench", []float64{30, 30, 30}, "", 0},

		{"a jump", "bench", around(20, 20, 22), "unusual", 21.186},
		{"a fall", "bench", around(20, 20, 18), "unusual", 18.814},
		{"a step within what is usual", "bench", around(20, 20, 20.7), "", 0},
		{"too little is known", "bench", around(20, 19, 40), "", 0},
		{"a sensor that never moves", "bench", append(make([]float64, 30), 0.3), "", 0},
		{"a sensor that never moves, and then does", "bench", append(make([]float64, 30), 0.5), "unusual", 0.4},
		{"an anomaly does not make the next one usual", "bench", around(20, 20, 90, 90, 90), "unusual", 21.186},
		{"too warm comes first", "chilled", around(2, 20, 20, 20, 20), "too_warm", 8},
	} {
		t.Run(tc.name, func(t *testing.T) {
			list := minutes(tc.means...)
			a := detect(tc.zone, "C", list)
			if tc.rule == "" {
				if a != nil {
					t.Errorf("found %+v, want nothing", a)
				}
				return
			}
			newest := list[len(list)-1]
			if a == nil || a.Rule != tc.rule || a.Value != newest.Mean() || !a.At.Equal(newest.End()) || a.Detail == "" || a.Severity == "" {
				t.Fatalf("found %+v, want %s", a, tc.rule)
			}
			if math.Abs(a.Limit-tc.limit) > 0.005 {
				t.Errorf("the limit is %g, want %g", a.Limit, tc.limit)
			}
		})
	}
}

func TestMedian(t *testing.T) {
	for _, tc := range []struct {
		values []float64
		want   float64
	}{{[]float64{1}, 1}, {[]float64{3, 1}, 2}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 3, 2}, 2.5}} {
		kept := append([]float64{}, tc.values...)
		if got := median(tc.values); got != tc.want || kept[0] != tc.values[0] {
			t.Errorf("median(%v) = %g, want %g and them left as they are", kept, got, tc.want)
		}
	}
}
