package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMain is a relay of its own when a bench has started it as one.
func TestMain(m *testing.M) {
	if os.Getenv("BENCH_DRAIN") == "" {
		os.Exit(m.Run())
	}
	if err := Drain(context.Background(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// tiny is enough to see that everything runs, and too little to measure.
func tiny(t *testing.T) Config {
	return Config{
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})), Say: func(what string) { t.Log(what) },
		Brokers: strings.FieldsFunc(os.Getenv("KAFKA_BROKERS"), func(r rune) bool { return r == ',' }), Postgres: os.Getenv("POSTGRES_URL"),
		Rounds: 1, For: 200 * time.Millisecond, Scale: 0.01, Backlog: 2000, Connections: 5,
		Drainer: func(ctx context.Context) *exec.Cmd {
			cmd := exec.CommandContext(ctx, os.Args[0])
			cmd.Env = append(os.Environ(), "BENCH_DRAIN=1")
			return cmd
		},
	}
}

// What must not happen does not, whatever goes wrong; what Watermill's outbox does
// by its rule, it does here too.
func TestTheFaultSchedule(t *testing.T) {
	cfg := tiny(t)
	report, err := Run(t.Context(), cfg, []string{"faults"}, func(Report) {})
	if err != nil {
		t.Fatal(err)
	}
	figures := map[string]Row{}
	for _, row := range report.Rows {
		figures[row.What] = row
	}
	for _, what := range []string{lostEvents, inversions} {
		if row := figures[what]; len(row.Ours) != 1 || row.Ours[0] != 0 {
			t.Errorf("%s: ours is %v, want 0", what, row.Ours)
		}
	}
	if row := figures[lostEvents]; len(row.Theirs) != 1 || row.Theirs[0] != 0 {
		t.Errorf("%s: theirs is %v, want 0", lostEvents, row.Theirs)
	}
	if row := figures[inversions]; len(row.Theirs) != 1 || row.Theirs[0] == 0 {
		t.Errorf("%s: theirs is %v, and the schedule must provoke some", inversions, row.Theirs)
	}
}

// Each bench reports a figure of ours and, but for what has none, of its
// reference. The saga's is run on a whole shop, in test/e2e; faults has a test of
// its own.
func TestEachBenchReportsBothSides(t *testing.T) {
	names := slices.DeleteFunc(Names(), func(name string) bool { return name == "saga" || name == "faults" })
	parts := 0
	report, err := Run(t.Context(), tiny(t), names, func(Report) { parts++ })
	if err != nil {
		t.Fatal(err)
	}
	if parts != len(names) {
		t.Errorf("%d benches reported, of %d", parts, len(names))
	}
	for _, row := range report.Rows {
		if len(row.Ours) != 1 || row.Ours[0] <= 0 || row.Unit == "" {
			t.Errorf("%s, %s: ours is %v %s", row.Bench, row.What, row.Ours, row.Unit)
		}
		alone := row.Unit == "MB"
		if !alone && (row.Reference == "" || len(row.Theirs) != 1 || row.Theirs[0] <= 0 || len(row.Ratios) != 1) {
			t.Errorf("%s, %s: the reference %q has %v, ratio %v", row.Bench, row.What, row.Reference, row.Theirs, row.Ratios)
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(report.Rows, func(row Row) bool { return row.Bench == name }) {
			t.Errorf("bench %s reports nothing", name)
		}
	}
}

func TestAnUnknownBenchIsRefusedBeforeAnythingStarts(t *testing.T) {
	_, err := Run(t.Context(), Config{}, []string{"publish", "nonsense"}, nil)
	if err == nil || !strings.Contains(err.Error(), `no bench "nonsense"`) || !strings.Contains(err.Error(), "outbox-cost") {
		t.Errorf("error %v, want one that names the bench and those that there are", err)
	}
}

// The sides take turns, and what warms up does not count.
func TestRoundsInterleave(t *testing.T) {
	var calls []string
	of := func(name string) side {
		return func(context.Context) (float64, error) {
			calls = append(calls, name)
			return float64(len(calls)), nil
		}
	}
	r := &runner{Config: Config{Rounds: 3}}
	figures, err := r.rounds(t.Context(), of("a"), of("b"))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(calls, ""); got != "baabbaab" {
		t.Errorf("order %s, want baabbaab", got)
	}
	if got := fmt.Sprint(figures); got != "[[3 6 7] [4 5 8]]" {
		t.Errorf("figures %s, want those of the last three rounds", got)
	}
}

func TestReport(t *testing.T) {
	r := &runner{}
	r.row("relay", "drain", "events/s", []float64{120_000, 100_000, 90_000}, "theirs", []float64{2000, 2000, 3000}, Goal{AtLeast: 50})
	r.row("relay", "memory", "MB", []float64{12.34}, "", nil, Goal{AtMost: 64, Own: true})
	report := Report{Machine: "two cores", Kafka: "Kafka 4.4", Rows: r.rows}
	var table, raw bytes.Buffer
	if err := report.Print(&table); err != nil {
		t.Fatal(err)
	}
	want := `bench  what    ours           reference             ratio  rounds      goal
relay  drain   100k events/s  2000 events/s theirs  50     30–60         >= 50
relay  memory  12.3 MB        –                     –      –             <= 64 MB
two cores; Kafka 4.4
`
	if got := table.String(); strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if err := report.JSON(&raw); err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(raw.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(back) != fmt.Sprint(report) {
		t.Errorf("read back %v, want %v", back, report)
	}
}

// A handler that sees a key's messages out of order, or two at a time, is told.
func TestKeyOrder(t *testing.T) {
	var k keyOrder
	enter := func(n int) func() {
		done, err := k.enter(samples(n, 1)[0].payload)
		if err != nil {
			t.Fatal(err)
		}
		return done
	}
	enter(1)()
	enter(2)()
	enter(1 + sampleKeys)()
	if n := k.broken.Load(); n != 0 {
		t.Errorf("%d messages in order were not taken for that", n)
	}
	enter(1)()
	if n := k.broken.Load(); n != 1 {
		t.Errorf("a message that came again: %d are broken, want 1", n)
	}
	done := enter(3)
	enter(3 + sampleKeys)()
	done()
	if n := k.broken.Load(); n != 2 {
		t.Errorf("two messages at a time: %d are broken, want 2", n)
	}
}

func TestFlatHeaders(t *testing.T) {
	for _, tc := range []string{`{}`, `{"a": "1"}`, `{"a":"1","b": "", "c" : "x y"}`, `{"a": "quo\"te", "b": "\u00fc"}`} {
		headers, err := flat([]byte(tc))
		if err != nil {
			t.Fatal(err)
		}
		got, want := map[string]string{}, map[string]string{}
		for _, h := range headers {
			got[h.Key] = string(h.Value)
		}
		if err := json.Unmarshal([]byte(tc), &want); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s is read as %v", tc, got)
		}
	}
}
