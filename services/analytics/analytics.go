package analytics

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Telemetry is measured in windows of a minute.
const window = time.Minute

// lateness is how far a sensor's clock must be past a window's end before the
// window closes.
const lateness = 5 * time.Second

// future is how far ahead of our clock a sample may be; what is further has a
// broken clock, and would close windows that are not over.
const future = 5 * time.Minute

// What a reading may be at most, so that whatever a broken device sends can be
// summed, stored and published.
const (
	mostSubject = 200 // bytes
	mostUnit    = 32  // bytes
	mostValue   = 1e12
)

// Sample is one reading.
type Sample struct {
	At    time.Time `json:"at"`
	Value float64   `json:"value"`
}

// later orders samples by time. Of two at the same instant the greater value is
// the later one, so that it does not matter which of them came first.
func later(a, b Sample) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Value, b.Value)) }

// Frame is what a device publishes to telemetry.<site>.<zone>.<device>.
type Frame struct {
	Number  int64    `json:"frame"` // counts up; a repeat has the same number
	Unit    string   `json:"unit"`
	Samples []Sample `json:"samples"`
}

// Sensor names a device and where it is.
type Sensor struct {
	Site, Zone, Device string
}

// ID is the sensor's key.
func (s Sensor) ID() string { return s.Site + "." + s.Zone + "." + s.Device }

// parseFrame reads a frame, or says why it is none. Broken frames are counted
// and dropped: a device that is broken must not stop the others.
func parseFrame(subject string, data []byte, now time.Time) (Sensor, Frame, error) {
	var f Frame
	parts := strings.Split(subject, ".")
	if len(parts) != 4 || slices.Contains(parts, "") || !isText(subject, mostSubject) {
		return Sensor{}, f, fmt.Errorf("the subject is not telemetry.<site>.<zone>.<device> in %d bytes", mostSubject)
	}
	sensor := Sensor{parts[1], parts[2], parts[3]}
	if err := json.Unmarshal(data, &f); err != nil {
		return sensor, f, fmt.Errorf("not JSON of a frame: %w", err)
	}
	if f.Number < 1 || len(f.Samples) == 0 {
		return sensor, f, errors.New("a frame has a number from 1 and at least one sample")
	}
	if !isText(f.Unit, mostUnit) {
		return sensor, f, fmt.Errorf("unit %.40q is not text of at most %d bytes", f.Unit, mostUnit)
	}
	for i, s := range f.Samples {
		if !(math.Abs(s.Value) <= mostValue) || s.At.Before(time.Unix(0, 0)) || s.At.After(now.Add(future)) {
			return sensor, f, fmt.Errorf("sample %v at %s is not a reading of this time", s.Value, s.At)
		}
		// As fine as Postgres keeps it: a repeat must not look newer than itself.
		f.Samples[i].At = s.At.UTC().Truncate(time.Microsecond)
	}
	return sensor, f, nil
}

// isText says whether Postgres takes s as a text.
func isText(s string, most int) bool {
	return len(s) <= most && utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
}

// Window is what is known of a sensor's minute.
type Window struct {
	Start         time.Time
	Count         int64
	Min, Max, Sum float64
	Last          float64
	LastAt        time.Time
	Revision      int // 0 while it is open
}

// End is when the window ends.
func (w Window) End() time.Time { return w.Start.Add(window) }

// Mean of the samples.
func (w Window) Mean() float64 { return w.Sum / float64(w.Count) }

// merge adds another part of the same window. Parts may come in any order and
// grouping: the result is the same.
func (w Window) merge(v Window) Window {
	if w.Count == 0 {
		v.Revision = w.Revision
		return v
	}
	w.Count += v.Count
	w.Min, w.Max, w.Sum = min(w.Min, v.Min), max(w.Max, v.Max), w.Sum+v.Sum
	if later(Sample{v.LastAt, v.Last}, Sample{w.LastAt, w.Last}) > 0 {
		w.Last, w.LastAt = v.Last, v.LastAt
	}
	return w
}

// windowsOf sorts samples into windows, oldest first.
func windowsOf(samples []Sample) []Window {
	byStart := map[int64]Window{}
	for _, s := range samples {
		start := s.At.UTC().Truncate(window)
		byStart[start.Unix()] = byStart[start.Unix()].merge(Window{Start: start, Count: 1, Min: s.Value, Max: s.Value, Sum: s.Value, Last: s.Value, LastAt: s.At.UTC()})
	}
	list := make([]Window, 0, len(byStart))
	for _, w := range byStart {
		list = append(list, w)
	}
	slices.SortFunc(list, func(a, b Window) int { return a.Start.Compare(b.Start) })
	return list
}

// Anomaly is a sensor that is not as it should be.
type Anomaly struct {
	At       time.Time
	Value    float64
	Rule     string
	Limit    float64
	Severity string
	Detail   string
}

const (
	// history is how many minutes a sensor's normal is learned from.
	history = 60
	// enough is how many there must be before anything counts as unusual.
	enough = 20
	// unusual is how many robust standard deviations are too far.
	unusual = 8
	// warm is how many minutes in a row make a cold room too warm.
	warm = 3
)

// limits of cold rooms, in °C, by the prefix of the zone's name.
var limits = []struct {
	zone  string
	above float64
}{{"chilled", 8}, {"cold", 8}, {"frozen", -12}, {"freezer", -12}}

// detect judges a sensor by its newest closed minutes, oldest first. Two rules:
// a cold room that is too warm for some minutes, and a mean far from the
// sensor's own normal, by median and median absolute deviation (Leys et al. 2013),
// which the anomaly itself does not move.
func detect(zone, unit string, minutes []Window) *Anomaly {
	if len(minutes) == 0 {
		return nil
	}
	newest := minutes[len(minutes)-1]
	for _, l := range limits {
		if !strings.HasPrefix(zone, l.zone) || len(minutes) < warm {
			continue
		}
		if !slices.ContainsFunc(minutes[len(minutes)-warm:], func(w Window) bool { return w.Mean() <= l.above }) {
			return &Anomaly{At: newest.End(), Value: newest.Mean(), Rule: "too_warm", Limit: l.above, Severity: "critical",
				Detail: fmt.Sprintf("above %g %s for %d minutes", l.above, unit, warm)}
		}
	}
	before := minutes[:len(minutes)-1]
	if len(before) < enough {
		return nil
	}
	means := make([]float64, len(before))
	for i, w := range before {
		means[i] = w.Mean()
	}
	middle := median(means)
	for i, m := range means {
		means[i] = math.Abs(m - middle)
	}
	// 1.4826 makes the MAD of a normal distribution its standard deviation; the
	// floor keeps a sensor that never moves from alarming at its last digit.
	spread := max(1.4826*median(means), 0.005*math.Abs(middle), 0.05)
	if off := math.Abs(newest.Mean() - middle); off > unusual*spread {
		return &Anomaly{At: newest.End(), Value: newest.Mean(), Rule: "unusual", Limit: middle + math.Copysign(unusual*spread, newest.Mean()-middle), Severity: "warning",
			Detail: fmt.Sprintf("%.1f %s, where the last %d minutes were around %.1f", newest.Mean(), unit, len(before), middle)}
	}
	return nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}
