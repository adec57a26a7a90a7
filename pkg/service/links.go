package service

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"go.temporal.io/sdk/client"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
	"github.com/cartwheel-shop/cartwheel/pkg/httpapi"
	"github.com/cartwheel-shop/cartwheel/pkg/inbox"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
	"github.com/cartwheel-shop/cartwheel/pkg/postgres"
	"github.com/cartwheel-shop/cartwheel/pkg/saga"
)

// Links are what a service is connected to: its database with its outbox from
// the start, and what else it asks for. Each link is also a health check.
type Links struct {
	DB    *outbox.DB
	Kafka bus.Config

	base      Base
	life      *Life
	publisher message.Publisher
	closers   []func()
}

// Link waits for Postgres, opens the service's own database, which has the
// service's name, and migrates it: the outbox, the inbox, and the directory
// "migrations" of files.
func (l *Life) Link(ctx context.Context, base Base, files embed.FS) (*Links, error) {
	pool, err := postgres.Open(ctx, base.PostgresURL, l.name, l.log, base.PoolSize,
		outbox.Migrations, inbox.Migrations, postgres.Embedded(l.name, files))
	if err != nil {
		return nil, err
	}
	k := &Links{
		DB:    outbox.Open(pool, l.name),
		Kafka: bus.Config{Brokers: base.KafkaBrokers, Service: l.name, Driver: base.BusDriver, Log: l.log},
		base:  base, life: l, closers: []func(){pool.Close},
	}
	if k.publisher, err = bus.NewPublisher(k.Kafka); err != nil {
		k.Close()
		return nil, err
	}
	k.AtEnd(func() { _ = k.publisher.Close() }) // says itself what it could not send
	l.Health.Check("postgres", pool.Ping)
	return k, nil
}

// AtEnd has fn called by Close.
func (k *Links) AtEnd(fn func()) { k.closers = append(k.closers, fn) }

// Close ends the links, the last one first.
func (k *Links) Close() {
	for _, fn := range slices.Backward(k.closers) {
		fn()
	}
	k.closers = nil
}

// Temporal returns a client that connects when it is first used.
func (k *Links) Temporal() (client.Client, error) {
	c, err := saga.NewClient(k.base.TemporalAddress, k.base.TemporalNamespace, k.life.log)
	if err != nil {
		return nil, err
	}
	k.AtEnd(c.Close)
	k.life.Health.Check("temporal", func(ctx context.Context) error { return saga.Reachable(ctx, c) })
	return c, nil
}

// NATS returns a connection that keeps trying: it may be made while the server
// is away, and outlives every outage.
func (k *Links) NATS() (*nats.Conn, error) {
	nc, err := openNATS(k.base.NATSURL, k.life.name, k.life.log)
	if err != nil {
		return nil, err
	}
	k.AtEnd(nc.Close)
	k.life.Health.Check("nats", func(context.Context) error { return connected(nc) })
	return nc, nil
}

// Relay is the part that sends what the service publishes.
func (k *Links) Relay() Part {
	return Part{"relay", outbox.NewRelay(k.DB, k.publisher, k.life.log).Run}
}

// Consumers is the part that handles facts.
func (k *Links) Consumers(list []bus.Consumer) Part {
	k.life.Health.Check("kafka", func(ctx context.Context) error { return bus.Reachable(ctx, k.Kafka) })
	return Part{"consumers", func(ctx context.Context) error { return bus.Run(ctx, k.Kafka, list) }}
}

// Inbox is the part that forgets ids of facts that cannot come again.
func (k *Links) Inbox() Part {
	return Part{"inbox", func(ctx context.Context) error { return inbox.Sweep(ctx, k.DB.Pool(), k.life.log) }}
}

// Worker is the part that serves commands of a task queue.
func (k *Links) Worker(c client.Client, queue string, register func(saga.Registry)) Part {
	return Part{"worker", func(ctx context.Context) error { return saga.RunWorker(ctx, c, queue, k.life.log, register) }}
}

// openNATS returns a connection that keeps trying: it may be made while the server
// is away, and outlives every outage.
func openNATS(url, name string, log *slog.Logger) (*nats.Conn, error) {
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

// connected is a health check of a NATS connection.
func connected(nc *nats.Conn) error {
	if !nc.IsConnected() {
		return errors.New("NATS does not answer")
	}
	return nil
}

// API is the HTTP configuration.
func (b Base) API(log *slog.Logger) httpapi.Config {
	return httpapi.Config{OperatorToken: b.OperatorToken, OperatorOpen: b.OperatorOpen, Log: log}
}

// Pause waits; false when ctx ends first.
func Pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
