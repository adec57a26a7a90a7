package stack

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// startNATS runs the server in this process, with JetStream on files, and MQTT
// for devices that speak nothing else.
func (s *Stack) startNATS(ctx context.Context) error {
	if s.cfg.NATSURL != "" {
		s.external(NATS, s.cfg.NATSURL)
		return nil
	}
	var srv *server.Server
	var port, mqttPort int
	err := s.ports.start(func(at ...int) (err error) {
		port, mqttPort = at[0], at[1]
		srv, err = s.serveNATS(ctx, port, mqttPort)
		return err
	}, "nats", "mqtt")
	if err != nil {
		return err
	}
	s.onStop(NATS, func(context.Context) error {
		srv.Shutdown()
		srv.WaitForShutdown()
		return nil
	})
	s.setEndpoints(func(e *Endpoints) {
		e.NATS = "nats://" + address(port)
		e.MQTT = address(mqttPort)
	})
	s.report(Status{Part: NATS, Phase: Ready, Address: "nats://" + address(port)})
	return nil
}

// serveNATS runs the server and returns when it serves.
func (s *Stack) serveNATS(ctx context.Context, port, mqttPort int) (*server.Server, error) {
	srv, err := server.NewServer(&server.Options{
		ServerName:         "cartwheel", // MQTT wants one, and it names the sessions' streams
		Host:               loopback,
		Port:               port,
		JetStream:          true,
		StoreDir:           filepath.Join(s.cfg.Dir, "nats"),
		JetStreamMaxMemory: 64 << 20,
		JetStreamMaxStore:  8 << 30,
		MQTT:               server.MQTTOpts{Host: loopback, Port: mqttPort},
		NoSigs:             true, // signals are the command's
	})
	if err != nil {
		return nil, fmt.Errorf("configure nats: %w", err)
	}
	log := &natsLog{log: s.log}
	srv.SetLoggerV2(log, false, false, false)
	srv.Start()
	for !srv.ReadyForConnections(100 * time.Millisecond) {
		if err := log.fatal(); err != nil || ctx.Err() != nil || !srv.Running() {
			srv.Shutdown()
			srv.WaitForShutdown()
			return nil, fmt.Errorf("start nats: %w", firstError(err, ctx.Err(), errServerEnded))
		}
	}
	return srv, nil
}

// natsLog passes on warnings and errors, and keeps what would be fatal: the
// server announces a failed start in no other way.
type natsLog struct {
	log *slog.Logger
	mu  sync.Mutex
	err error
}

func (l *natsLog) fatal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *natsLog) Fatalf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = fmt.Errorf(format, args...)
}
func (l *natsLog) Errorf(format string, args ...any) { l.log.Error(fmt.Sprintf(format, args...)) }
func (l *natsLog) Warnf(format string, args ...any)  { l.log.Warn(fmt.Sprintf(format, args...)) }
func (l *natsLog) Noticef(string, ...any)            {}
func (l *natsLog) Debugf(string, ...any)             {}
func (l *natsLog) Tracef(string, ...any)             {}
