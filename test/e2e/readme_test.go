package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var shellBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")

// Every command in the README works. A shop runs on the default data directory, as
// after make demo; of make itself it is checked that the target is there, since this
// test is run by one.
func TestReadmeCommands(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	s := start(t)
	home := t.TempDir()
	if err := os.Symlink(s.dir, filepath.Join(home, "cartwheel")); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "XDG_DATA_HOME="+home, "BASE_URL="+s.endpoints["console"])
	count := 0
	for _, block := range shellBlock.FindAllStringSubmatch(string(readme), -1) {
		// A command may go on over several lines.
		for command := range strings.Lines(strings.ReplaceAll(block[1], "\\\n", " ")) {
			command, _, _ = strings.Cut(command, "  #")
			command = strings.ReplaceAll(strings.TrimSpace(command), "http://127.0.0.1:8080", s.endpoints["console"])
			if command == "" || strings.HasPrefix(command, "#") || strings.HasPrefix(command, "git clone") || strings.HasPrefix(command, "cd ") {
				continue
			}
			if target, ok := strings.CutPrefix(command, "make "); ok {
				command = "make -n " + target + " >/dev/null"
			}
			count++
			t.Run(command, func(t *testing.T) {
				cmd := exec.Command("bash", "-c", "set -euo pipefail; "+command)
				cmd.Dir, cmd.Env = root, env
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%v:\n%s", err, out)
				}
			})
		}
	}
	if count < 5 {
		t.Errorf("the README has %d commands to run; is it read right?", count)
	}
}

// Every scenario that the tour names is offered, with the parameters that it is given
// there; playbook holds the list against the shop's own.
func TestTheTourNamesScenariosThatExist(t *testing.T) {
	tour, err := os.ReadFile("../../docs/tour.md")
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, block := range shellBlock.FindAllStringSubmatch(string(tour), -1) {
		for command := range strings.Lines(block[1]) {
			args := strings.Fields(command)
			if command == "make demo\n" {
				continue
			}
			if len(args) < 3 || args[0] != "bin/cartwheel" || args[1] != "scenario" {
				t.Errorf("%q is no command of the tour", command)
				continue
			}
			for i := 2; i < len(args); i++ {
				if args[i] == "--set" {
					i++
					continue
				}
				named++
				if _, ok := playbook[args[i]]; !ok {
					t.Errorf("the tour names scenario %q, which there is not", args[i])
				}
			}
		}
	}
	if named < len(playbook) {
		t.Errorf("the tour names %d scenarios of %d", named, len(playbook))
	}
}

var (
	testName   = regexp.MustCompile("`(Test[A-Za-z0-9_]+)`")
	linkedTest = regexp.MustCompile(`\[` + "`(Test[A-Za-z0-9_]+)`" + `\]\(([^)]+)\)`)
)

func TestReadmeNamesTestsThatExist(t *testing.T) { namesTestsThatExist(t, "README.md") }

var relativeLink = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)

// Every relative link of the documents leads to a file.
func TestDocumentsLinkToFiles(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range relativeLink.FindAllStringSubmatch(string(text), -1) {
				if _, err := os.Stat(filepath.Join(filepath.Dir(file), l[1])); err != nil {
					t.Errorf("%s links to %s, which is not there", filepath.Base(file), l[1])
				}
			}
		}
	}
}
