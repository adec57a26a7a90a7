package service

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
	"github.com/cartwheel-shop/cartwheel/pkg/httpapi"
)

// Closers collects what to close at a service's end.
type Closers struct{ fns []func() }

// Add registers fn.
func (c *Closers) Add(fn func()) { c.fns = append(c.fns, fn) }

// Close calls what was added, last first.
func (c *Closers) Close() {
	for _, fn := range slices.Backward(c.fns) {
		fn()
	}
	c.fns = nil
}

// Sub returns a directory of an embedded file system; that it exists is decided
// at compile time, so its absence panics.
func Sub(fsys fs.FS, dir string) fs.FS {
	sub, err := fs.Sub(fsys, dir)
	if err != nil {
		panic(err)
	}
	return sub
}

// NATS returns a connection that keeps trying: it may be made while the server
// is away, and outlives every outage.
func NATS(url, name string, log *slog.Logger) (*nats.Conn, error) {
	nc, err := nats.Connect(url,
		nats.Name(name),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250*time.Millisecond),
		nats.ReconnectBufSize(-1), // a question to nobody fails at once
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("NATS is away; reconnecting", "error", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { log.Info("NATS is back") }),
	)
	if err != nil {
		return nil, fmt.Errorf("NATS_URL %q: %w", url, err)
	}
	return nc, nil
}

// Connected is a health check of a NATS connection.
func Connected(nc *nats.Conn) error {
	if !nc.IsConnected() {
		return errors.New("NATS does not answer")
	}
	return nil
}

// Bus is the bus configuration of the service called name.
func (b Base) Bus(name string, log *slog.Logger) bus.Config {
	return bus.Config{Brokers: b.KafkaBrokers, Service: name, Driver: b.BusDriver, Log: log}
}

// API is the HTTP configuration.
func (b Base) API(log *slog.Logger) httpapi.Config {
	return httpapi.Config{OperatorToken: b.OperatorToken, OperatorOpen: b.OperatorOpen, Log: log}
}
