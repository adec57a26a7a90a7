package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/log"
)

func TestParse(t *testing.T) {
	// The command line that Temporal's own tool takes.
	o, err := parse(strings.Fields(`server start-dev --db-filename x.db --ip 127.0.0.1 --port 1 --ui-port 2
		--namespace cartwheel --log-level error --sqlite-pragma journal_mode=wal
		--dynamic-config-value history.transferProcessorMaxPollRPS=2000
		--dynamic-config-value system.forceSearchAttributesCacheRefreshOnRead=true`))
	if err != nil {
		t.Fatal(err)
	}
	if o.dbFile != "x.db" || o.port != 1 || o.uiPort != 2 || o.namespace != "cartwheel" || o.logLevel != slog.LevelError || o.pragmas["journal_mode"] != "wal" {
		t.Fatalf("got %+v", o)
	}
	// Read as the server reads it: a value of the wrong type is ignored.
	c := dynamicconfig.NewCollection(o.dynamic, log.NewNoopLogger())
	if got := dynamicconfig.TransferProcessorMaxPollRPS.Get(c)(); got != 2000 {
		t.Errorf("an integer setting: got %d", got)
	}
	if !dynamicconfig.ForceSearchAttributesCacheRefreshOnRead.Get(c)() {
		t.Error("a boolean setting was ignored")
	}
}

func TestParseRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"":                                    "--db-filename is missing",
		"--db-filename x extra":               `unexpected argument "extra"`,
		"--db-filename x --sqlite-pragma wal": "is not KEY=VALUE",
		"--db-filename x --dynamic-config-value a={": "value of a",
	} {
		if _, err := parse(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", args, err, want)
		}
	}
}

func TestCreateDatabase(t *testing.T) {
	file := filepath.Join(t.TempDir(), "temporal.db")
	// What a process leaves that is killed while it creates the schema.
	if err := os.WriteFile(file+".new", []byte("half a database"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := createDatabase(file, "one"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file + ".new"); err == nil {
		t.Error("the half-made database is still there")
	}
	// An existing one is kept, and gets what it lacks.
	for _, namespace := range []string{"one", "two"} {
		if err := createDatabase(file, namespace); err != nil {
			t.Fatalf("namespace %s: %v", namespace, err)
		}
	}
}
