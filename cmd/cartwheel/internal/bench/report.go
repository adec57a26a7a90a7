package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is the outcome of a run.
type Report struct {
	At       time.Time `json:"at"`
	Machine  string    `json:"machine"`
	Kafka    string    `json:"kafka,omitempty"`
	Postgres string    `json:"postgres,omitempty"`
	Rows     []Row     `json:"rows"`
}

// machine is what the figures depend on most.
func machine() string {
	return fmt.Sprintf("%d cores, %s/%s, %s, %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), processor())
}

// processor is the CPU's name, where the system says it.
func processor() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "CPU unknown"
	}
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "CPU unknown"
}

// Print writes the report as a table.
func (r Report) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "bench\twhat\tours\treference\tratio\trounds\tgoal")
	for _, row := range r.Rows {
		theirs, ratio, spread := "–", "–", span(row.Ours, row.Unit)
		if len(row.Theirs) > 0 {
			theirs = figure(median(row.Theirs), row.Unit) + " " + row.Reference
		}
		if len(row.Ratios) > 0 {
			ratio, spread = number(median(row.Ratios)), number(slices.Min(row.Ratios))+"–"+number(slices.Max(row.Ratios))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", row.Bench, row.What, figure(median(row.Ours), row.Unit), theirs, ratio, spread, row.goal())
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, strings.Join(slices.DeleteFunc([]string{r.Machine, r.Kafka, r.Postgres}, func(s string) bool { return s == "" }), "; "))
	return err
}

// JSON writes the report for programs.
func (r Report) JSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

func (row Row) goal() string {
	unit := ""
	if row.Goal.Own {
		unit = row.Unit
	}
	switch {
	case row.Goal.AtLeast > 0:
		return strings.TrimSpace(fmt.Sprintf(">= %s %s", number(row.Goal.AtLeast), unit))
	case row.Goal.AtMost > 0:
		return strings.TrimSpace(fmt.Sprintf("<= %s %s", number(row.Goal.AtMost), unit))
	}
	return "–"
}

func span(values []float64, unit string) string {
	if len(values) == 1 {
		return "–"
	}
	return number(slices.Min(values)) + "–" + figure(slices.Max(values), unit)
}

func figure(v float64, unit string) string { return number(v) + " " + unit }

// number writes three digits, thousands as k, and a whole number as it is.
func number(v float64) string {
	switch {
	case v < 10_000 && v == float64(int(v)):
		return fmt.Sprint(int(v))
	case v >= 10_000:
		return fmt.Sprintf("%.0fk", v/1000)
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
