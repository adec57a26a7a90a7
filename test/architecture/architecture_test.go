// Package architecture holds the rules of who may import whom. Each has its
// reason; a change that breaks one needs a better reason than that.
package architecture

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const prefix = "github.com/cartwheel-shop/cartwheel/"

// pkg is a package of ours with what it imports of ours, tests left out.
type pkg struct {
	ImportPath string
	Imports    []string
	GoFiles    []string
	Dir        string
}

var modules = []string{"pkg", "services/order", "services/inventory", "services/payment", "services/notification", "services/analytics", "stack", "web", "cmd/cartwheel"}

func load(t *testing.T) []pkg {
	t.Helper()
	args := []string{"list", "-json=ImportPath,Imports,GoFiles,Dir"}
	for _, m := range modules {
		args = append(args, "./"+m+"/...")
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = root(t)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		p.ImportPath = strings.TrimPrefix(p.ImportPath, prefix)
		all = append(all, p)
	}
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// ours returns the imports of p that are packages of this repository.
func (p pkg) ours() []string {
	var out []string
	for _, i := range p.Imports {
		if rest, ok := strings.CutPrefix(i, prefix); ok {
			out = append(out, rest)
		}
	}
	return out
}

func under(path string, roots ...string) bool {
	return slices.ContainsFunc(roots, func(r string) bool { return path == r || strings.HasPrefix(path, r+"/") })
}

// rules say which packages may not be imported from where, and why.
var rules = []struct {
	from    []string
	not     []string
	because string
}{
	{[]string{"pkg"}, []string{"services", "stack", "web", "cmd"},
		"pkg is what every service shares and what others fork on its own: it knows none of them"},
	{[]string{"services"}, []string{"stack", "web", "cmd"},
		"a service never knows whether its dependencies are embedded, nor who stands in front of it"},
	{[]string{"stack"}, []string{"services", "web", "cmd"},
		"the stack is servers that a shop needs; it must start without a shop, for tests"},
	{[]string{"web"}, []string{"services", "stack", "cmd"},
		"the edge speaks to services by HTTP alone, so that it is the same program in a container of its own"},
	{[]string{"pkg/events"}, []string{"pkg"},
		"the event contract depends on nothing, so that anybody can use it alone"},
	{[]string{"pkg/outbox", "pkg/inbox", "pkg/postgres"}, []string{"pkg/bus", "pkg/saga", "pkg/service", "pkg/httpapi"},
		"the outbox is useful without our bus, saga and HTTP: it publishes through Watermill's interface"},
}

func TestImports(t *testing.T) {
	for _, p := range load(t) {
		for _, rule := range rules {
			if !under(p.ImportPath, rule.from...) {
				continue
			}
			for _, imported := range p.ours() {
				if under(imported, rule.not...) && !under(imported, rule.from...) {
					t.Errorf("%s imports %s, but %s", p.ImportPath, imported, rule.because)
				}
			}
		}
	}
}

func TestNoServiceImportsAnother(t *testing.T) {
	service := func(path string) string {
		parts := strings.SplitN(path, "/", 3)
		if parts[0] != "services" || len(parts) < 2 {
			return ""
		}
		return parts[1]
	}
	for _, p := range load(t) {
		for _, imported := range p.ours() {
			from, to := service(p.ImportPath), service(imported)
			if from != "" && to != "" && from != to {
				t.Errorf("services/%s imports services/%s, but services share nothing but messages: each must live without the others' code", from, to)
			}
		}
	}
}

// What the bench compares us with stays there: no service, and so no image, has
// it inside.
func TestReferencesStayInTheBench(t *testing.T) {
	for _, p := range load(t) {
		for _, i := range p.Imports {
			if strings.HasPrefix(i, "github.com/ThreeDotsLabs/watermill-sql") && p.ImportPath != "cmd/cartwheel/internal/bench" {
				t.Errorf("%s imports %s, but that is a reference of the bench, and nothing runs on it", p.ImportPath, i)
			}
		}
	}
}

// A service's domain file does no I/O: it can be read and tested without any of
// the rest.
func TestDomainFilesAreFreeOfIO(t *testing.T) {
	forbidden := []string{"net/http", "database/sql", "os", "github.com/jackc/", "go.temporal.io/", "github.com/nats-io/", "github.com/ThreeDotsLabs/", "github.com/twmb/"}
	for _, name := range []string{"order", "inventory", "payment", "notification", "analytics"} {
		file := filepath.Join("services", name, name+".go")
		cmd := exec.Command("go", "list", "-json=Imports", filepath.Join(root(t), file))
		cmd.Dir = filepath.Join(root(t), "services", name)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list %s: %v", file, err)
		}
		var p pkg
		if err := json.Unmarshal(out, &p); err != nil {
			t.Fatal(err)
		}
		for _, i := range p.Imports {
			for _, f := range forbidden {
				if i == f || strings.HasSuffix(f, "/") && strings.HasPrefix(i, f) {
					t.Errorf("%s imports %s, but the domain does no I/O", file, i)
				}
			}
		}
	}
}

// Every package that is there to be forked says in its doc.go what it guarantees.
func TestPackagesHaveAContract(t *testing.T) {
	dirs, err := filepath.Glob(filepath.Join(root(t), "pkg", "*", "*.go"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no packages in pkg: %v", err)
	}
	for _, file := range dirs {
		doc := filepath.Join(filepath.Dir(file), "doc.go")
		if _, err := os.Stat(doc); err != nil {
			t.Errorf("pkg/%s has no doc.go: whoever takes a package reads there what it promises", filepath.Base(filepath.Dir(file)))
		}
	}
}

// One shape: who knows one service knows all.
func TestServicesHaveOneShape(t *testing.T) {
	files := []string{"doc.go", "store.go", "api.go", "service.go", "go.mod"}
	extra := map[string][]string{
		"order":        {"order.go", "consumers.go", "workflow.go", "activities.go"},
		"inventory":    {"inventory.go", "activities.go"},
		"payment":      {"payment.go", "activities.go"},
		"notification": {"notification.go", "consumers.go"},
		"analytics":    {"analytics.go", "consumers.go"},
	}
	for name, more := range extra {
		for _, want := range append(slices.Concat(files, more), "cmd/"+name+"/main.go", "migrations") {
			if matches, _ := filepath.Glob(filepath.Join(root(t), "services", name, want)); len(matches) == 0 {
				t.Errorf("services/%s has no %s: every service has the same files in the same roles", name, want)
			}
		}
	}
}
