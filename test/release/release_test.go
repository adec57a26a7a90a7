// Package release uses module pkg as somebody else's program gets it: as a zip from
// a module proxy, without this repository around it.
package release

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"

	"github.com/cartwheel-shop/cartwheel/pkg/bus/bustest"
	"github.com/cartwheel-shop/cartwheel/pkg/postgres/postgrestest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

const pkgPath = "github.com/cartwheel-shop/cartwheel/pkg"

// proxy serves module pkg as it is in the work tree, in a version of its own, from a
// directory that GOPROXY can name.
func proxy(t *testing.T) (url, version string) {
	t.Helper()
	v := module.Version{Path: pkgPath, Version: fmt.Sprintf("v0.0.0-test.%d", time.Now().UnixNano())}
	dir := t.TempDir()
	versions := filepath.Join(dir, filepath.FromSlash(pkgPath), "@v")
	if err := os.MkdirAll(versions, 0o755); err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile("../../pkg/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	info, err := json.Marshal(map[string]any{"Version": v.Version, "Time": time.Now().UTC()})
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	if err := zip.CreateFromDir(&archive, v, "../../pkg"); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"list": []byte(v.Version + "\n"), v.Version + ".info": info, v.Version + ".mod": mod, v.Version + ".zip": archive.Bytes()} {
		if err := os.WriteFile(filepath.Join(versions, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return "file://" + dir, v.Version
}

// build builds examples/outbox with the module from the proxy, outside of the
// repository and its workspace.
func build(t *testing.T) (binary string) {
	t.Helper()
	url, version := proxy(t)
	dir := t.TempDir()
	for _, name := range []string{"go.mod", "main.go"} {
		b, err := os.ReadFile(filepath.Join("../../examples/outbox", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) string {
		cmd := exec.Command("go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod -modcacherw", "GONOSUMDB="+pkgPath, "GOPROXY="+url+","+setting(t, "GOPROXY"))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	cache := setting(t, "GOMODCACHE")
	t.Cleanup(func() { // this version is nobody else's
		_ = os.RemoveAll(filepath.Join(cache, filepath.FromSlash(pkgPath)+"@"+version))
		left, _ := filepath.Glob(filepath.Join(cache, "cache/download", filepath.FromSlash(pkgPath), "@v", version+".*"))
		for _, name := range left {
			_ = os.Remove(name)
		}
	})
	run("mod", "edit", "-require="+pkgPath+"@"+version)
	binary = filepath.Join(dir, "outbox")
	run("build", "-o", binary, ".")
	if got := run("list", "-m", "-f", "{{.Version}} {{.Replace}}", pkgPath); got != version+" <nil>" {
		t.Fatalf("built with %s, want %s from the proxy", got, version)
	}
	return binary
}

func setting(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// A service that is not ours writes facts, has them relayed and consumes them. Killed
// and started again it goes on; each fact has its effect once.
func TestAForeignService(t *testing.T) {
	binary := build(t)
	brokers, server := bustest.Fake(t).ListenAddrs(), postgrestest.URL(t)
	t.Cleanup(func() { postgrestest.Drop(t, "stocktaking") })
	start := func() (lines io.Writer, kill func()) {
		cmd := exec.Command(binary)
		cmd.Env = append(os.Environ(), "KAFKA_BROKERS="+strings.Join(brokers, ","), "POSTGRES_URL="+server)
		cmd.Stderr = t.Output()
		in, err := cmd.StdinPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		return in, func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	}
	// stock is what there is of a product, and what is to be bought.
	stock := func(sku string) (pieces, toBuy int64) {
		config, err := pgx.ParseConfig(server)
		if err != nil {
			t.Fatal(err)
		}
		config.Database = "stocktaking"
		conn, err := pgx.ConnectConfig(t.Context(), config)
		if err != nil {
			return -1, -1 // not made yet
		}
		defer conn.Close(t.Context())
		if err := conn.QueryRow(t.Context(), `SELECT pieces, to_buy FROM stock WHERE sku = $1`, sku).Scan(&pieces, &toBuy); err != nil {
			return -1, -1
		}
		return pieces, toBuy
	}
	in, kill := start()
	fmt.Fprint(in, "milk 3\nmilk 2\nbutter 7\n")
	bustest.Await(t, func() bool { _, toBuy := stock("milk"); return toBuy == 20 }, "milk to be bought for two facts")
	fmt.Fprint(in, "cheese 1\n")
	bustest.Await(t, func() bool { pieces, _ := stock("cheese"); return pieces == 1 }, "cheese to be counted")
	kill() // perhaps before its fact was sent, perhaps after
	in, kill = start()
	defer kill()
	fmt.Fprint(in, "yoghurt 0\n")
	for sku, want := range map[string]int64{"yoghurt": 10, "cheese": 10} {
		bustest.Await(t, func() bool { _, toBuy := stock(sku); return toBuy == want }, "%s to be bought", sku)
	}
	for sku, want := range map[string][2]int64{"milk": {2, 20}, "butter": {7, 0}, "cheese": {1, 10}} {
		if pieces, toBuy := stock(sku); pieces != want[0] || toBuy != want[1] {
			t.Errorf("%d %s left, %d to buy; want %d and %d", pieces, sku, toBuy, want[0], want[1])
		}
	}
}
