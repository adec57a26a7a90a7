package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/child"
	"github.com/cartwheel-shop/cartwheel/pkg/observe"
	"github.com/cartwheel-shop/cartwheel/pkg/service"
)

// machine is what scenarios break: the parts of a running shop. The services share
// this process, in which a goroutine cannot be killed, and a service that is told
// to stop drains. So a service that is to be killed moves into a process of its
// own first, at the same address, and stays there; killing that is SIGKILL.
type machine struct {
	shop  *shop
	group *group

	mu      sync.Mutex
	members map[string]*member
}

// member is a service of the shop.
type member struct {
	name string
	addr string        // where it answers, wherever it runs
	stop func()        // tells the service in this process to stop
	left chan struct{} // closed when that has stopped

	process *child.Process // nil as long as it runs in this process
	dead    bool           // killed, and to stay so
}

func newMachine(s *shop, g *group) *machine {
	return &machine{shop: s, group: g, members: map[string]*member{}}
}

// run runs a service in this process, as a part of the group.
func (m *machine) run(ctx context.Context, name string, svc runner) {
	inside, stop := context.WithCancel(ctx)
	mem := &member{name: name, stop: stop, left: make(chan struct{})}
	m.mu.Lock()
	m.members[name] = mem
	m.mu.Unlock()
	m.group.start(ctx, name, func(context.Context) error {
		defer close(mem.left)
		defer stop()
		return svc.Run(inside)
	})
}

// at notes where a service answers.
func (m *machine) at(name, addr string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.members[name].addr = addr
}

// Lacks says why a part cannot be broken; empty when it can.
func (m *machine) Lacks(part string) string {
	if part == "kafka" && m.shop.environ["KAFKA_BROKERS"] != "" {
		return "this shop uses a Kafka that somebody else runs (KAFKA_BROKERS): start a shop without it"
	}
	return ""
}

// Isolate moves a service into a process of its own, unless it is in one.
func (m *machine) Isolate(ctx context.Context, name string) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	mem := m.members[name]
	if mem == nil {
		return 0, fmt.Errorf("there is no service %s", name)
	}
	if mem.process == nil {
		mem.stop()
		select {
		case <-mem.left:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		m.group.start(m.group.ctx, name, func(ctx context.Context) error {
			<-ctx.Done()
			return m.end(mem)
		})
	}
	if err := m.spawn(ctx, mem); err != nil {
		return 0, err
	}
	return mem.process.Pid(), nil
}

// Kill ends a service's process by SIGKILL.
func (m *machine) Kill(ctx context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	mem := m.members[name]
	if mem == nil || mem.process == nil {
		return fmt.Errorf("%s is no process of its own", name)
	}
	mem.dead = true
	m.shop.log.WarnContext(ctx, "killing a service", "service", name, "pid", mem.process.Pid())
	return mem.process.Stop(ctx, syscall.SIGKILL)
}

// Start starts a service that was killed. One that runs is left alone.
func (m *machine) Start(ctx context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	mem := m.members[name]
	if mem == nil || mem.process == nil {
		return nil // it is in this process
	}
	return m.spawn(ctx, mem)
}

// StopKafka stops the broker; its data stays.
func (m *machine) StopKafka(ctx context.Context) error { return m.shop.stack.StopKafka(ctx) }

// StartKafka starts it again.
func (m *machine) StartKafka(ctx context.Context) error { return m.shop.stack.StartKafka(ctx) }

// spawn starts the process of a service, unless it runs, and waits until it
// listens.
func (m *machine) spawn(ctx context.Context, mem *member) error {
	if mem.process != nil {
		select {
		case <-mem.process.Done():
		default:
			return nil
		}
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find our own program: %w", err)
	}
	out, err := os.OpenFile(filepath.Join(m.shop.dir, "cartwheel.log"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(self, "serve", mem.name) //nolint:noctx // it outlives the call
	for k, v := range m.shop.serviceVariables(map[string]string{"LISTEN": mem.addr}) {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	cmd.Stdout, cmd.Stderr = out, out
	if mem.process, err = child.Start(cmd, syscall.SIGKILL); err != nil {
		return err
	}
	mem.dead = false
	process := mem.process
	go m.watch(mem, process)
	return listens(ctx, mem.addr, process)
}

// watch starts a process again that ended by itself.
func (m *machine) watch(mem *member, process *child.Process) {
	<-process.Done()
	m.mu.Lock()
	defer m.mu.Unlock()
	ctx := m.group.ctx
	if mem.dead || mem.process != process || ctx.Err() != nil {
		return
	}
	m.shop.log.ErrorContext(ctx, "a service's process has ended; starting it again", "service", mem.name, "error", process.Err())
	if service.Pause(ctx, time.Second) {
		if err := m.spawn(ctx, mem); err != nil {
			m.shop.log.ErrorContext(ctx, "the service does not start", "service", mem.name, "error", err)
		}
	}
}

// end stops a service's process as the shop stops.
func (m *machine) end(mem *member) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	mem.dead = true
	ctx, cancel := context.WithTimeout(context.Background(), service.StopWithin)
	defer cancel()
	return mem.process.Stop(ctx, syscall.SIGTERM)
}

// listens waits until a service answers that it is alive.
func listens(ctx context.Context, addr string, process *child.Process) error {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/healthz", nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			return resp.Body.Close()
		}
		select {
		case <-process.Done():
			return errors.Join(fmt.Errorf("the service at %s ended at once; the log says why", addr), process.Err())
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// serveCmd is a service in a process of its own, as the shop starts it to have it
// killed.
type serveCmd struct {
	Name string `arg:"" help:"Name of the service."`
}

// Run runs the service until it is told to stop.
func (c *serveCmd) Run(ctx context.Context) error {
	if !slices.Contains(serviceNames, c.Name) {
		return fmt.Errorf("there is no service %q", c.Name)
	}
	environ := service.Environ()
	log, err := observe.NewLogger(os.Stderr, environ["LOG_LEVEL"], environ["LOG_FORMAT"])
	if err != nil {
		return err
	}
	shutdown, err := observe.Setup(ctx, c.Name, environ["OTEL_EXPORTER_OTLP_ENDPOINT"])
	if err != nil {
		return err
	}
	defer shutdown()
	svc, err := (&shop{log: log}).service(c.Name, environ)
	if err != nil {
		return err
	}
	return svc.Run(ctx)
}
