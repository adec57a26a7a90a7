package stack

import (
	"context"
	"path/filepath"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/postgres/embedded"
)

// startPostgres runs the server as a child, and again when it crashes.
func (s *Stack) startPostgres(ctx context.Context) error {
	if s.cfg.PostgresURL != "" {
		s.external(Postgres, s.cfg.PostgresURL)
		return nil
	}
	dir := filepath.Join(s.cfg.Dir, "postgres")
	// Before the choice of a port: the leftover may be what still holds ours.
	if err := embedded.StopLeftover(ctx, dir); err != nil {
		return err
	}
	cfg := embedded.Config{
		Dir:       dir,
		CacheDir:  s.cfg.CacheDir,
		Installed: s.cfg.PostgresInstalled,
		Throwaway: s.cfg.Throwaway,
		Log:       s.log,
		Progress:  func(detail string) { s.report(Status{Part: Postgres, Phase: Starting, Detail: detail}) },
	}
	var srv *embedded.Server
	err := s.ports.start(func(at ...int) (err error) {
		cfg.Port = at[0]
		srv, err = embedded.Start(ctx, cfg)
		return err
	}, "postgres")
	if err != nil {
		return err
	}
	s.setEndpoints(func(e *Endpoints) { e.Postgres = srv.URL() })
	s.report(Status{Part: Postgres, Phase: Ready, Address: srv.URL()})

	guard, stopGuard := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan *embedded.Server, 1)
	go func() { ended <- s.guardPostgres(guard, srv, cfg) }()
	s.onStop(Postgres, func(ctx context.Context) error {
		stopGuard()
		if srv := <-ended; srv != nil {
			return srv.Stop(ctx)
		}
		return nil
	})
	return nil
}

// guardPostgres restarts the server whenever it ends by itself, and returns the
// one that runs when ctx ends.
func (s *Stack) guardPostgres(ctx context.Context, srv *embedded.Server, cfg embedded.Config) *embedded.Server {
	for {
		select {
		case <-ctx.Done():
			return srv
		case <-srv.Done():
		}
		for pause := newBackoff(); ; {
			s.log.ErrorContext(ctx, "postgres ended; starting it again")
			next, err := embedded.Start(ctx, cfg)
			if err == nil {
				srv = next
				break
			}
			if ctx.Err() != nil {
				return nil
			}
			s.report(Status{Part: Postgres, Phase: Failed, Address: srv.URL(), Detail: err.Error()})
			if pause.wait(ctx) != nil {
				return nil
			}
		}
		s.report(Status{Part: Postgres, Phase: Ready, Address: srv.URL()})
	}
}

// backoff is a pause that doubles from a fifth of a second to ten.
type backoff struct{ next time.Duration }

func newBackoff() *backoff { return &backoff{200 * time.Millisecond} }

func (b *backoff) wait(ctx context.Context) error {
	timer := time.NewTimer(b.next)
	defer timer.Stop()
	b.next = min(2*b.next, 10*time.Second)
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
