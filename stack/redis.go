package stack

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/cartwheel-shop/cartwheel/stack/native"
)

// startRedis runs Redis in this process, in memory.
func (s *Stack) startRedis(ctx context.Context) error {
	if s.cfg.RedisAddr != "" {
		s.external(Redis, s.cfg.RedisAddr)
		return nil
	}
	if s.cfg.Real {
		var server *native.Server
		err := s.ports.start(func(at ...int) (err error) {
			server, err = native.Redis(ctx, filepath.Join(s.cfg.Dir, "redis"), at[0], s.log)
			return err
		}, "redis")
		if err != nil {
			return err
		}
		s.serving(Redis, server)
		s.setEndpoints(func(e *Endpoints) { e.Redis = server.Addr })
		return nil
	}
	m := miniredis.NewMiniRedis()
	if err := s.ports.start(func(at ...int) error { return m.StartAddr(address(at[0])) }, "redis"); err != nil {
		return fmt.Errorf("start redis: %w", err)
	}
	// Its keys expire only when it is told how much time has passed.
	clock := time.NewTicker(time.Second)
	done := make(chan struct{})
	go func() {
		last := time.Now()
		for {
			select {
			case now := <-clock.C:
				m.FastForward(now.Sub(last))
				last = now
			case <-done:
				return
			}
		}
	}()
	s.onStop(Redis, func(context.Context) error {
		clock.Stop()
		close(done)
		m.Close()
		return nil
	})
	s.setEndpoints(func(e *Endpoints) { e.Redis = m.Addr() })
	s.report(Status{Part: Redis, Phase: Ready, Address: m.Addr()})
	return nil
}
