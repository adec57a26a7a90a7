package service

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/observe"
)

// Runner is a service that is ready to live.
type Runner interface {
	Run(ctx context.Context) error
}

// Main is the whole of a service's package main: configuration from the
// environment, SIGINT and SIGTERM as the end of the context, exit status 1 with
// one sentence when it cannot live.
func Main[C any, S Runner](name string, build func(C, Deps) (S, error)) {
	if err := run(name, build); err != nil {
		fmt.Fprintln(os.Stderr, name+": "+err.Error())
		os.Exit(1)
	}
}

func run[C any, S Runner](name string, build func(C, Deps) (S, error)) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()

	environ := Environ()
	cfg, err := Load[C](environ)
	if err != nil {
		return err
	}
	log, err := observe.NewLogger(os.Stderr, environ["LOG_LEVEL"], environ["LOG_FORMAT"])
	if err != nil {
		return err
	}
	shutdown, err := observe.Setup(ctx, name, environ["OTEL_EXPORTER_OTLP_ENDPOINT"])
	if err != nil {
		return err
	}
	defer shutdown()

	svc, err := build(cfg, Deps{Log: log.With("service", name), Now: time.Now})
	if err != nil {
		return err
	}
	return svc.Run(ctx)
}
