package stack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/cartwheel-shop/cartwheel/stack/native"
)

// startKafka runs the broker in this process. Topics are made by whoever needs
// them, as on a real cluster; a value may be as large as its topic's
// max.message.bytes allows.
func (s *Stack) startKafka(ctx context.Context) error {
	if len(s.cfg.KafkaBrokers) > 0 {
		s.external(Kafka, strings.Join(s.cfg.KafkaBrokers, ","))
		return nil
	}
	if s.cfg.Real {
		return s.startRealKafka(ctx)
	}
	listener, err := s.ports.listen("kafka")
	if err != nil {
		return err
	}
	cluster, err := kfake.NewCluster(
		kfake.Ports(listener.Addr().(*net.TCPAddr).Port), // this also says that there is one broker
		kfake.ListenFn(func(string, string) (net.Listener, error) { return listener, nil }),
		kfake.DataDir(filepath.Join(s.cfg.Dir, "kafka")),
		// The cleaner enforces retention; its default of an hour is longer than
		// most demonstrations.
		kfake.BrokerConfigs(map[string]string{"log.cleaner.backoff.ms": "30000"}),
		kfake.WithLogger(kafkaLog{s.log}),
	)
	if err != nil {
		_ = listener.Close()
		return fmt.Errorf("start kafka: %w", err)
	}
	s.onStop(Kafka, func(context.Context) error {
		cluster.Close()
		return nil
	})
	addr := listener.Addr().String()
	s.setEndpoints(func(e *Endpoints) { e.Kafka = addr })
	s.report(Status{Part: Kafka, Phase: Ready, Address: addr})
	return nil
}

// StopKafka ends the broker, with its data kept: what connects is refused until
// [Stack.StartKafka]. A broker that somebody else runs is not ours to stop.
func (s *Stack) StopKafka(ctx context.Context) error {
	if s.Status(Kafka).External {
		return errors.New("this Kafka is run by somebody else: stop it there")
	}
	s.mu.Lock()
	stop := s.stops[Kafka]
	delete(s.stops, Kafka)
	s.mu.Unlock()
	if stop == nil {
		return nil
	}
	if err := stop(ctx); err != nil {
		return fmt.Errorf("stop kafka: %w", err)
	}
	s.report(Status{Part: Kafka, Phase: Stopped})
	return nil
}

// StartKafka starts a broker that was stopped, at its old address and with its
// data. One that runs is left alone.
func (s *Stack) StartKafka(ctx context.Context) error {
	s.mu.Lock()
	running := s.stops[Kafka] != nil
	s.mu.Unlock()
	if running || s.Status(Kafka).External {
		return nil
	}
	before := s.Endpoints().Kafka
	if err := s.startKafka(ctx); err != nil {
		return fmt.Errorf("start kafka: %w", err)
	}
	if now := s.Endpoints().Kafka; now != before {
		return fmt.Errorf("the old address of Kafka, %s, was taken meanwhile: start the shop anew", before)
	}
	return nil
}

// startRealKafka runs Apache Kafka as a child.
func (s *Stack) startRealKafka(ctx context.Context) error {
	var server *native.Server
	err := s.ports.start(func(at ...int) (err error) {
		server, err = native.Kafka(ctx, s.cfg.CacheDir, filepath.Join(s.cfg.Dir, "kafka-real"), at[0], at[1], s.log,
			func(what string) { s.report(Status{Part: Kafka, Phase: Building, Detail: what}) })
		return err
	}, "kafka", "kafka_controller")
	if err != nil {
		return err
	}
	s.serving(Kafka, server)
	s.setEndpoints(func(e *Endpoints) { e.Kafka = server.Addr })
	return nil
}

// serving reports a server that runs as a child.
func (s *Stack) serving(p Part, server *native.Server) {
	s.mu.Lock()
	s.children[p] = server
	s.mu.Unlock()
	s.onStop(p, server.Stop)
	s.report(Status{Part: p, Phase: Ready, Address: server.Addr})
}

// Pid is the process number of a part that runs as a child with Config.Real, for
// who wants to send it a signal. It changes when the part is started again.
func (s *Stack) Pid(p Part) (int, error) {
	s.mu.Lock()
	server := s.children[p]
	s.mu.Unlock()
	if server == nil {
		return 0, fmt.Errorf("%s is no child of ours", p)
	}
	return server.Pid()
}

// kafkaLog passes on what is worth a line. The broker calls every request
// information, and every closed connection too.
type kafkaLog struct{ log *slog.Logger }

func (l kafkaLog) Logf(level kfake.LogLevel, format string, args ...any) {
	switch level {
	case kfake.LogLevelError:
		l.log.Error(fmt.Sprintf(format, args...))
	case kfake.LogLevelWarn:
		l.log.Warn(fmt.Sprintf(format, args...))
	default:
	}
}
