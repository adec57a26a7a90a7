package stack

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"syscall"
	"testing"
)

// A port may be taken before the program that it was picked for listens there.
// The program is then started at another, and that one is remembered.
func TestAProgramGoesOnToAnotherPort(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ports.json")
	p, err := openPorts(file)
	if err != nil {
		t.Fatal(err)
	}
	listen := func(port int) net.Listener {
		l, err := net.Listen("tcp", address(port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return l
	}
	var tried [][]int
	err = p.start(func(at ...int) error {
		tried = append(tried, at)
		if len(tried) <= 2 {
			listen(at[1]) // somebody was faster
		}
		for _, port := range at {
			l, err := net.Listen("tcp", address(port))
			if err != nil {
				return err
			}
			defer l.Close()
		}
		return nil
	}, "nats", "mqtt")
	if err != nil || len(tried) != 3 {
		t.Fatalf("started at %v: %v; want the third to do", tried, err)
	}
	for _, at := range tried {
		if at[0] != tried[0][0] {
			t.Errorf("nats moved from %d to %d without need", tried[0][0], at[0])
		}
	}
	if tried[1][1] == tried[0][1] || tried[2][1] == tried[1][1] {
		t.Errorf("mqtt was tried at %v, want another port each time", tried)
	}
	again, err := openPorts(file)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := again.pick("mqtt"); err != nil || got != tried[2][1] {
		t.Errorf("remembered is %d (%v), want %d", got, err, tried[2][1])
	}
}

// What ends for another reason is not started again, nor is for ever what finds
// every port taken.
func TestAProgramThatDoesNotStartIsGivenUp(t *testing.T) {
	p, err := openPorts(filepath.Join(t.TempDir(), "ports.json"))
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("its data is of another version")
	for _, tc := range []struct {
		name  string
		err   error
		taken bool
		want  int
	}{
		{"for another reason", broken, false, 1},
		{"every port is taken", broken, true, tries},
		{"every port was taken for a moment", fmt.Errorf("listen: %w", syscall.EADDRINUSE), false, tries},
	} {
		started := 0
		err := p.start(func(at ...int) error {
			started++
			if tc.taken {
				l, err := net.Listen("tcp", address(at[0]))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = l.Close() })
			}
			return tc.err
		}, "redis")
		if !errors.Is(err, tc.err) || started != tc.want {
			t.Errorf("%s: started %d times, %v; want %d and its own words", tc.name, started, err, tc.want)
		}
	}
}
