package architecture

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	pointName = regexp.MustCompile(`(?m)^\t(\w+) +Point = "[\w.]+"$`)
	pointUse  = regexp.MustCompile(`[.][aA]t\([^\n]*\bfault\.(\w+)`)
)

// The list of failpoints and the code agree: each stands somewhere, in code that is
// not a test's.
func TestEveryFailpointStandsSomewhere(t *testing.T) {
	list, err := os.ReadFile(filepath.Join(root(t), "pkg/fault/points.go"))
	if err != nil {
		t.Fatal(err)
	}
	names := pointName.FindAllStringSubmatch(string(list), -1)
	if len(names) == 0 {
		t.Fatal("pkg/fault/points.go lists no points; is it read right?")
	}
	git := exec.Command("git", "ls-files", "*.go")
	git.Dir = root(t)
	files, err := git.Output()
	if err != nil {
		t.Fatal(err)
	}
	stands := map[string]string{}
	for file := range strings.FieldsSeq(string(files)) {
		if strings.HasSuffix(file, "_test.go") || strings.HasPrefix(file, "pkg/fault/") {
			continue
		}
		source, err := os.ReadFile(filepath.Join(root(t), file))
		if err != nil {
			t.Fatal(err)
		}
		for _, use := range pointUse.FindAllStringSubmatch(string(source), -1) {
			stands[use[1]] = file
		}
	}
	for _, n := range names {
		if stands[n[1]] == "" {
			t.Errorf("fault.%s stands nowhere: put it where its effect is, or take it off the list", n[1])
		}
	}
}
