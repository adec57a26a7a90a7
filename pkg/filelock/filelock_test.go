package filelock_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/cartwheel-shop/cartwheel/pkg/filelock"
)

func TestOneHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := filelock.Try(path)
	if err != nil || first == nil {
		t.Fatalf("first: %v, %v", first, err)
	}
	if err := first.Write("holder 12345"); err != nil {
		t.Fatal(err)
	}
	if err := first.Write("me"); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(path); string(b) != "me" {
		t.Fatalf("content %q", b)
	}
	if second, err := filelock.Try(path); err != nil || second != nil {
		t.Fatalf("a second holder: %v, %v", second, err)
	}

	waiting := make(chan struct{})
	got := make(chan *filelock.Lock, 1)
	go func() {
		l, err := filelock.Wait(context.Background(), path, func() { close(waiting) })
		if err != nil {
			t.Error(err)
		}
		got <- l
	}()
	<-waiting
	if err := first.Unlock(); err != nil {
		t.Fatal(err)
	}
	if l := <-got; l == nil {
		t.Fatal("the waiter did not get the lock")
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	if l, err := filelock.Try(path); err != nil || l == nil {
		t.Fatal(l, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := filelock.Wait(ctx, path, cancel)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
}

func TestAnUnwritableDirectoryIsReported(t *testing.T) {
	if _, err := filelock.Try(filepath.Join(t.TempDir(), "missing", "lock")); err == nil {
		t.Fatal("no error")
	}
}
