package stack

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"

	"github.com/cartwheel-shop/cartwheel/pkg/child"
)

const loopback = "127.0.0.1"

// ports remembers which part listened where, so that bookmarks and the settings
// of foreign clients stay good over a restart.
type ports struct {
	file  string
	mu    sync.Mutex
	known map[string]int
}

func openPorts(file string) (*ports, error) {
	p := &ports{file: file, known: map[string]int{}}
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the remembered ports: %w", err)
	}
	if json.Unmarshal(b, &p.known) != nil {
		// They are a convenience: damaged ones are forgotten.
		p.known = map[string]int{}
	}
	return p, nil
}

// listen opens the port that name had last time, or a free one.
func (p *ports) listen(name string) (net.Listener, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, err := listenAgain(p.known[name])
	// A port that another part remembers may be free just now, because that part
	// starts later.
	for err != nil || p.belongsToAnother(name, l) {
		if l != nil {
			defer l.Close() // kept until a good one is found, so that it is not offered again
		}
		if l, err = listenAnywhere(); err != nil {
			return nil, fmt.Errorf("find a free port for %s: %w", name, err)
		}
	}
	if port := l.Addr().(*net.TCPAddr).Port; port != p.known[name] {
		p.known[name] = port
		b, err := json.MarshalIndent(p.known, "", "  ")
		if err == nil {
			err = writeFile(p.file, append(b, '\n'))
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("remember the port of %s: %w", name, err), l.Close())
		}
	}
	return l, nil
}

// Ports in this range are ours by choice only: systems take those of outgoing
// connections, and those that programs ask for as "any", from above it.
const (
	lowest  = 20000
	highest = 32000
)

// listenAgain opens the port of last time, if there was one.
func listenAgain(port int) (net.Listener, error) {
	if port == 0 {
		return listenAnywhere()
	}
	return net.Listen("tcp", address(port))
}

// listenAnywhere opens a free port. Out of the range, as when all of it is
// taken, it opens any.
func listenAnywhere() (net.Listener, error) {
	for range 20 {
		if l, err := net.Listen("tcp", address(lowest+rand.IntN(highest-lowest))); err == nil {
			return l, nil
		}
	}
	return net.Listen("tcp", address(0))
}

func (p *ports) belongsToAnother(name string, l net.Listener) bool {
	for other, port := range p.known {
		if other != name && port == l.Addr().(*net.TCPAddr).Port {
			return true
		}
	}
	return false
}

// pick finds the port for a program that listens by itself. It is free now;
// nothing keeps it so.
func (p *ports) pick(name string) (port int, err error) {
	child.Apart(func() {
		var l net.Listener
		if l, err = p.listen(name); err == nil {
			port, err = l.Addr().(*net.TCPAddr).Port, l.Close()
		}
	})
	return port, err
}

// tries is how many times a program is started that finds its port taken.
const tries = 5

// start starts a program that listens by itself, at a port for each name. When it
// does not start and somebody else has one of them, or had it for a moment, it is
// started again, at another.
func (p *ports) start(run func(at ...int) error, names ...string) error {
	for try := 1; ; try++ {
		at := make([]int, len(names))
		for i, name := range names {
			var err error
			if at[i], err = p.pick(name); err != nil {
				return err
			}
		}
		err := run(at...)
		if err == nil || try == tries || !errors.Is(err, syscall.EADDRINUSE) && !slices.ContainsFunc(at, taken) {
			return err
		}
	}
}

// taken says whether somebody listens on a port.
func taken(port int) (yes bool) {
	child.Apart(func() {
		l, err := net.Listen("tcp", address(port))
		if yes = errors.Is(err, syscall.EADDRINUSE); err == nil {
			_ = l.Close() // nobody has connected
		}
	})
	return yes
}

func address(port int) string { return net.JoinHostPort(loopback, strconv.Itoa(port)) }
