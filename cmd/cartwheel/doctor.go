package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

type doctorCmd struct {
	Data    string `default:"${data}" placeholder:"DIR" help:"Data directory to look at. Default: ${data}."`
	Listen  string `default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Address that the console is to have."`
	Compose bool   `help:"Look at what docker compose needs instead; in the root of the repository."`
	JSON    bool   `name:"json" help:"Print as JSON."`
}

// Help is shown by cartwheel doctor --help.
func (doctorCmd) Help() string {
	return `Exit status 0 when nothing is missing, 2 when something is.

Examples:
  cartwheel doctor
  cartwheel doctor --data /tmp/shop --json
  cartwheel doctor --compose`
}

// symptom is a thing the doctor has looked at.
type symptom struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
	Mend   string `json:"mend,omitempty"` // the command that mends it
}

// Run looks at the machine.
func (c *doctorCmd) Run(ctx context.Context) error {
	var all []symptom
	if c.Compose {
		var err error
		if all, err = composeSymptoms(ctx); err != nil {
			return err
		}
	} else {
		all = []symptom{goVersion(ctx), nodeVersion(ctx), c.port(ctx), memory(), c.disk(), c.writable(), c.running()}
	}
	if c.JSON {
		if err := printJSON(all); err != nil {
			return err
		}
	}
	sick := false
	for _, s := range all {
		sick = sick || !s.OK
		if c.JSON {
			continue
		}
		mark := "ok   "
		if !s.OK {
			mark = "FAIL "
		}
		fmt.Printf("%s %-10s %s\n", mark, s.Name, s.Detail)
		if s.Mend != "" && !s.OK {
			fmt.Printf("      %-10s %s\n", "", s.Mend)
		}
	}
	if sick {
		return errBroken
	}
	return nil
}

func goVersion(ctx context.Context) symptom {
	s := symptom{Name: "go", Mend: "install Go 1.26 or newer: https://go.dev/doc/install"}
	out, err := exec.CommandContext(ctx, "go", "env", "GOVERSION").Output()
	version := strings.TrimSpace(string(out))
	major, minor := numbers(strings.TrimPrefix(version, "go"))
	s.OK = err == nil && (major > 1 || major == 1 && minor >= 26)
	s.Detail = version + ", needed: 1.26"
	if err != nil {
		s.Detail = "not found; it builds the shop, and the saga engine on the first start"
	}
	return s
}

func nodeVersion(ctx context.Context) symptom {
	s := symptom{Name: "node", Mend: "install Node 20 or newer: https://nodejs.org"}
	out, err := exec.CommandContext(ctx, "node", "--version").Output()
	version := strings.TrimSpace(string(out))
	major, _ := numbers(strings.TrimPrefix(version, "v"))
	s.OK, s.Detail = err == nil && major >= 20, version+", needed to build the console: 20"
	if err != nil {
		s.Detail = "not found; it builds the console"
	}
	return s
}

// numbers reads the first two numbers of a version.
func numbers(version string) (major, minor int) {
	parts := strings.SplitN(version, ".", 3)
	major, _ = strconv.Atoi(parts[0]) // 0 is too old for anything
	if len(parts) > 1 {
		minor, _ = strconv.Atoi(parts[1])
	}
	return major, minor
}

func (c *doctorCmd) port(ctx context.Context) symptom {
	s := symptom{Name: "port", OK: true, Detail: c.Listen + " is free", Mend: "stop what listens there, or start with cartwheel up --listen 127.0.0.1:0"}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		if pid, up := c.shop(); up {
			s.Detail = fmt.Sprintf("%s: a shop runs here, pid %d", c.Listen, pid)
			return s
		}
		s.OK, s.Detail = false, c.Listen+" is taken"
		return s
	}
	_ = ln.Close()
	return s
}

const (
	needMemory = 1 << 30
	needDisk   = 4 << 30
)

func memory() symptom {
	s := symptom{Name: "memory", OK: true, Detail: "not known on " + runtime.GOOS, Mend: "close something: the shop itself needs 450 MB, building the saga engine 1 GB once"}
	raw, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return s
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "MemAvailable:"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			s.OK, s.Detail = kb<<10 >= needMemory, fmt.Sprintf("%d MB available, needed: %d", kb>>10, needMemory>>20)
		}
	}
	return s
}

func (c *doctorCmd) disk() symptom {
	s := symptom{Name: "disk", OK: true, Mend: "free some space, or choose another place with --data"}
	dir := c.Data
	for dir != filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		s.OK, s.Detail = false, err.Error()
		return s
	}
	free := fs.Bavail * uint64(fs.Bsize)
	s.OK, s.Detail = free >= needDisk, fmt.Sprintf("%d MB free at %s, needed: %d", free>>20, dir, needDisk>>20)
	return s
}

func (c *doctorCmd) writable() symptom {
	s := symptom{Name: "data", OK: true, Detail: c.Data, Mend: "choose another directory with --data, or mend its permissions"}
	if err := os.MkdirAll(c.Data, 0o755); err != nil {
		s.OK, s.Detail = false, err.Error()
		return s
	}
	f, err := os.CreateTemp(c.Data, ".doctor")
	if err != nil {
		s.OK, s.Detail = false, err.Error()
		return s
	}
	_ = f.Close()
	_ = os.Remove(f.Name())
	return s
}

// shop finds the running shop of the data directory.
func (c *doctorCmd) shop() (pid int, up bool) {
	if _, err := (server{Data: c.Data}).endpoints(); err != nil {
		return 0, false
	}
	raw, err := os.ReadFile(filepath.Join(c.Data, "cartwheel.pid"))
	if err != nil {
		return 0, false
	}
	pid, err = strconv.Atoi(strings.TrimSpace(string(raw)))
	return pid, err == nil && syscall.Kill(pid, 0) == nil
}

// running says what the shop's processes use, together.
func (c *doctorCmd) running() symptom {
	s := symptom{Name: "shop", OK: true, Detail: "not running on " + c.Data}
	pid, up := c.shop()
	if !up {
		return s
	}
	pids := append(descendants(pid), pid)
	total := int64(0)
	for _, p := range pids {
		kb, err := pss(p)
		if err != nil {
			s.Detail = fmt.Sprintf("running, pid %d; its memory is not known: %v", pid, err)
			return s
		}
		total += kb
	}
	s.Detail = fmt.Sprintf("running, pid %d: %d MB in %d processes (PSS)", pid, total>>10, len(pids))
	return s
}

// pss is the proportional set size of a process, in kB.
func pss(pid int) (int64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	scan := bufio.NewScanner(bytes.NewReader(raw))
	for scan.Scan() {
		if rest, ok := strings.CutPrefix(scan.Text(), "Pss:"); ok {
			return strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
		}
	}
	return 0, errors.New("the kernel does not say")
}

// descendants are the processes below a process.
func descendants(pid int) []int {
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		raw, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		// pid (name) state ppid …; the name may hold anything
		at := bytes.LastIndexByte(raw, ')')
		fields := strings.Fields(string(raw[at+1:]))
		child, err1 := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		parent, err2 := strconv.Atoi(fields[1])
		if err1 == nil && err2 == nil {
			children[parent] = append(children[parent], child)
		}
	}
	var all []int
	for next := children[pid]; len(next) > 0; {
		all = append(all, next...)
		var deeper []int
		for _, p := range next {
			deeper = append(deeper, children[p]...)
		}
		next = deeper
	}
	return all
}
