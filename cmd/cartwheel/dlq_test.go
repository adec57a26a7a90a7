package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// cartwheel runs a command line and returns what it printed and its exit status.
// It stands in for the process's own output, so its tests run one by one.
func cartwheel(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	out, errs := os.Stdout, os.Stderr
	defer func() { os.Stdout, os.Stderr = out, errs }()
	read := func(into **os.File) func() string {
		f, err := os.Create(filepath.Join(t.TempDir(), "output"))
		if err != nil {
			t.Fatal(err)
		}
		*into = f
		return func() string {
			_ = f.Close()
			b, err := os.ReadFile(f.Name())
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
	}
	readOut, readErrs := read(&os.Stdout), read(&os.Stderr)
	status = run(t.Context(), args)
	return readOut(), readErrs(), status
}

// emptyShop answers every list with no items, and counts what it is asked.
func emptyShop(t *testing.T) (url string, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		fmt.Fprint(w, `{"items":[]}`)
	}))
	t.Cleanup(srv.Close)
	return srv.URL, asked
}

// A script reads a list also when there is nothing in it.
func TestNothingIsAnEmptyListInJSON(t *testing.T) {
	url, _ := emptyShop(t)
	for _, tc := range []struct{ command, list string }{
		{"dlq list", "."},
		{"dlq redrive --all", "items"},
		{"dlq redrive --all --force", "items"},
		{"outbox parked", "."},
		{"scenario list", "."},
		{"check", "items"},
	} {
		out, errs, status := cartwheel(t, append(strings.Fields(tc.command), "--json", "--server", url)...)
		var all map[string]json.RawMessage
		list := json.RawMessage(out)
		if tc.list != "." {
			if err := json.Unmarshal(list, &all); err != nil {
				t.Errorf("%s --json prints %s%s: %v", tc.command, out, errs, err)
				continue
			}
			list = all[tc.list]
		}
		if got := strings.TrimSpace(string(list)); got != "[]" || status != 0 {
			t.Errorf("%s --json exits %d and prints %s%s, want [] where the list is", tc.command, status, out, errs)
		}
	}
}

// A redrive of nobody knows what is refused before the shop is asked.
func TestRedriveWantsToKnowOfWhat(t *testing.T) {
	url, asked := emptyShop(t)
	for _, args := range []string{"", "--dry-run", "--force", "--rate 5"} {
		_, errs, status := cartwheel(t, append([]string{"dlq", "redrive", "--server", url}, strings.Fields(args)...)...)
		if want := "give ids of dead letters, a filter like --reason failed, or --all: see cartwheel dlq redrive --help\n"; status != exitUsage || !strings.HasSuffix(errs, want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("dlq redrive %s exits %d: %s\nwant %d and %s", args, status, errs, exitUsage, want)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the shop was asked %d times", n)
	}
	for _, args := range []string{"order.start-saga/0/1", "--all", "--key ord_1", "--since 2026-01-02T03:04:05Z"} {
		if _, errs, status := cartwheel(t, append([]string{"dlq", "redrive", "--server", url}, strings.Fields(args)...)...); status != 0 {
			t.Errorf("dlq redrive %s exits %d: %s", args, status, errs)
		}
	}
}
