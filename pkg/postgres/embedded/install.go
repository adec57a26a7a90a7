package embedded

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"

	"github.com/cartwheel-shop/cartwheel/pkg/filelock"
)

// version is the Postgres that is fetched; major is what a data directory of it
// says in its PG_VERSION file.
const (
	version = embeddedpostgres.V17
	major   = "17"
)

// oldest is the oldest Postgres that the shop runs on.
const oldest = 15

// programs returns the directory of Postgres's programs, and their major version.
func programs(ctx context.Context, cfg Config) (home string, release int, err error) {
	if cfg.Installed == "" {
		home, err = install(ctx, cfg.CacheDir, cfg.Progress)
		if err != nil {
			return "", 0, err
		}
		release, err = strconv.Atoi(major)
		return home, release, err
	}
	if !complete(cfg.Installed) {
		return "", 0, fmt.Errorf("there is no Postgres in %s: bin/postgres, bin/initdb or bin/pg_ctl is missing", cfg.Installed)
	}
	out, err := exec.CommandContext(ctx, filepath.Join(cfg.Installed, "bin", "postgres"), "--version").Output()
	if err != nil {
		return "", 0, fmt.Errorf("ask the Postgres in %s for its version: %w", cfg.Installed, err)
	}
	// "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)"
	if _, err := fmt.Sscanf(string(out), "postgres (PostgreSQL) %d", &release); err != nil || release < oldest {
		return "", 0, fmt.Errorf("the Postgres in %s says %q, and %d or newer is needed", cfg.Installed, strings.TrimSpace(string(out)), oldest)
	}
	return cfg.Installed, release, nil
}

// install makes sure that the binaries are in the cache and returns their
// directory. Processes that start together wait for the one that fetches.
func install(ctx context.Context, cacheDir string, report func(string)) (string, error) {
	home := filepath.Join(cacheDir, "postgres", fmt.Sprintf("%s-%s-%s", version, runtime.GOOS, runtime.GOARCH))
	if complete(home) {
		return home, nil
	}
	if err := os.MkdirAll(filepath.Dir(home), 0o755); err != nil {
		return "", fmt.Errorf("create the Postgres cache: %w", err)
	}
	lock, err := filelock.Wait(ctx, home+".lock", func() {
		report("waiting for another process that fetches Postgres " + string(version))
	})
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Unlock() }() // the next one finds it free
	if complete(home) {
		return home, nil
	}
	report("fetching Postgres " + string(version) + " (15 MB)")
	fetched := make(chan error, 1)
	go func() { fetched <- fetch(cacheDir, home) }()
	select {
	case err := <-fetched:
		if err != nil {
			return "", fmt.Errorf("fetch Postgres %s (is there a network? else set POSTGRES_URL to a server of your own): %w", version, err)
		}
	case <-ctx.Done():
		// The library cannot be interrupted, but publishes by rename: the
		// download ends by itself and harms nobody.
		return "", ctx.Err()
	}
	return home, nil
}

// fetch lets the library download, verify and unpack the binaries, which is all
// that it is used for. Its Start would go on to run the server by pg_ctl, which
// refuses root and survives us, so it is given a directory that looks like a
// database at first sight only, and stops there.
func fetch(cacheDir, home string) error {
	scratch, err := os.MkdirTemp(filepath.Dir(home), "fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	data := filepath.Join(scratch, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(data, "PG_VERSION"), []byte(major+"\n"), 0o600); err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	// An unpacked directory without its programs was damaged by somebody.
	if err := os.RemoveAll(home); err != nil {
		return err
	}
	err = embeddedpostgres.NewDatabase(embeddedpostgres.DefaultConfig().
		Version(version).
		Port(uint32(port)).
		CachePath(filepath.Join(cacheDir, "postgres")).
		BinariesPath(home).
		RuntimePath(filepath.Join(scratch, "run")).
		DataPath(data).
		Logger(io.Discard)).Start()
	if complete(home) {
		return makeReadable(home)
	}
	if err == nil {
		err = fmt.Errorf("the archive lacks programs")
	}
	return err
}

func complete(home string) bool {
	for _, program := range []string{"postgres", "initdb", "pg_ctl"} {
		if _, err := os.Stat(filepath.Join(home, "bin", program)); err != nil {
			return false
		}
	}
	return true
}

// makeReadable lets every user run the binaries, whatever our umask was.
func makeReadable(home string) error {
	return filepath.WalkDir(home, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.Type()&os.ModeSymlink != 0 {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() | 0o444
		if d.IsDir() || mode&0o100 != 0 {
			mode |= 0o111
		}
		return os.Chmod(path, mode)
	})
}
