package stack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/filelock"
	"github.com/cartwheel-shop/cartwheel/stack/native"
)

// giveUpWithin bounds the end of what had started when a start fails.
const giveUpWithin = 7 * time.Second

var errServerEnded = errors.New("the server ended")

// Stack is all parts, running.
type Stack struct {
	cfg      Config
	log      *slog.Logger
	lock     *filelock.Lock
	ports    *ports
	temporal *temporal

	mu        sync.Mutex
	endpoints Endpoints
	status    map[Part]Status
	stops     map[Part]func(context.Context) error
	children  map[Part]*native.Server

	progress   Progress
	progressMu sync.Mutex // one report at a time

	stopOnce sync.Once
	stopErr  error
}

// Start starts all parts at once and returns when all but Temporal serve.
// Temporal goes on in the background, see [Stack.TemporalReady]. The parts
// outlive ctx: it bounds the start alone. log and progress may be nil.
func Start(ctx context.Context, cfg Config, log *slog.Logger, progress Progress) (*Stack, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.Default()
	}
	if progress == nil {
		progress = ProgressFunc(func(Status) {})
	}
	s := &Stack{
		cfg: cfg, log: log, progress: progress,
		status:   map[Part]Status{},
		stops:    map[Part]func(context.Context) error{},
		children: map[Part]*native.Server{},
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if s.lock, err = openDir(cfg.Dir); err != nil {
		return nil, err
	}
	if s.ports, err = openPorts(filepath.Join(cfg.Dir, "ports.json")); err != nil {
		return nil, errors.Join(err, s.lock.Unlock())
	}
	if err := s.startParts(ctx); err != nil {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveUpWithin)
		defer cancel()
		return nil, errors.Join(err, s.Stop(stop))
	}
	return s, nil
}

func (s *Stack) startParts(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	starters := map[Part]func(context.Context) error{
		Kafka:    s.startKafka,
		Temporal: s.startTemporal,
		NATS:     s.startNATS,
		Redis:    s.startRedis,
		Postgres: s.startPostgres,
		SMTP:     s.startSMTP,
	}
	for _, part := range s.cfg.Only {
		if starters[part] == nil {
			return fmt.Errorf("there is no part %q", part)
		}
	}
	results := make(chan error, len(s.cfg.Only))
	for _, part := range s.cfg.Only {
		start := starters[part]
		s.report(Status{Part: part, Phase: Starting})
		go func() {
			err := start(ctx)
			switch {
			case errors.Is(err, context.Canceled) && ctx.Err() != nil: // told to stop, it did
				s.report(Status{Part: part, Phase: Stopped})
			case err != nil:
				err = fmt.Errorf("%s: %w", part, err)
				s.report(Status{Part: part, Phase: Failed, Detail: err.Error()})
			}
			results <- err
		}()
	}
	var first error
	for range s.cfg.Only {
		if err := <-results; err != nil && first == nil {
			first = err
			cancel() // the others need not go on
		}
	}
	return first
}

// Endpoints are the addresses of all parts that were started.
func (s *Stack) Endpoints() Endpoints {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.endpoints
}

// Status is how a part is doing now.
func (s *Stack) Status(p Part) Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status[p]
}

// Statuses are those of all started parts, in the order of [Parts].
func (s *Stack) Statuses() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Status, 0, len(s.status))
	for _, p := range Parts() {
		if st, ok := s.status[p]; ok {
			all = append(all, st)
		}
	}
	return all
}

// Dir is the data directory.
func (s *Stack) Dir() string { return s.cfg.Dir }

// Stop ends all parts, in parallel, and frees the data directory. It takes no
// longer than ctx; a child that has not ended by then is killed, which loses
// nothing but the time of its next start, and is an error. Further calls wait for
// the first and return its result.
func (s *Stack) Stop(ctx context.Context) error {
	s.stopOnce.Do(func() { s.stopErr = s.stop(ctx) })
	return s.stopErr
}

func (s *Stack) stop(ctx context.Context) error {
	s.mu.Lock()
	stops := s.stops
	s.stops = map[Part]func(context.Context) error{}
	s.mu.Unlock()

	results := make(chan error, len(stops))
	for part, stop := range stops {
		go func() {
			err := stop(ctx)
			if err != nil {
				err = fmt.Errorf("stop %s: %w", part, err)
			}
			if s.Status(part).Phase != Stopped {
				s.report(Status{Part: part, Phase: Stopped})
			}
			results <- err
		}()
	}
	errs := make([]error, 0, len(stops)+1)
	for range stops {
		errs = append(errs, <-results)
	}
	return errors.Join(append(errs, s.lock.Unlock())...)
}

// onStop says how a started part is ended.
func (s *Stack) onStop(p Part, stop func(context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stops[p] = stop
}

func (s *Stack) setEndpoints(set func(*Endpoints)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	set(&s.endpoints)
}

// external records a part that somebody else runs. The services wait for it by
// themselves, so nobody does here.
func (s *Stack) external(p Part, addr string) {
	s.setEndpoints(func(e *Endpoints) {
		field := map[Part]*string{
			Kafka: &e.Kafka, Temporal: &e.Temporal, NATS: &e.NATS, Redis: &e.Redis, Postgres: &e.Postgres, SMTP: &e.SMTP,
		}[p]
		*field = addr
	})
	s.report(Status{Part: p, Phase: Ready, Address: addr, External: true})
}

func (s *Stack) report(st Status) {
	s.progressMu.Lock()
	defer s.progressMu.Unlock()
	s.mu.Lock()
	if st.Address == "" {
		st.Address = s.status[st.Part].Address
	}
	s.status[st.Part] = st
	s.mu.Unlock()
	s.progress.Report(st)
}

// firstError is the first that is not nil.
func firstError(errs ...error) error {
	i := slices.IndexFunc(errs, func(err error) bool { return err != nil })
	if i < 0 {
		return nil
	}
	return errs[i]
}
