package analytics

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
	"github.com/cartwheel-shop/cartwheel/pkg/inbox"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
	"github.com/cartwheel-shop/cartwheel/pkg/postgres"
	"github.com/cartwheel-shop/cartwheel/pkg/service"
)

// Config of the analytics service.
type Config struct {
	service.Base
}

// Service is the analytics service.
type Service struct {
	cfg  Config
	life *service.Life
	log  *slog.Logger
	now  func() time.Time

	store     *Store
	nats      *nats.Conn
	admin     *bus.Admin
	fold      *fold
	badFrames atomic.Int64
}

// New validates cfg and connects nothing.
func New(cfg Config, deps service.Deps) (*Service, error) {
	return &Service{cfg: cfg, life: service.NewLife("analytics", cfg.Listen, deps.Log), log: deps.Log, now: deps.Now}, nil
}

// Addr returns the host:port that the service listens on, once it does.
func (s *Service) Addr(ctx context.Context) (string, error) { return s.life.Addr(ctx) }

// Run migrates, serves, consumes and works until ctx ends and all in flight is
// settled.
func (s *Service) Run(ctx context.Context) error { return s.life.Run(ctx, s.start) }

func (s *Service) start(ctx context.Context) ([]service.Part, func(), error) {
	var closers service.Closers
	pool, err := postgres.Open(ctx, s.cfg.PostgresURL, "analytics", s.log, s.cfg.PoolSize,
		outbox.Migrations, inbox.Migrations, postgres.Migrations{Name: "analytics", FS: service.Sub(migrations, "migrations")})
	if err != nil {
		return nil, closers.Close, err
	}
	closers.Add(pool.Close)
	db := outbox.Open(pool, "analytics")
	s.store = NewStore(db)

	if s.nats, err = service.NATS(s.cfg.NATSURL, "analytics", s.log); err != nil {
		return nil, closers.Close, err
	}
	closers.Add(s.nats.Close)

	kafka := s.cfg.Bus("analytics", s.log)
	publisher, err := bus.NewPublisher(kafka)
	if err != nil {
		return nil, closers.Close, err
	}
	closers.Add(func() { _ = publisher.Close() })
	if s.admin, err = bus.NewAdmin(kafka); err != nil {
		return nil, closers.Close, err
	}
	closers.Add(s.admin.Close)
	s.fold = newFold(kafka)

	s.life.Health.Check("postgres", pool.Ping)
	s.life.Health.Check("kafka", func(ctx context.Context) error { return bus.Reachable(ctx, kafka) })
	s.life.Health.Check("nats", func(context.Context) error { return service.Connected(s.nats) })
	s.life.Serve(s.api().Handler())

	return []service.Part{
		{Name: "relay", Run: outbox.NewRelay(db, publisher, s.log).Run},
		{Name: "consumers", Run: func(ctx context.Context) error { return bus.Run(ctx, kafka, s.consumers()) }},
		{Name: "inbox", Run: func(ctx context.Context) error { return inbox.Sweep(ctx, pool, s.log) }},
		{Name: "telemetry", Run: s.readTelemetry},
	}, closers.Close, nil
}

// pause waits; false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
