// Package compose checks the compose files without an engine; scripts/test-compose
// runs them.
package compose

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

type file struct {
	Services map[string]struct {
		Image       string
		Restart     string
		Build       any
		Ports       []string
		ReadOnly    bool     `yaml:"read_only"`
		CapDrop     []string `yaml:"cap_drop"`
		SecurityOpt []string `yaml:"security_opt"`
		Healthcheck struct {
			Test    []string
			Disable bool
		}
		DependsOn map[string]struct{ Condition string } `yaml:"depends_on"`
		Deploy    struct {
			Resources struct{ Limits, Reservations struct{ Memory string } }
		}
		Command any
	}
}

func root(parts ...string) string { return filepath.Join(append([]string{"..", ".."}, parts...)...) }

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(root(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func parse(t *testing.T, name string) file {
	t.Helper()
	var f file
	if err := yaml.Unmarshal([]byte(read(t, name)), &f); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return f
}

// settings are the variables of .env.
func settings(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for line := range strings.Lines(read(t, ".env")) {
		line = strings.TrimSpace(line)
		if name, value, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			out[name] = value
		}
	}
	return out
}

// The limits of all containers together are what the README says a machine needs,
// and no more than 4 GiB.
func TestMemory(t *testing.T) {
	sum := 0
	for name, s := range parse(t, "docker-compose.yml").Services {
		limit, reserved := mebibytes(t, name, s.Deploy.Resources.Limits.Memory), mebibytes(t, name, s.Deploy.Resources.Reservations.Memory)
		if reserved >= limit {
			t.Errorf("%s reserves %d of %d MiB", name, reserved, limit)
		}
		sum += limit
	}
	if sum > 4096 {
		t.Errorf("the limits are %d MiB together, and may be 4096", sum)
	}
	if want := fmt.Sprintf("%d MiB", sum); !strings.Contains(read(t, "README.md"), want) {
		t.Errorf("the limits are %s together, which the README does not say", want)
	}
}

func mebibytes(t *testing.T, service, size string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSuffix(size, "M"))
	if err != nil {
		t.Fatalf("%s has the memory %q, want a number and M", service, size)
	}
	return n
}

var variable = regexp.MustCompile(`\$\{([A-Z_]+)(:[-?][^}]*)?\}`)

// Every variable that has no default is in .env, and one that somebody deletes there
// stops compose with a sentence that names it; all of .env is used.
func TestVariables(t *testing.T) {
	have, used := settings(t), map[string]bool{}
	for _, name := range []string{"docker-compose.yml", "compose.dev.yml"} {
		for _, m := range variable.FindAllStringSubmatch(read(t, name), -1) {
			used[m[1]] = true
			_, ok := have[m[1]]
			if optional := strings.HasPrefix(m[2], ":-"); ok == optional {
				t.Errorf("%s uses %s with %q: .env sets it: %v", name, m[1], m[2], ok)
			}
			if m[2] == "" {
				t.Errorf("%s would take nothing for %s when it is missing", name, m[1])
			}
		}
	}
	scripts := read(t, "scripts/dev")
	for name := range have {
		if !used[name] && !strings.Contains(scripts, name) {
			t.Errorf(".env sets %s, which nothing uses", name)
		}
	}
}

func TestImagesArePinned(t *testing.T) {
	have := settings(t)
	for name, s := range parse(t, "docker-compose.yml").Services {
		image := variable.ReplaceAllStringFunc(s.Image, func(v string) string { return have[variable.FindStringSubmatch(v)[1]] })
		if _, tag, ok := strings.Cut(image, ":"); !ok || tag == "" || tag == "latest" {
			t.Errorf("%s has the image %q, which names no version", name, image)
		}
	}
}

// These write their settings into their own file system when they start.
var writable = []string{"kafka", "temporal", "temporal-ui"}

// Each container that stays has a health check and comes back; none has capabilities
// or can get any, and all but those that cannot are read-only; what ends is awaited by
// somebody, or up --wait would fail.
func TestContainers(t *testing.T) {
	services := parse(t, "docker-compose.yml").Services
	awaited := map[string]bool{}
	for _, s := range services {
		for name, d := range s.DependsOn {
			if d.Condition == "service_completed_successfully" {
				awaited[name] = true
			}
			if d.Condition == "service_started" {
				t.Errorf("somebody waits for the start of %s, and not for its health", name)
			}
		}
	}
	for name, s := range services {
		once := strings.HasSuffix(name, "-setup") || strings.HasSuffix(name, "-schema") || strings.HasSuffix(name, "-namespace")
		if once != awaited[name] {
			t.Errorf("%s: runs once %v, awaited %v", name, once, awaited[name])
		}
		if !once && (len(s.Healthcheck.Test) == 0 || s.Restart != "unless-stopped") {
			t.Errorf("%s has no health check, or does not come back when Docker does", name)
		}
		if strings.HasSuffix(name, "-setup") && s.Restart != "no" {
			t.Errorf("%s starts again and again when it fails, and up --wait never ends", name)
		}
		if s.ReadOnly == slices.Contains(writable, name) {
			t.Errorf("%s is read-only: %v", name, s.ReadOnly)
		}
		if !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Equal(s.SecurityOpt, []string{"no-new-privileges:true"}) {
			t.Errorf("%s may have capabilities", name)
		}
	}
}

// What is published is published on loopback.
func TestPortsAreOnLoopback(t *testing.T) {
	for _, name := range []string{"docker-compose.yml", "compose.dev.yml"} {
		for service, s := range parse(t, name).Services {
			for _, p := range s.Ports {
				if !strings.HasPrefix(p, "127.0.0.1:") {
					t.Errorf("%s: %s publishes %s", name, service, p)
				}
			}
		}
	}
}

// Whoever looks at a red container finds it in the documents.
func TestDocumentsNameEveryContainer(t *testing.T) {
	operations := read(t, "docs/operations.md")
	for name := range parse(t, "docker-compose.yml").Services {
		if !strings.Contains(operations, "`"+name+"`") {
			t.Errorf("docs/operations.md does not say what %s is", name)
		}
	}
}

// A module that the Dockerfile does not know would fail every build, and a program
// that it does not build every start.
func TestDockerfileKnowsEveryModuleAndProgram(t *testing.T) {
	dockerfile := read(t, "deploy/Dockerfile")
	for _, m := range regexp.MustCompile(`(?m)^\t\./(.*)$`).FindAllStringSubmatch(read(t, "go.work"), -1) {
		if want := fmt.Sprintf("COPY %s/go.mod %[1]s/go.sum %[1]s/\n", m[1]); !strings.Contains(dockerfile, want) {
			t.Errorf("deploy/Dockerfile lacks %q", want)
		}
	}
	for name, s := range parse(t, "docker-compose.yml").Services {
		if s.Build != nil && !regexp.MustCompile(`\./\S+/cmd/`+name+`\b`).MatchString(dockerfile) {
			t.Errorf("deploy/Dockerfile does not build %s", name)
		}
	}
}
