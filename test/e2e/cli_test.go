package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// command runs a command of the binary and returns what it printed and its exit
// status.
func (s *shop) command(t testing.TB, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	cmd := exec.Command(binary(t), args...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

const purchases = "../../cmd/cartwheel/data/cdnow-500.txt"

// Purchases replayed from the middle of a file: revenue per day, units and totals
// equal the file's to the cent.
func TestReplayEqualsTheFile(t *testing.T) {
	s := start(t)
	const from, count = 101, 150
	out, errs, status := s.command(t, "load", "--data", s.dir, "--file", purchases, "--from", strconv.Itoa(from), "--count", strconv.Itoa(count), "--json")
	if status != 0 {
		t.Fatalf("load exits %d: %s", status, errs)
	}
	var outcome struct {
		Sent     int            `json:"sent"`
		Statuses map[string]int `json:"statuses"`
		P50, P99 float64
	}
	if err := json.Unmarshal([]byte(out), &outcome); err != nil || outcome.Sent != count || outcome.Statuses["completed"] != count {
		t.Fatalf("load reports %s (%v); want %d completed", out, err, count)
	}

	want := map[string][3]int64{} // by day: orders, units, cents
	f, err := os.Open(purchases)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	scan := bufio.NewScanner(f)
	for n := 0; scan.Scan(); n++ { // line 0 is the header
		fields := strings.Fields(scan.Text())
		if n < from || n >= from+count {
			continue
		}
		day := fields[1][:4] + "-" + fields[1][4:6] + "-" + fields[1][6:]
		units, _ := strconv.ParseInt(fields[2], 10, 64)
		cents, _ := strconv.ParseInt(strings.Replace(fields[3], ".", "", 1), 10, 64)
		d := want[day]
		want[day] = [3]int64{d[0] + 1, d[1] + units, d[2] + cents}
	}
	var got map[string][3]int64
	within(t, 30e9, "sales to have all orders", func() bool {
		got = map[string][3]int64{}
		total := int64(0)
		for _, i := range s.call(t, http.MethodGet, "/api/sales?from=1997-01-01&to=1998-12-31&group=day", nil).items() {
			revenue := i["revenue"].(map[string]any)
			if revenue["currency"] != "USD" {
				t.Errorf("sales in %v", revenue["currency"])
			}
			got[i["day"].(string)] = [3]int64{int64(i["orders"].(float64)), int64(i["units"].(float64)), int64(revenue["amount"].(float64))}
			total += int64(i["orders"].(float64))
		}
		return total >= count
	})
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("sales %v\nfile  %v", got, want)
	}
	s.holds(t)

	out, _, status = s.command(t, "check", "--data", s.dir)
	if status != 0 || strings.Count(out, "holds") < 6 {
		t.Errorf("check exits %d: %s", status, out)
	}
	// The same again changes nothing: the purchase's number is the key.
	if out, errs, status = s.command(t, "load", "--data", s.dir, "--file", purchases, "--from", strconv.Itoa(from), "--count", "5", "--json"); status != 0 || !strings.Contains(out, `"replayed": 5`) {
		t.Errorf("a second load exits %d: %s %s", status, out, errs)
	}
}

// A broken line names itself, and nothing is sent unless it may be skipped.
func TestBrokenPurchaseFile(t *testing.T) {
	s := start(t)
	file := filepath.Join(t.TempDir(), "purchases.txt")
	if err := os.WriteFile(file, []byte(" 00001 19970101  1   11.77\n 00002 1997-01-12  1   12.00\n 00003 19970112  1   12.00\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, errs, status := s.command(t, "load", "--data", s.dir, "--file", file)
	if status != 1 || !strings.Contains(errs, file+", line 2") || !strings.Contains(errs, "YYYYMMDD") || !strings.Contains(errs, "nothing was sent") {
		t.Errorf("exits %d: %s", status, errs)
	}
	if n := len(s.call(t, http.MethodGet, "/api/orders", nil).items()); n != 0 {
		t.Errorf("%d orders were sent", n)
	}
	out, errs, status := s.command(t, "load", "--data", s.dir, "--file", file, "--skip-bad")
	if status != 0 || !strings.Contains(out, "1 broken lines were left out") {
		t.Errorf("with --skip-bad: exits %d: %s %s", status, out, errs)
	}
}

// What cannot start says why in one sentence, with status 1, and leaves nothing
// behind; least of all does it touch a shop that runs.
func TestRefusedStarts(t *testing.T) {
	s := start(t)
	taken := strings.TrimPrefix(s.endpoints["console"], "http://")
	newer := t.TempDir()
	if err := os.WriteFile(filepath.Join(newer, "format"), []byte("999\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(t.TempDir(), "none")
	for _, tc := range []struct {
		name     string
		variable string
		args     []string
		status   int
		says     string
	}{
		{"a taken port", "", []string{"up", "--data", none, "--listen", taken}, 1, "is taken"},
		{"no address", "", []string{"up", "--data", none, "--listen", "8080"}, 1, "--listen HOST:PORT"},
		{"an empty address", "", []string{"up", "--data", none, "--listen", ""}, 1, "--listen must be HOST:PORT"},
		{"a data directory in use", "", []string{"up", "--data", s.dir, "--listen", "127.0.0.1:0"}, 1, "in use"},
		{"a data directory of a newer version", "", []string{"up", "--data", newer, "--listen", "127.0.0.1:0"}, 1, "newer version"},
		{"a data directory that is a file", "", []string{"up", "--data", file, "--listen", "127.0.0.1:0"}, 1, "data directory"},
		{"a cache below a file", "CARTWHEEL_CACHE=" + filepath.Join(file, "cache"), []string{"up", "--data", none, "--listen", "127.0.0.1:0"}, 1, "CARTWHEEL_CACHE"},
		{"a setting of a service", "APPROVAL_DEADLINE=soon", []string{"up", "--data", none, "--listen", "127.0.0.1:0"}, 1, "APPROVAL_DEADLINE"},
		{"a setting of the courier", "COURIER_DELAY=soon", []string{"up", "--data", none, "--listen", "127.0.0.1:0"}, 1, "COURIER_DELAY"},
		{"a broker that can be none", "KAFKA_BROKERS=kafka", []string{"up", "--data", none, "--listen", "127.0.0.1:0"}, 1, "KAFKA_BROKERS must be "},
		{"a database that can be none", "POSTGRES_URL=mysql://shop", []string{"up", "--data", none, "--listen", "127.0.0.1:0"}, 1, "POSTGRES_URL must be "},
		{"a mailbox that can be none", "INBOX_URL=inbox", []string{"up", "--data", none, "--listen", "127.0.0.1:0"}, 1, "INBOX_URL must be "},
		{"no such driver", "BUS_DRIVER=sarama", []string{"up", "--data", none, "--listen", "127.0.0.1:0"}, 1, "BUS_DRIVER must be "},
		{"neither true nor false", "OPERATOR_OPEN=perhaps", []string{"up", "--data", none, "--listen", "127.0.0.1:0"}, 1, "OPERATOR_OPEN must be "},
		{"a collector that can be none", "OTEL_EXPORTER_OTLP_ENDPOINT=collector", []string{"up", "--data", none, "--listen", "127.0.0.1:0"}, 1, "OTEL_EXPORTER_OTLP_ENDPOINT must be "},
		{"a shop that does not run", "", []string{"check", "--data", none}, 1, "no shop runs"},
		{"an unknown flag", "", []string{"dlq", "list", "--bogus"}, 80, "cartwheel dlq list --help"},
		{"a redrive of nobody knows what", "", []string{"dlq", "redrive", "--data", none}, 80, "--all"},
		{"an unknown command", "", []string{"bogus"}, 80, "cartwheel --help"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if name, value, ok := strings.Cut(tc.variable, "="); ok {
				t.Setenv(name, value)
			}
			out, errs, status := s.command(t, tc.args...)
			if status != tc.status || out != "" || !strings.Contains(errs, tc.says) || strings.Count(strings.TrimSpace(errs), "\n") != 0 {
				t.Errorf("exits %d: %s%s; want %d and one line that says %q", status, out, errs, tc.status, tc.says)
			}
			if _, err := os.Stat(none); err == nil {
				t.Errorf("%s was made", none)
			}
		})
	}
	if left, err := os.ReadDir(newer); err != nil || len(left) != 1 {
		t.Errorf("a newer version's data directory has %v (%v), want its format alone", left, err)
	}
	if out, errs, status := s.command(t, "check", "--data", s.dir); status != 0 {
		t.Errorf("the shop whose directory another start was refused: check exits %d: %s%s", status, out, errs)
	}
}

// Dead letters from the command line: listed, shown, redriven as a dry run first.
func TestDeadLettersFromTheCommandLine(t *testing.T) {
	s := start(t)
	c := s.kafka(t)
	if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Key: []byte("ord_x"), Value: []byte("no event")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	var list string
	within(t, 30e9, "the dead letter", func() bool {
		list, _, _ = s.command(t, "dlq", "list", "--data", s.dir, "--group", "order.start-saga")
		return strings.Contains(list, "undecodable")
	})
	id := strings.Fields(list)[0]
	if out, errs, status := s.command(t, "dlq", "show", "--data", s.dir, id); status != 0 || !strings.Contains(out, "no event") {
		t.Errorf("show exits %d: %s %s", status, out, errs)
	}
	if out, _, status := s.command(t, "dlq", "redrive", "--data", s.dir, "--dry-run", id); status != 0 || !strings.Contains(out, "would") {
		t.Errorf("dry run exits %d: %s", status, out)
	}
	if out, _, status := s.command(t, "dlq", "redrive", "--data", s.dir, id); status != 0 || !strings.Contains(out, "redriven") {
		t.Errorf("redrive exits %d: %s", status, out)
	}
	within(t, 30e9, "it to come back, since it is still no event", func() bool {
		list, _, _ = s.command(t, "dlq", "list", "--data", s.dir, "--group", "order.start-saga")
		return strings.Count(list, "\n") == 2
	})
}

// events validate says what is wrong, for anybody's payloads.
func TestValidateEvents(t *testing.T) {
	s := &shop{}
	dir := t.TempDir()
	write := func(name, content string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	event := `{"event_type":"shipment.delivered.v1","event_id":"0190f9c0-0000-7000-8000-000000000000","timestamp":"2026-01-02T03:04:05Z","version":"1.0","data":{"shipment_id":"shp_1","order_id":"ord_1","delivered_at":"2026-01-02T03:04:05Z"},"metadata":{"producer":"inventory","trace_id":"","correlation_id":"","causation_id":"","aggregate_id":"shp_1","aggregate_version":1}}`
	if out, errs, status := s.command(t, "events", "validate", write("good.json", event), write("two.ndjson", event+"\n"+event+"\n"), write("array.json", "["+event+"]")); status != 0 {
		t.Errorf("valid events exit %d: %s %s", status, out, errs)
	}
	for name, bad := range map[string]string{
		"truncated":  event[:100],
		"type":       strings.Replace(event, "shipment.delivered.v1", "shipment.lost.v1", 1),
		"newer":      strings.NewReplacer("delivered.v1", "delivered.v7", `"1.0"`, `"7.0"`).Replace(event),
		"wrong type": strings.Replace(event, `"shp_1","order_id"`, `7,"order_id"`, 1),
	} {
		if out, _, status := s.command(t, "events", "validate", write(strings.ReplaceAll(name, " ", "-")+".json", bad)); status != 2 || !strings.Contains(out, ".json, event 1") {
			t.Errorf("%s: exits %d: %s", name, status, out)
		}
	}
}

// The bench of the saga runs a whole shop of its own, and reports both sides.
func TestBenchOfTheSaga(t *testing.T) {
	file := filepath.Join(t.TempDir(), "figures.json")
	s := &shop{}
	out, errs, status := s.command(t, "bench", "saga", "--rounds", "1", "--orders", "3", "--in-flight", "2", "--out", file)
	if status != 0 || !strings.Contains(out, "bare workflow") {
		t.Fatalf("exits %d: %s %s", status, out, errs)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var report struct {
		Machine string
		Rows    []struct{ Ours, Theirs, Ratios []float64 }
	}
	if err := json.Unmarshal(raw, &report); err != nil {
		t.Fatal(err)
	}
	if report.Machine == "" || len(report.Rows) != 1 || len(report.Rows[0].Ours) != 1 || len(report.Rows[0].Theirs) != 1 || len(report.Rows[0].Ratios) != 1 {
		t.Errorf("the file has %s", raw)
	}
}
