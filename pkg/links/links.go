package links

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

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
	"github.com/cartwheel-shop/cartwheel/pkg/inbox"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
	"github.com/cartwheel-shop/cartwheel/pkg/postgres"
	"github.com/cartwheel-shop/cartwheel/pkg/service"
)

// Links are what a service is connected to: its database with its outbox from
// the start, and what else it asks for. Each link is also a health check.
type Links struct {
	DB    *outbox.DB
	Kafka bus.Config
	Base  service.Base
	Life  *service.Life

	publisher message.Publisher
	closers   []func()
}

// Open waits for Postgres, opens the service's own database, which has the
// service's name, and migrates it: the outbox, the inbox, and the directory
// "migrations" of files.
func Open(ctx context.Context, l *service.Life, base service.Base, files embed.FS) (*Links, error) {
	pool, err := postgres.Open(ctx, base.PostgresURL, l.Name(), l.Log(), base.PoolSize,
		outbox.Migrations, inbox.Migrations, postgres.Embedded(l.Name(), files))
	if err != nil {
		return nil, err
	}
	k := &Links{
		DB:    outbox.Open(pool, l.Name(), outbox.WithFaults(l.Faults())),
		Kafka: bus.Config{Brokers: base.KafkaBrokers, Service: l.Name(), Driver: base.BusDriver, Log: l.Log(), Faults: l.Faults()},
		Base:  base, Life: l, closers: []func(){pool.Close},
	}
	if k.publisher, err = bus.NewPublisher(k.Kafka); err != nil {
		k.Close()
		return nil, err
	}
	k.AtEnd(func() { _ = k.publisher.Close() }) // says itself what it could not send
	l.Health.Check("postgres", pool.Ping)
	return k, nil
}

// Setup makes the service's database, migrated, and calls fn, which makes the rest
// with the links. All of it may be there already.
func Setup(ctx context.Context, l *service.Life, base service.Base, files embed.FS, fn func(*Links) error) error {
	k, err := Open(ctx, l, base, files)
	if err != nil {
		return err
	}
	defer k.Close()
	if err := fn(k); err != nil {
		return err
	}
	l.Log().InfoContext(ctx, "service is set up", "service", l.Name())
	return nil
}

// EnsureTopics makes the topics of the contract and those that belong to the
// consumers.
func (k *Links) EnsureTopics(ctx context.Context, consumers ...bus.Consumer) error {
	return bus.EnsureTopics(ctx, k.Kafka, consumers...)
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

// NATS returns a connection that keeps trying: it may be made while the server
// is away, and outlives every outage.
func (k *Links) NATS() (*nats.Conn, error) {
	nc, err := openNATS(k.Base.NATSURL, k.Life.Name(), k.Life.Log())
	if err != nil {
		return nil, err
	}
	k.AtEnd(nc.Close)
	k.Life.Health.Check("nats", func(context.Context) error { return connected(nc) })
	return nc, nil
}

// Admin returns what knows how Kafka's topics and groups stand.
func (k *Links) Admin() (*bus.Admin, error) {
	admin, err := bus.NewAdmin(k.Kafka)
	if err != nil {
		return nil, err
	}
	k.AtEnd(admin.Close)
	return admin, nil
}

// Relay is the part that sends what the service publishes.
func (k *Links) Relay() service.Part {
	return service.Part{Name: "relay", Run: outbox.NewRelay(k.DB, k.publisher, k.Life.Log()).Run}
}

// Consumers is the part that handles facts.
func (k *Links) Consumers(list []bus.Consumer) service.Part {
	k.Life.Health.Check("kafka", func(ctx context.Context) error { return bus.Reachable(ctx, k.Kafka) })
	return service.Part{Name: "consumers", Run: func(ctx context.Context) error { return bus.Run(ctx, k.Kafka, list) }}
}

// Inbox is the part that forgets ids of facts that cannot come again.
func (k *Links) Inbox() service.Part {
	return service.Part{Name: "inbox", Run: func(ctx context.Context) error { return inbox.Sweep(ctx, k.DB.Pool(), k.Life.Log()) }}
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
