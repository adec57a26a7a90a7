package journal

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

type entry struct {
	Text  string  `json:"text"`
	Value float64 `json:"value"`
}

// tb is what *testing.T and *rapid.T have in common.
type tb interface {
	Helper()
	Fatal(args ...any)
}

// open opens a journal and returns what was in it.
func open(t tb, path string) (*Journal[entry], []entry) {
	t.Helper()
	var got []entry
	j, err := Open(path, func(e entry) { got = append(got, e) })
	if err != nil {
		t.Fatal(err)
	}
	return j, got
}

func fill(t tb, path string, entries []entry) {
	t.Helper()
	j, _ := open(t, path)
	for _, e := range entries {
		if err := j.Append(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

var entries = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) entry {
	return entry{rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"\n", "{}\n{}", "\r\n", strings.Repeat("x", 10_000)})).Draw(t, "text"), rapid.Float64().Draw(t, "value")}
}), 1, 5)

// Wherever a crash cuts the file off, the whole lines before are there, the rest
// is gone for good, and the journal goes on.
func TestACutAnywhere(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		f, err := os.CreateTemp(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		path, want := f.Name(), entries.Draw(t, "entries")
		fill(t, path, want)
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		cut := raw[:rapid.IntRange(0, len(raw)).Draw(t, "cut")]
		torn := rapid.SampledFrom([]string{"", "\x00\x00\x00", `{"text":"`}).Draw(t, "and what a disk may leave there")
		if err := os.WriteFile(path, append(slices.Clone(cut), torn...), 0o600); err != nil {
			t.Fatal(err)
		}
		want = want[:bytes.Count(cut, []byte("\n"))]
		if j, got := open(t, path); !slices.Equal(got, want) || j.Close() != nil {
			t.Fatalf("cut at %d of %q: %v, want %v", len(cut), raw, got, want)
		}
		if left, err := os.ReadFile(path); err != nil || !bytes.Equal(left, cut[:bytes.LastIndexByte(cut, '\n')+1]) {
			t.Fatalf("cut at %d of %q: %q is left, %v", len(cut), raw, left, err)
		}
		more := entries.Draw(t, "more")
		fill(t, path, more)
		if j, got := open(t, path); !slices.Equal(got, append(want, more...)) || j.Close() != nil {
			t.Fatalf("after going on: %v, want %v and %v", got, want, more)
		}
	})
}

// A line in the middle that cannot be read is no torn end: what is after it was
// answered for. Nothing is dropped, a person has to look.
func TestALineThatIsBroken(t *testing.T) {
	for name, broken := range map[string]string{
		"not JSON": "{\"text\":\"a\"}\n{\"text\":\n{\"text\":\"b\"}\n", "another kind": "{\"text\":\"a\"}\n{\"text\":1}\n", "empty": "{\"text\":\"a\"}\n\n",
	} {
		path := filepath.Join(t.TempDir(), "journal")
		if err := os.WriteFile(path, []byte(broken), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, func(entry) {}); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "at byte 13") {
			t.Errorf("%s: %v, want an error that says where", name, err)
		}
		if raw, err := os.ReadFile(path); err != nil || string(raw) != broken {
			t.Errorf("%s: the file is now %q, %v", name, raw, err)
		}
	}
	if _, err := Open(t.TempDir(), func(entry) {}); err == nil {
		t.Error("a directory is a journal")
	}
}

// What could not be appended is not there later, whatever the disk kept of it.
func TestAppendsThatFail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "directory", "journal")
	fill(t, path, []entry{{"a", 1}})
	j, _ := open(t, path)
	if err := j.Append(entry{"no number", math.NaN()}); err == nil {
		t.Error("NaN is JSON")
	}
	// A disk that takes the line, and then neither syncs nor truncates.
	whole := j.file
	broken, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	j.file = broken
	if err := j.Append(entry{"lost", 2}); err == nil {
		t.Error("appended to a file that cannot be written")
	}
	if _, err := whole.WriteAt([]byte(`{"text":"lost, and longer than what comes next","value":2}`+"\n"), j.size); err != nil {
		t.Fatal(err)
	}
	j.file = whole
	if err := j.Append(entry{"b", 3}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*os.File{broken, whole} {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Append(entry{"c", 4}); err == nil {
		t.Error("appended to a journal that is closed")
	}
	if _, got := open(t, path); !slices.Equal(got, []entry{{"a", 1}, {"b", 3}}) {
		t.Errorf("%v, want a and b", got)
	}
}

func TestManyAppendAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j, _ := open(t, path)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 20 {
				if err := j.Append(entry{fmt.Sprint(i), float64(n)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	_, got := open(t, path) // without an end, as after kill -9
	next := map[string]float64{}
	for _, e := range got {
		if next[e.Text] != e.Value {
			t.Errorf("%s: %g comes where %g should", e.Text, e.Value, next[e.Text])
		}
		next[e.Text]++
	}
	if len(got) != 160 {
		t.Errorf("%d entries, want 160", len(got))
	}
}
