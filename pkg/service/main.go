package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/fault"
	"github.com/cartwheel-shop/cartwheel/pkg/observe"
)

// Runner is a service that is ready to live.
type Runner interface {
	Run(ctx context.Context) error
}

// Preparer is a service that can make what it needs to exist, and end.
type Preparer interface {
	Setup(ctx context.Context) error
}

// Main is the whole of a service's package main: configuration from the
// environment, SIGINT and SIGTERM as the end of the context, exit status 1 with
// one sentence when it cannot live. Its first argument says what to do:
//
//	(none)       run
//	setup        make what the service needs to exist (its database, its topics), and end
//	healthcheck  ask the service that runs on LISTEN whether it is ready
func Main[C any, S Runner](name string, build func(C, Deps) (S, error)) {
	if err := run(name, os.Args[1:], build); err != nil {
		fmt.Fprintln(os.Stderr, name+": "+strings.TrimPrefix(err.Error(), name+": "))
		os.Exit(1)
	}
}

func run[C any, S Runner](name string, args []string, build func(C, Deps) (S, error)) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()

	environ := Environ()
	command := strings.Join(args, " ")
	if command == "healthcheck" {
		return healthcheck(ctx, environ["LISTEN"])
	}
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

	log = log.With("service", name)
	faults, err := fault.FromEnv(environ["FAULTS"], log)
	if err != nil {
		return err
	}
	svc, err := build(cfg, Deps{Log: log, Now: time.Now, Faults: faults})
	if err != nil {
		return err
	}
	switch command {
	case "":
		return svc.Run(ctx)
	case "setup":
		if p, ok := any(svc).(Preparer); ok {
			return p.Setup(ctx)
		}
	}
	return fmt.Errorf("%q is nothing that it can do; it runs without an argument", command)
}

// healthcheck asks the process that listens on the port of listen.
func healthcheck(ctx context.Context, listen string) error {
	_, port, err := net.SplitHostPort(listen)
	if err != nil || port == "0" {
		return fmt.Errorf("LISTEN must be host:port with a fixed port to be asked, not %q", listen)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*checkPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort("127.0.0.1", port)+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if resp.StatusCode != http.StatusOK {
		return errors.Join(fmt.Errorf("not ready: %s", strings.TrimSpace(string(body))), err)
	}
	return err
}
