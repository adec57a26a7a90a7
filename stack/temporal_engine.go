package stack

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/cartwheel-shop/cartwheel/pkg/child"
	"github.com/cartwheel-shop/cartwheel/pkg/filelock"
)

// unavailableError says that the server's program cannot be had, and what a
// person can do.
type unavailableError struct{ err error }

func (e *unavailableError) Error() string {
	return fmt.Sprintf("the Temporal server cannot be built; orders wait until there is one: install Temporal's command line tool, or set TEMPORAL_ADDRESS, or mend this: %v", e.err)
}

func (e *unavailableError) Unwrap() error { return e.err }

// What made a data directory's database goes on with it: the versions of the two
// servers differ, and with them their schemas.
const (
	fromPath = "temporal"       // the tool that is installed
	fromHere = "temporalserver" // the module beside this one
)

// engine finds the server's program: an installed tool, one that an earlier run
// built, or one that it builds now.
func (t *temporal) engine(ctx context.Context) (string, error) {
	record := filepath.Join(t.dir, "engine")
	b, err := os.ReadFile(record)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read which Temporal made the database: %w", err)
	}
	made := strings.TrimSpace(string(b))
	installed, err := exec.LookPath("temporal")
	var program string
	switch {
	case err == nil && made != fromHere:
		program, made = installed, fromPath
	case made == fromPath:
		return "", &unavailableError{errors.New("the temporal command that made this data directory's workflows is no longer on PATH")}
	default:
		made = fromHere
		if program, err = t.built(ctx); err != nil {
			return "", err
		}
	}
	if err := writeFile(record, []byte(made+"\n")); err != nil {
		return "", fmt.Errorf("record which Temporal makes the database: %w", err)
	}
	return program, nil
}

// built returns the program of module temporalserver, and builds it when the
// cache has none of these very sources.
func (t *temporal) built(ctx context.Context) (string, error) {
	cache := filepath.Join(t.s.cfg.CacheDir, "temporal")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("make the cache for Temporal: %w", err)
	}
	source, err := temporalSource(t.s.cfg.TemporalSource)
	if err != nil {
		// A program that was moved away from its repository still has what it
		// built there.
		if newest := newestArtefact(cache); newest != "" {
			return newest, nil
		}
		return "", &unavailableError{err}
	}
	name, err := artefactName(source)
	if err != nil {
		return "", &unavailableError{err}
	}
	artefact := filepath.Join(cache, name)
	if _, err := os.Stat(artefact); err == nil {
		return artefact, nil
	}
	lock, err := filelock.Wait(ctx, artefact+".lock", func() {
		t.s.report(Status{Part: Temporal, Phase: Building, Detail: "another process builds it"})
	})
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Unlock() }() // the next build finds it free
	if _, err := os.Stat(artefact); err == nil {
		return artefact, nil
	}
	b := build{source: source, artefact: artefact, report: func(done, total int, detail string) {
		t.s.report(Status{Part: Temporal, Phase: Building, Done: done, Total: total, Detail: detail})
	}}
	if err := b.run(ctx); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", &unavailableError{err}
	}
	return artefact, nil
}

// temporalSource finds the directory of module temporalserver: as configured, or
// above the executable, or above the working directory.
func temporalSource(configured string) (string, error) {
	if configured != "" {
		if !isTemporalSource(configured) {
			return "", fmt.Errorf("%s is not the directory of the Temporal server's module", configured)
		}
		return configured, nil
	}
	var from []string
	if exe, err := os.Executable(); err == nil {
		if exe, err = filepath.EvalSymlinks(exe); err == nil {
			from = append(from, filepath.Dir(exe))
		}
	}
	if wd, err := os.Getwd(); err == nil {
		from = append(from, wd)
	}
	for _, dir := range from {
		for ; ; dir = filepath.Dir(dir) {
			if source := filepath.Join(dir, "stack", "temporalserver"); isTemporalSource(source) {
				return source, nil
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return "", fmt.Errorf("there is no stack/temporalserver above %s", strings.Join(from, " or "))
}

var serverVersion = regexp.MustCompile(`(?m)^\s*go\.temporal\.io/server v(\S+)`)

func isTemporalSource(dir string) bool {
	b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	return err == nil && serverVersion.Match(b)
}

// artefactName is different for everything that makes a different program.
func artefactName(source string) (string, error) {
	files, err := filepath.Glob(filepath.Join(source, "*.go"))
	if err != nil {
		return "", err
	}
	slices.Sort(files)
	hash := sha256.New()
	var version string
	for _, file := range append(files, filepath.Join(source, "go.mod"), filepath.Join(source, "go.sum")) {
		b, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("read the Temporal server's sources: %w", err)
		}
		if m := serverVersion.FindSubmatch(b); m != nil {
			version = string(m[1])
		}
		fmt.Fprintf(hash, "%s %d\n", filepath.Base(file), len(b))
		hash.Write(b)
	}
	return fmt.Sprintf("temporalserver-%s-%s-%s-%s", version, runtime.GOOS, runtime.GOARCH, hex.EncodeToString(hash.Sum(nil))[:12]), nil
}

func newestArtefact(cache string) string {
	files, err := filepath.Glob(filepath.Join(cache, fmt.Sprintf("temporalserver-*-%s-%s-*", runtime.GOOS, runtime.GOARCH)))
	if err != nil {
		return ""
	}
	var newest string
	var best fs.FileInfo
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil || strings.HasSuffix(file, ".lock") || info.Mode()&0o100 == 0 {
			continue
		}
		if best == nil || info.ModTime().After(best.ModTime()) {
			newest, best = file, info
		}
	}
	return newest
}

// build compiles the server. It takes minutes, and gives way to everything else
// on the machine.
type build struct {
	source, artefact string
	report           func(done, total int, detail string)
}

// nice is the priority that the compiler runs at: the shop is already up.
const nice = 10

func (b build) run(ctx context.Context) error {
	goTool, err := exec.LookPath("go")
	if err != nil {
		return errors.New("there is no go command on PATH")
	}
	b.report(0, 0, "looking for what has to be compiled")
	total, err := b.count(ctx, goTool)
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp(filepath.Dir(b.artefact), "build-")
	if err != nil {
		return fmt.Errorf("make a directory to build in: %w", err)
	}
	defer os.RemoveAll(scratch)
	out := filepath.Join(scratch, "temporalserver")
	done := 0
	b.report(done, total, "compiling")
	err = b.goCommand(ctx, goTool, io.Discard, func(line string) {
		// With -v, the tool names each package when it starts to compile it. Its
		// other messages are sentences.
		if !strings.ContainsAny(line, " #") {
			done = min(done+1, total)
		}
		b.report(done, total, line)
	}, "build", "-v", "-buildvcs=false", "-ldflags=-s -w", "-o", out, ".")
	if err != nil {
		return err
	}
	if err := os.Rename(out, b.artefact); err != nil {
		return fmt.Errorf("put the built Temporal into the cache: %w", err)
	}
	return nil
}

// count returns how many packages are to be compiled, fetching modules on the
// way.
func (b build) count(ctx context.Context, goTool string) (int, error) {
	list, write := io.Pipe()
	counted := make(chan int)
	go func() {
		n := 0
		for lines := bufio.NewScanner(list); lines.Scan(); {
			if lines.Text() == "true" {
				n++
			}
		}
		counted <- n
	}()
	fetched := 0
	err := b.goCommand(ctx, goTool, write, func(line string) {
		if strings.HasPrefix(line, "go: downloading ") {
			fetched++
			b.report(0, 0, fmt.Sprintf("fetching module %d: %s", fetched, strings.TrimPrefix(line, "go: downloading ")))
		}
	}, "list", "-deps", "-f", "{{.Stale}}", ".")
	write.Close()
	n := <-counted
	return max(n, 1), err
}

// goCommand runs the go command in the module and passes it each line of its
// standard error. An error carries the last of them.
func (b build) goCommand(ctx context.Context, goTool string, stdout io.Writer, line func(string), args ...string) error {
	cmd := exec.Command(goTool, args...)
	cmd.Dir = b.source
	cmd.Env = append(os.Environ(), "GOWORK=off")
	cmd.Stdout = stdout
	stderr, write := io.Pipe()
	cmd.Stderr = write
	var said []string
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			said = append(said, lines.Text())
			line(lines.Text())
		}
		_, _ = io.Copy(io.Discard, stderr) // a line too long to scan
	}()
	p, err := child.Start(cmd, syscall.SIGKILL)
	if err != nil {
		write.Close()
		<-read
		return err
	}
	_ = syscall.Setpriority(syscall.PRIO_PGRP, p.Pid(), nice) // slower is not wrong
	select {
	case <-p.Done():
	case <-ctx.Done():
		// The compilers are in the tool's process group and end with it.
		killed, cancel := context.WithCancel(ctx)
		cancel()
		_ = p.Stop(killed, syscall.SIGINT)
	}
	write.Close()
	<-read
	if err := firstError(ctx.Err(), p.Err()); err != nil {
		return fmt.Errorf("go %s: %w: %s", args[0], err, lastLines([]byte(strings.Join(said, "\n")), 3))
	}
	return nil
}
