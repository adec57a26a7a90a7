package analytics

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

var background = context.Background() // of what a rapid.T does, which has none

var runs atomic.Int64

// What is known of the first minutes after some batches, one a line.
func TestWindows(t *testing.T) {
	s := open(t)
	for _, tc := range []struct {
		name    string
		batches [][]Frame
		want    string // count:sum:last, and revision
	}{
		{"a repeated frame", [][]Frame{{{1, "C", []Sample{read(1, 1)}}}, {{1, "C", []Sample{read(1, 1)}}}}, "1:1:1 r0"},
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

