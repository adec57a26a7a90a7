package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A start that is refused leaves what it found as it was.
func TestARefusedUpLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"file": "", "newer/format": "999\n"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct{ data, cache, want string }{
		{"newer", "cache", "was written by a newer version"},
		{"fresh", "file/cache", "choose another with CARTWHEEL_CACHE"},
		{"file", "cache", "data directory"},
		{"file/data", "cache", "data directory"},
	} {
		t.Setenv("CARTWHEEL_CACHE", filepath.Join(dir, tc.cache))
		out, errs, status := cartwheel(t, "up", "--data", filepath.Join(dir, tc.data), "--listen", "127.0.0.1:0")
		if status != exitFailed || out != "" || !strings.Contains(errs, tc.want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("up on %s exits %d: %s%s; want one line that says %q", tc.data, status, out, errs, tc.want)
		}
	}
	var left []string
	for _, pattern := range []string{"*", "newer/*"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			if name, _ := filepath.Rel(dir, path); name != "cache" { // which is for all shops
				left = append(left, name)
			}
		}
	}
	if got := strings.Join(left, " "); got != "file newer newer/format" {
		t.Errorf("left there: %s", got)
	}
}
