package payment

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/commands"
	"github.com/cartwheel-shop/cartwheel/pkg/fault"
	"github.com/cartwheel-shop/cartwheel/pkg/links"
	"github.com/cartwheel-shop/cartwheel/pkg/saga"
	"github.com/cartwheel-shop/cartwheel/pkg/service"
)

// Config of the payment service.
type Config struct {
	service.Base

	ProviderURL     string        `env:"PAYMENT_PROVIDER_URL,required,notEmpty" form:"http" doc:"where the payment provider answers, http://host:port"`
	ProviderTimeout time.Duration `env:"PAYMENT_PROVIDER_TIMEOUT" envDefault:"4s" doc:"how long one call to the provider may take, at most 5s"`
}

// Service is the payment service.
type Service struct {
	cfg  Config
	life *service.Life
	log  *slog.Logger
	now  func() time.Time

	faults *fault.Points

	store    *Store
	provider Provider
}

// New validates cfg and connects nothing.
func New(cfg Config, deps service.Deps) (*Service, error) {
	if cfg.ProviderTimeout <= 0 || cfg.ProviderTimeout > 5*time.Second {
		return nil, fmt.Errorf("PAYMENT_PROVIDER_TIMEOUT must be above 0 and at most 5s, not %s", cfg.ProviderTimeout)
	}
	provider, err := newHTTPProvider(cfg.ProviderURL, cfg.ProviderTimeout)
	if err != nil {
		return nil, err
	}
	return &Service{cfg: cfg, life: service.NewLife("payment", cfg.Listen, deps), log: deps.Log, now: deps.Now, faults: deps.Faults, provider: provider}, nil
}

// Addr returns the host:port that the service listens on, once it does.
func (s *Service) Addr(ctx context.Context) (string, error) { return s.life.Addr(ctx) }

// Run migrates, serves and works until ctx ends and all in flight is settled.
func (s *Service) Run(ctx context.Context) error { return s.life.Run(ctx, s.start) }

// Setup makes what the service needs to exist, and ends.
func (s *Service) Setup(ctx context.Context) error {
	return links.Setup(ctx, s.life, s.cfg.Base, migrations, func(k *links.Links) error {
		return k.EnsureTopics(ctx)
	})
}

func (s *Service) start(ctx context.Context) ([]service.Part, func(), error) {
	link, err := links.Open(ctx, s.life, s.cfg.Base, migrations)
	if err != nil {
		return nil, nil, err
	}
	s.store = NewStore(link.DB)

	temporal, err := saga.Link(link)
	if err != nil {
		return nil, link.Close, err
	}

	s.life.Serve(s.api().Handler())

	return []service.Part{
		link.Relay(),
		saga.Worker(link, temporal, commands.PaymentQueue, s.register),
		{Name: "sweeper", Run: s.sweep},
	}, link.Close, nil
}
