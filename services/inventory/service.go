package inventory

import (
	"context"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
	"github.com/cartwheel-shop/cartwheel/pkg/commands"
	"github.com/cartwheel-shop/cartwheel/pkg/inbox"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
	"github.com/cartwheel-shop/cartwheel/pkg/postgres"
	"github.com/cartwheel-shop/cartwheel/pkg/questions"
	"github.com/cartwheel-shop/cartwheel/pkg/saga"
	"github.com/cartwheel-shop/cartwheel/pkg/service"
)

// Config of the inventory service.
type Config struct {
	service.Base

	CourierURL string `env:"COURIER_URL,required,notEmpty" doc:"where the courier answers, http://host:port"`
}

// Service is the inventory service.
type Service struct {
	cfg  Config
	life *service.Life
	log  *slog.Logger
	now  func() time.Time

	store   *Store
	courier Courier
	nats    *nats.Conn
}

// New validates cfg and connects nothing.
func New(cfg Config, deps service.Deps) (*Service, error) {
	courier, err := newHTTPCourier(cfg.CourierURL)
	if err != nil {
		return nil, err
	}
	return &Service{cfg: cfg, life: service.NewLife("inventory", cfg.Listen, deps.Log), log: deps.Log, now: deps.Now, courier: courier}, nil
}

// Addr returns the host:port that the service listens on, once it does.
func (s *Service) Addr(ctx context.Context) (string, error) { return s.life.Addr(ctx) }

// Run migrates, serves and works until ctx ends and all in flight is settled.
func (s *Service) Run(ctx context.Context) error { return s.life.Run(ctx, s.start) }

func (s *Service) start(ctx context.Context) ([]service.Part, func(), error) {
	var closers service.Closers
	pool, err := postgres.Open(ctx, s.cfg.PostgresURL, "inventory", s.log, s.cfg.PoolSize,
		outbox.Migrations, inbox.Migrations, postgres.Migrations{Name: "inventory", FS: service.Sub(migrations, "migrations")})
	if err != nil {
		return nil, closers.Close, err
	}
	closers.Add(pool.Close)
	db := outbox.Open(pool, "inventory")
	s.store = NewStore(db, s.now)

	temporal, err := saga.NewClient(s.cfg.TemporalAddress, s.cfg.TemporalNamespace, s.log)
	if err != nil {
		return nil, closers.Close, err
	}
	closers.Add(temporal.Close)
	if s.nats, err = service.NATS(s.cfg.NATSURL, "inventory", s.log); err != nil {
		return nil, closers.Close, err
	}
	closers.Add(s.nats.Close)

	kafka := s.cfg.Bus("inventory", s.log)
	publisher, err := bus.NewPublisher(kafka)
	if err != nil {
		return nil, closers.Close, err
	}
	closers.Add(func() { _ = publisher.Close() })

	s.life.Health.Check("postgres", pool.Ping)
	s.life.Health.Check("nats", func(context.Context) error { return service.Connected(s.nats) })
	s.life.Health.Check("temporal", func(ctx context.Context) error { return saga.Reachable(ctx, temporal) })
	s.life.Serve(s.api().Handler())

	return []service.Part{
		{Name: "relay", Run: outbox.NewRelay(db, publisher, s.log).Run},
		{Name: "worker", Run: func(ctx context.Context) error {
			return saga.RunWorker(ctx, temporal, commands.InventoryQueue, s.log, s.register)
		}},
		{Name: "stock", Run: func(ctx context.Context) error {
			return questions.Answer(ctx, s.nats, s.log, questions.StockGet, "inventory", s.stock)
		}},
		{Name: "deliveries", Run: s.followCourier},
		{Name: "expiry", Run: s.expire},
	}, closers.Close, nil
}

// stock answers what is known of some SKUs.
func (s *Service) stock(ctx context.Context, r questions.StockRequest) (questions.StockAnswer, error) {
	list, err := s.store.Lookup(ctx, r.SKUs)
	a := questions.StockAnswer{Items: []questions.StockItem{}}
	for _, p := range list {
		a.Items = append(a.Items, questions.StockItem{SKU: p.SKU, Name: p.Name, Price: p.Price, Available: p.Available, Storage: string(p.Storage), Listed: p.Listed})
	}
	return a, err
}

const (
	feedWait    = 20 * time.Second
	feedTrouble = time.Second
	expireEvery = time.Second
)

// followCourier records deliveries as the courier tells of them.
func (s *Service) followCourier(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := s.readFeed(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "courier's feed; trying again", "error", err)
			pause(ctx, feedTrouble)
		}
	}
	return nil
}

func (s *Service) readFeed(ctx context.Context) error {
	last, err := s.store.FeedPosition(ctx)
	if err != nil {
		return err
	}
	list, err := s.courier.Deliveries(ctx, last, feedWait)
	if err != nil || len(list) == 0 {
		return err
	}
	return s.store.RecordDeliveries(ctx, last, list)
}

// expire gives stock back whose reservation is over.
func (s *Service) expire(ctx context.Context) error {
	for pause(ctx, expireEvery) {
		if _, err := s.store.Expire(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "expiring reservations; trying again", "error", err)
		}
	}
	return nil
}

// pause waits; false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
