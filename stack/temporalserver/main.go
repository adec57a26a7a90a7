package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"go.temporal.io/server/common/dynamicconfig"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		slog.Error("temporal server stopped", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	srv, err := newServer(o)
	if err != nil {
		return err
	}
	if err := srv.Start(); err != nil {
		return fmt.Errorf("start the server: %w", err)
	}
	ui := newUI(o)
	uiFailed := make(chan error, 1)
	go func() { uiFailed <- ui.run() }()

	select {
	case <-ctx.Done():
	case err = <-uiFailed:
		err = fmt.Errorf("web UI on %s: %w", o.address(o.uiPort), err)
	}
	ui.stop()
	return errors.Join(err, srv.Stop())
}

// options are the flags, named as in "temporal server start-dev".
type options struct {
	dbFile    string
	ip        string
	port      int
	uiPort    int
	namespace string
	logLevel  slog.Level
	dynamic   dynamicconfig.StaticClient
	pragmas   map[string]string
}

func parse(args []string) (options, error) {
	o := options{dynamic: dynamicconfig.StaticClient{}, pragmas: map[string]string{}, logLevel: slog.LevelWarn}
	// The sub-commands are accepted so that the same command line starts
	// Temporal's own tool.
	if len(args) >= 2 && args[0] == "server" && args[1] == "start-dev" {
		args = args[2:]
	}
	f := flag.NewFlagSet("temporalserver", flag.ContinueOnError)
	f.StringVar(&o.dbFile, "db-filename", "", "SQLite `file`; made when missing")
	f.StringVar(&o.ip, "ip", "127.0.0.1", "`address` to listen on")
	f.IntVar(&o.port, "port", 7233, "`port` of the gRPC frontend")
	f.IntVar(&o.uiPort, "ui-port", 8233, "`port` of the web UI")
	f.StringVar(&o.namespace, "namespace", "default", "`name` of the namespace to create")
	f.TextVar(&o.logLevel, "log-level", o.logLevel, "debug, info, warn or error")
	f.Func("dynamic-config-value", "`KEY=JSON` setting of the server; repeatable", func(s string) error {
		key, value, err := pair(s)
		if err != nil {
			return err
		}
		v, err := setting(value)
		if err != nil {
			return fmt.Errorf("value of %s: %w", key, err)
		}
		o.dynamic[dynamicconfig.MakeKey(key)] = v
		return nil
	})
	f.Func("sqlite-pragma", "`KEY=VALUE` pragma of SQLite; repeatable", func(s string) error {
		key, value, err := pair(s)
		o.pragmas[key] = value
		return err
	})
	if err := f.Parse(args); err != nil {
		return options{}, err
	}
	if f.NArg() > 0 {
		return options{}, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if o.dbFile == "" {
		return options{}, errors.New("--db-filename is missing")
	}
	return o, nil
}

// setting reads a JSON value. The server insists on integers where it wants
// them and silently uses its default for 2000.0, which is what JSON's number is
// by default.
func setting(value string) (any, error) {
	if n, err := strconv.Atoi(value); err == nil {
		return n, nil
	}
	var v any
	if err := json.Unmarshal([]byte(value), &v); err != nil {
		return nil, err
	}
	return v, nil
}

func pair(s string) (key, value string, err error) {
	key, value, ok := strings.Cut(s, "=")
	if !ok || key == "" {
		return "", "", fmt.Errorf("%q is not KEY=VALUE", s)
	}
	return key, value, nil
}
