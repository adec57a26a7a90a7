// Package testservers runs the test payment provider and the test courier as a
// program of their own: each on its port, with their books in a directory.
package testservers

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/service"
	"github.com/cartwheel-shop/cartwheel/stack/courier"
	"github.com/cartwheel-shop/cartwheel/stack/provider"
)

// Config of the two.
type Config struct {
	Listen         string        `env:"LISTEN" envDefault:"127.0.0.1:8080" form:"address" doc:"address of the health checks"`
	ProviderListen string        `env:"PROVIDER_LISTEN" envDefault:"127.0.0.1:8081" form:"address" doc:"address of the test payment provider"`
	CourierListen  string        `env:"COURIER_LISTEN" envDefault:"127.0.0.1:8082" form:"address" doc:"address of the test courier"`
	DataDir        string        `env:"DATA_DIR,required,notEmpty" doc:"directory of the two journals"`
	CourierDelay   time.Duration `env:"COURIER_DELAY" envDefault:"2s" doc:"how long the test courier takes to deliver"`

	LogLevel  string `env:"LOG_LEVEL" envDefault:"info" doc:"debug, info, warn or error"`
	LogFormat string `env:"LOG_FORMAT" envDefault:"text" doc:"text or json"`
}

// Servers is the two, as a value with a life.
type Servers struct {
	cfg  Config
	life *service.Life
	log  *slog.Logger
}

// New validates cfg and opens nothing.
func New(cfg Config, deps service.Deps) (*Servers, error) {
	if cfg.CourierDelay < 0 {
		return nil, fmt.Errorf("COURIER_DELAY must not be negative, and is %s", cfg.CourierDelay)
	}
	return &Servers{cfg, service.NewLife("provider", cfg.Listen, deps), deps.Log}, nil
}

// Run serves both until ctx ends.
func (s *Servers) Run(ctx context.Context) error { return s.life.Run(ctx, s.start) }

func (s *Servers) start(ctx context.Context) ([]service.Part, func(), error) {
	bank, err := provider.New(provider.Config{Journal: filepath.Join(s.cfg.DataDir, "provider.journal"), Log: s.log})
	if err != nil {
		return nil, nil, err
	}
	parcels, err := courier.New(courier.Config{Journal: filepath.Join(s.cfg.DataDir, "courier.journal"), Delay: s.cfg.CourierDelay, Log: s.log})
	if err != nil {
		return nil, nil, err
	}
	provide, err := serve(ctx, "provider", s.cfg.ProviderListen, bank)
	if err != nil {
		return nil, nil, err
	}
	deliver, err := serve(ctx, "courier", s.cfg.CourierListen, parcels)
	if err != nil {
		return nil, nil, err
	}
	return []service.Part{provide, deliver}, nil, nil
}

func serve(ctx context.Context, name, address string, s interface {
	Serve(ctx context.Context, ln net.Listener) error
}) (service.Part, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return service.Part{}, fmt.Errorf("%s: listen on %s: %w", name, address, err)
	}
	return service.Part{Name: name, Run: func(ctx context.Context) error { return s.Serve(ctx, ln) }}, nil
}
