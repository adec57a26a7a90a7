package analytics

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
	"github.com/cartwheel-shop/cartwheel/pkg/fault"
	"github.com/cartwheel-shop/cartwheel/pkg/links"
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

	faults *fault.Points

	store     *Store
	nats      *nats.Conn
	admin     *bus.Admin
	fold      *fold
	badFrames atomic.Int64
}

// New validates cfg and connects nothing.
func New(cfg Config, deps service.Deps) (*Service, error) {
	return &Service{cfg: cfg, life: service.NewLife("analytics", cfg.Listen, deps), log: deps.Log, now: deps.Now, faults: deps.Faults}, nil
}

// Addr returns the host:port that the service listens on, once it does.
func (s *Service) Addr(ctx context.Context) (string, error) { return s.life.Addr(ctx) }

// Run migrates, serves, consumes and works until ctx ends and all in flight is
// settled.
func (s *Service) Run(ctx context.Context) error { return s.life.Run(ctx, s.start) }

// Setup makes what the service needs to exist, and ends.
func (s *Service) Setup(ctx context.Context) error {
	return links.Setup(ctx, s.life, s.cfg.Base, migrations, func(k *links.Links) error {
		s.store = NewStore(k.DB)
		if err := k.EnsureTopics(ctx, s.consumers()...); err != nil {
			return err
		}
		return s.setupStream(ctx, k)
	})
}

func (s *Service) start(ctx context.Context) ([]service.Part, func(), error) {
	link, err := links.Open(ctx, s.life, s.cfg.Base, migrations)
	if err != nil {
		return nil, nil, err
	}
	s.store = NewStore(link.DB)

	if s.nats, err = link.NATS(); err != nil {
		return nil, link.Close, err
	}
	if s.admin, err = link.Admin(); err != nil {
		return nil, link.Close, err
	}
	s.fold = newFold(link.Kafka)

	s.life.Serve(s.api().Handler())

	return []service.Part{
		link.Relay(),
		link.Consumers(s.consumers()),
		link.Inbox(),
		{Name: "telemetry", Run: s.readTelemetry},
	}, link.Close, nil
}
