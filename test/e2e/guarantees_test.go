package e2e

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// namesTestsThatExist checks that every test that a document names is linked, and is
// where the link says.
func namesTestsThatExist(t *testing.T, document string) {
	t.Helper()
	path := filepath.Join("../..", document)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	links := linkedTest.FindAllStringSubmatch(string(text), -1)
	if named := len(testName.FindAllString(string(text), -1)); len(links) == 0 || len(links) != named {
		t.Errorf("%s names %d tests and links %d", document, named, len(links))
	}
	for _, l := range links {
		source, err := os.ReadFile(filepath.Join(filepath.Dir(path), l[2]))
		if err != nil {
			t.Errorf("%s: %v", l[1], err)
		} else if !strings.Contains(string(source), "func "+l[1]+"(") {
			t.Errorf("%s is not in %s", l[1], l[2])
		}
	}
}

func TestGuaranteesNameTestsThatExist(t *testing.T) { namesTestsThatExist(t, "docs/guarantees.md") }

// Every row of a table of promises names a test.
func TestEveryPromiseNamesATest(t *testing.T) {
	text, err := os.ReadFile("../../docs/guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	promises, _, _ := strings.Cut(string(text), "## Not promised")
	rows := 0
	for line := range strings.Lines(promises) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| promise ") {
			continue
		}
		rows++
		if !linkedTest.MatchString(line) {
			t.Errorf("no test: %s", line)
		}
	}
	if rows < 20 {
		t.Errorf("%d promises; is the document read right?", rows)
	}
}

var (
	realPart     = regexp.MustCompile(`(?m)^part ['"](.*)['"] (\w+)$`)
	realFunction = regexp.MustCompile(`(?m)^(\w+)\(\) \{.* gotests .*?((?: \./\S+\.\.\.)+); \}$`)
	realRow      = regexp.MustCompile("(?m)^\\| ([^|]+) \\| `(\\./[^`]+)` \\|")
)

// The list of suites is what make test-real runs.
func TestTheListOfSuitesIsWhatRuns(t *testing.T) {
	script, err := os.ReadFile("../../scripts/test-real")
	if err != nil {
		t.Fatal(err)
	}
	packages := map[string]string{}
	for _, m := range realFunction.FindAllStringSubmatch(string(script), -1) {
		packages[m[1]] = strings.TrimSpace(m[2])
	}
	runs := map[string]string{}
	for _, m := range realPart.FindAllStringSubmatch(string(script), -1) {
		if p := packages[m[2]]; p != "" {
			runs[m[1]] = p
			delete(packages, m[2])
		}
	}
	for name := range packages {
		t.Errorf("scripts/test-real has a function %s and no part that runs it", name)
	}
	document, err := os.ReadFile("../../docs/guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]string{}
	for _, m := range realRow.FindAllStringSubmatch(string(document), -1) {
		listed[m[1]] = m[2]
	}
	if len(runs) < 4 || !maps.Equal(runs, listed) {
		t.Errorf("scripts/test-real runs\n%v\nand docs/guarantees.md lists\n%v", runs, listed)
	}
}

// Continuous integration runs both.
func TestCIRunsBoth(t *testing.T) {
	script, err := os.ReadFile("../../.ci/run")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(script), "\nmake test\nmake test-real\n") {
		t.Errorf(".ci/run is\n%s", script)
	}
}
