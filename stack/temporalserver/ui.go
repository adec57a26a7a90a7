package main

import (
	"errors"

	uiserver "github.com/temporalio/ui-server/v2/server"
	uiconfig "github.com/temporalio/ui-server/v2/server/config"
	"github.com/temporalio/ui-server/v2/server/server_options"
)

// ui is Temporal's web UI. Its server ends the process by itself when its port
// is taken.
type ui struct{ srv *uiserver.Server }

func newUI(o options) ui {
	return ui{uiserver.NewServer(server_options.WithConfigProvider(&uiconfig.Config{
		TemporalGRPCAddress: o.address(o.port),
		Host:                o.ip,
		Port:                o.uiPort,
		EnableUI:            true,
		DefaultNamespace:    o.namespace,
		DisableNewsFetch:    true, // the demo works without a network
		HideLogs:            true,
		CORS:                uiconfig.CORS{CookieInsecure: true}, // plain HTTP on loopback
	}))}
}

func (u ui) run() error {
	if err := u.srv.Start(); err != nil {
		return err
	}
	return errors.New("stopped")
}

func (u ui) stop() { u.srv.Stop() }
