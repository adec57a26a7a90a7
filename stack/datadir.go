package stack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/cartwheel-shop/cartwheel/pkg/filelock"
)

// format is the version of the data directory's layout. Raise it when an older
// program could no longer read what a newer one writes.
const format = 1

// openDir makes and locks the data directory and checks its format. The lock
// file names the holder.
func openDir(dir string) (*filelock.Lock, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("data directory %s cannot be made: choose another --data: %w", dir, err)
	}
	path := filepath.Join(dir, "lock")
	lock, err := filelock.Try(path)
	if err != nil {
		return nil, fmt.Errorf("data directory %s is not writable: choose another --data: %w", dir, err)
	}
	if lock == nil {
		holder := "another process"
		if pid, err := os.ReadFile(path); err == nil && len(pid) > 0 {
			holder = "pid " + strings.TrimSpace(string(pid))
		}
		return nil, fmt.Errorf("data directory %s is in use by %s: stop it or choose another --data", dir, holder)
	}
	if err := claimDir(dir, lock); err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	return lock, nil
}

func claimDir(dir string, lock *filelock.Lock) error {
	if err := lock.Write(strconv.Itoa(os.Getpid()) + "\n"); err != nil {
		return fmt.Errorf("data directory %s is not writable: choose another --data: %w", dir, err)
	}
	path := filepath.Join(dir, "format")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := writeFile(path, []byte(strconv.Itoa(format)+"\n")); err != nil {
			return fmt.Errorf("data directory %s is not writable: choose another --data: %w", dir, err)
		}
		return nil
	}
	return checkFormat(dir) // which another process may have written just now
}

// checkFormat refuses a data directory that this program cannot read. One that
// there is not, or that has no format yet, is fine.
func checkFormat(dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, "format"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) { // which can be no directory, as whoever makes it says
		return nil
	}
	if err != nil {
		return fmt.Errorf("data directory %s cannot be read: choose another --data: %w", dir, err)
	}
	found, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return fmt.Errorf("data directory %s has an unreadable format file: remove the directory to start afresh, or choose another --data", dir)
	}
	if found > format {
		return fmt.Errorf("data directory %s was written by a newer version (format %d, this program knows %d): update the program or choose another --data", dir, found, format)
	}
	return nil
}

// writeFile replaces a file in one step.
func writeFile(path string, b []byte) error {
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, b, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
