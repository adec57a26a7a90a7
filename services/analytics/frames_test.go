package analytics

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const at = `"at":"2026-11-23T12:00:00Z"`

func TestWhatIsNoFrame(t *testing.T) {
	for _, tc := range []struct{ name, subject, frame string }{
		{"a subject too short", "telemetry.lab.bench", `{"frame":1,"unit":"C","samples":[{` + at + `,"value":1}]}`},
		{"a subject too long", "telemetry.lab.bench.probe.1", `{"frame":1,"unit":"C","samples":[{` + at + `,"value":1}]}`},
		{"a subject with nothing between dots", "telemetry.lab..probe", `{"frame":1,"unit":"C","samples":[{` + at + `,"value":1}]}`},
		{"a subject of other bytes than text", "telemetry.lab.bench.pro\xffbe", `{"frame":1,"unit":"C","samples":[{` + at + `,"value":1}]}`},
		{"a device's name longer than a key may be", "telemetry.lab.bench." + strings.Repeat("x", 3000), `{"frame":1,"unit":"C","samples":[{` + at + `,"value":1}]}`},
		{"not JSON", "telemetry.lab.bench.probe", `21.5`},
		{"no number", "telemetry.lab.bench.probe", `{"unit":"C","samples":[{` + at + `,"value":1}]}`},
		{"number 0", "telemetry.lab.bench.probe", `{"frame":0,"unit":"C","samples":[{` + at + `,"value":1}]}`},
		{"no samples", "telemetry.lab.bench.probe", `{"frame":1,"unit":"C","samples":[]}`},
		{"a sample of no time", "telemetry.lab.bench.probe", `{"frame":1,"unit":"C","samples":[{"value":1}]}`},
		{"a clock that is far ahead", "telemetry.lab.bench.probe", `{"frame":1,"unit":"C","samples":[{` + at + `,"value":1},{"at":"2026-11-23T12:05:00.000001Z","value":1}]}`},
		{"a clock from before there were any", "telemetry.lab.bench.probe", `{"frame":1,"unit":"C","samples":[{"at":"1969-12-31T23:59:59Z","value":1}]}`},
		{"a time that UTC has no year for", "telemetry.lab.bench.probe", `{"frame":1,"unit":"C","samples":[{"at":"0000-01-01T00:00:00+10:00","value":1}]}`},
		{"a value whose sum has no number", "telemetry.lab.bench.probe", `{"frame":1,"unit":"C","samples":[{` + at + `,"value":1e308},{` + at + `,"value":1e308}]}`},
		{"a value beyond numbers", "telemetry.lab.bench.probe", `{"frame":1,"unit":"C","samples":[{` + at + `,"value":1e999}]}`},
		{"a unit with a zero byte", "telemetry.lab.bench.probe", `{"frame":1,"unit":"\u0000","samples":[{` + at + `,"value":1}]}`},
		{"a unit that is a novel", "telemetry.lab.bench.probe", `{"frame":1,"unit":"` + strings.Repeat("C", 1000) + `","samples":[{` + at + `,"value":1}]}`},
	} {
		if sensor, f, err := parseFrame(tc.subject, []byte(tc.frame), noon); err == nil {
			t.Errorf("%s: is a frame of %s: %+v", tc.name, sensor.ID(), f)
		}
	}
	for _, ok := range []string{
		`{"frame":1,"unit":"C","samples":[{"at":"2026-11-23T12:05:00Z","value":-273.15}]}`, // as far ahead as may be
		`{"frame":9223372036854775807,"unit":"","samples":[{"at":"1970-01-01T00:00:00+00:00","value":1e12}]}`,
		`{"frame":1,"unit":"µg/m³","samples":[{"at":"2014-02-14T15:30:00+01:00","value":0}],"battery":3.1}`,
	} {
		sensor, f, err := parseFrame("telemetry.lab.bench.probe", []byte(ok), noon)
		if err != nil || sensor.ID() != "lab.bench.probe" || len(f.Samples) != 1 || f.Samples[0].At.Location() != time.UTC {
			t.Errorf("%s: %v, %s %+v", ok, err, sensor.ID(), f)
		}
	}
}

// A broken device must not stop the others: what the parser lets through, the
// store takes.
func TestNoFrameStopsTheStream(t *testing.T) {
	s := open(t)
	// Of each, mostly the first kind.
	plain := rapid.StringMatching(`[A-Za-z0-9_-]{1,12}`)
	text := rapid.OneOf(plain, plain, plain, plain, rapid.String(), rapid.StringOfN(rapid.Rune(), 0, 3000, -1))
	number := rapid.OneOf(rapid.Int64Min(1), rapid.Int64Min(1), rapid.Int64())
	when := rapid.OneOf(rapid.Just("2026-11-23T12:00:00Z"), rapid.SampledFrom([]string{"2026-11-23T12:04:59.999999999Z", "1970-01-01T00:00:00Z", "2026-11-23T11:00:00-00:30"}),
		rapid.SampledFrom([]string{"2026-11-23T12:00:00Z", "2026-11-23T12:00:00Z", "2026-11-23T12:00:00Z", "1970-01-01T00:00:00+14:00", "0001-01-01T00:00:00.000001Z", "0000-01-01T00:00:00+10:00"}))
	value := rapid.OneOf(rapid.Float64Range(-100, 100), rapid.SampledFrom([]float64{0, math.SmallestNonzeroFloat64, 1e12, -1e12}),
		rapid.SampledFrom([]float64{0, 0, 0, 1e15, math.MaxFloat64, -math.MaxFloat64}))
	taken := 0
	rapid.Check(t, func(t *rapid.T) {
		type sample struct {
			At    string  `json:"at"`
			Value float64 `json:"value"`
		}
		var samples []sample
		for range rapid.IntRange(1, 5).Draw(t, "samples") {
			samples = append(samples, sample{when.Draw(t, "at"), value.Draw(t, "value")})
		}
		raw, err := json.Marshal(map[string]any{"frame": number.Draw(t, "number"), "unit": text.Draw(t, "unit"), "samples": samples})
		if err != nil {
			t.Fatal(err)
		}
		subject := fmt.Sprintf("telemetry.%d.%s.%s", runs.Add(1), text.Draw(t, "zone"), text.Draw(t, "device"))
		sensor, f, err := parseFrame(subject, raw, noon)
		if err != nil {
			return
		}
		taken++
		if err := s.AddFrames(background, 0, 0, []received{{sensor, f}}, noon); err != nil {
			t.Fatalf("%s %s: %v", subject, raw, err)
		}
		s.facts(t, sensor.ID())
		if _, err := s.Sensors(background); err != nil {
			t.Fatalf("%s %s: %v", subject, raw, err)
		}
	})
	if taken == 0 {
		t.Error("the parser let nothing through")
	}
}

// A mean that is too small for a number is 0, and no reason to list no sensors.
func TestTinyReadingsAreListed(t *testing.T) {
	s := open(t)
	d := s.device(Sensor{"lab", "bench", "probe"})
	d.send(t, d.frame(1, read(0, math.SmallestNonzeroFloat64), read(1, 0)))
	list, err := s.Sensors(t.Context())
	if err != nil || len(list) != 1 || len(list[0].Windows) != 1 || list[0].Windows[0].Mean != 0 {
		t.Errorf("Sensors = %+v, %v", list, err)
	}
}

// Of two readers that read the same, one adds it.
func TestThePositionMovesOnce(t *testing.T) {
	s := open(t)
	d := s.device(Sensor{"lab", "bench", "probe"})
	add := func(from, to uint64, number int64) error {
		return s.AddFrames(t.Context(), from, to, []received{d.parse(t, d.frame(number, read(float64(number), 1)))}, noon)
	}
	for _, step := range []struct {
		from, to uint64
		number   int64
		want     error
	}{{0, 3, 1, nil}, {0, 5, 2, errNotOurs}, {3, 5, 2, nil}, {3, 9, 3, errNotOurs}} {
		if err := add(step.from, step.to, step.number); !errors.Is(err, step.want) {
			t.Errorf("from %d to %d: %v, want %v", step.from, step.to, err, step.want)
		}
	}
	at, err := s.streamPosition(t.Context())
	if w := sortedWindows(d.minutes(t)); err != nil || at != 5 || len(w) != 1 || w[0].Count != 2 {
		t.Errorf("position %d with %+v (%v), want 5 with the two readings of who was first", at, w, err)
	}
}
