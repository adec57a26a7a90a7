package filelock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// Lock is a held lock. The file stays where it is when the lock is freed.
type Lock struct{ f *os.File }

// Try locks the file, which it makes when missing, and returns nil when another
// process holds it.
func Try(path string) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, f.Close()
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &Lock{f}, nil
}

// Wait locks the file, waiting for other holders. It calls waiting once when it
// has to.
func Wait(ctx context.Context, path string, waiting func()) (*Lock, error) {
	poll := time.NewTicker(100 * time.Millisecond)
	defer poll.Stop()
	for first := true; ; first = false {
		l, err := Try(path)
		if l != nil || err != nil {
			return l, err
		}
		if first && waiting != nil {
			waiting()
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the lock %s: %w", path, ctx.Err())
		}
	}
}

// Write replaces the file's content, for whoever wants to know the holder.
func (l *Lock) Write(s string) error {
	if err := l.f.Truncate(0); err != nil {
		return fmt.Errorf("truncate lock file: %w", err)
	}
	if _, err := l.f.WriteAt([]byte(s), 0); err != nil {
		return fmt.Errorf("write lock file: %w", err)
	}
	return nil
}

// Unlock frees the lock.
func (l *Lock) Unlock() error { return l.f.Close() }
