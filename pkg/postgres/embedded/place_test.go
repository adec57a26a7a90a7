package embedded_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cartwheel-shop/cartwheel/pkg/postgres/embedded"
)

// data is where the files of dir really are.
func data(t *testing.T, dir string) string {
	t.Helper()
	if b, err := os.ReadFile(filepath.Join(dir, "elsewhere")); err == nil {
		return filepath.Join(strings.TrimSpace(string(b)), "data")
	}
	return filepath.Join(dir, "data")
}

func fmtPid(pid int) string { return fmt.Sprintf("%d\n", pid) }

// Root's home is closed to the user that Postgres runs as. For everybody else
// the same directory is simply their own.
func TestADirectoryClosedToOthersWorks(t *testing.T) {
	closed := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(closed, "postgres")
	s := start(t, embedded.Config{Dir: dir})
	query(t, s, "CREATE TABLE kept AS SELECT 'still here' AS word")
	stop(t, s)
	s = start(t, embedded.Config{Dir: dir})
	if got := query(t, s, "SELECT word FROM kept"); got != "still here" {
		t.Fatalf("got %q", got)
	}
	stop(t, s)
	home := filepath.Dir(data(t, dir))

	// Who deletes the directory deletes the data, wherever it is.
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	s = start(t, embedded.Config{Dir: dir})
	if got := query(t, s, "SELECT coalesce(to_regclass('kept')::text, 'afresh')"); got != "afresh" {
		t.Fatalf("a new directory has old data: %q", got)
	}
	if now := filepath.Dir(data(t, dir)); os.Geteuid() == 0 && now == home {
		t.Fatal("the new directory's data is in the old place")
	}
	if _, err := os.Stat(home); home != dir && err == nil {
		t.Fatalf("%s was left behind", home)
	}
}
