package child_test

import (
	"context"
	"net"
	"os/exec"
	"sync"
	"testing"

	"github.com/cartwheel-shop/cartwheel/pkg/child"
)

// A port that was looked at is free at once, however many children are started.
func TestAPortIsFreeThoughChildrenAreStarted(t *testing.T) {
	program, err := exec.LookPath("true")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var forks sync.WaitGroup
	for range 4 {
		forks.Go(func() {
			for ctx.Err() == nil {
				_ = exec.CommandContext(ctx, program).Run() // killed at the end
			}
		})
	}
	defer forks.Wait()
	defer stop()
	for range 500 {
		var addr string
		child.Apart(func() {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Error(err)
				return
			}
			addr = l.Addr().String()
			_ = l.Close()
		})
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
	}
}
