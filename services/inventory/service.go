package inventory

import (
	"context"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/cartwheel-shop/cartwheel/pkg/commands"
	"github.com/cartwheel-shop/cartwheel/pkg/fault"
	"github.com/cartwheel-shop/cartwheel/pkg/links"
	"github.com/cartwheel-shop/cartwheel/pkg/questions"
	"github.com/cartwheel-shop/cartwheel/pkg/saga"
	"github.com/cartwheel-shop/cartwheel/pkg/service"
)

// Config of the inventory service.
type Config struct {
	service.Base

	CourierURL string `env:"COURIER_URL,required,notEmpty" form:"http" doc:"where the courier answers, http://host:port"`
}

// Service is the inventory service.
type Service struct {
	cfg  Config
	life *service.Life
	log  *slog.Logger
	now  func() time.Time

	faults *fault.Points

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
	return &Service{cfg: cfg, life: service.NewLife("inventory", cfg.Listen, deps), log: deps.Log, now: deps.Now, faults: deps.Faults, courier: courier}, nil
}

// Addr returns the host:port that the service listens on, once it does.
func (s *Service) Addr(ctx context.Context) (string, error) { return s.life.Addr(ctx) }

// Run migrates, serves and works until ctx ends and all in flight is settled.
func (s *Service) Run(ctx context.Context) error { return s.life.Run(ctx, s.start) }

// Setup makes what the service needs to exist, and ends.
func (s *Service) Setup(ctx context.Context) error {
	return links.Setup(ctx, s.life, s.cfg.Base, migrations, func(k *links.Links) error {
		return k.EnsureTopics(ctx)
	})
}

func (s *Service) start(ctx context.Context) ([]service.Part, func(), error) {
	link, err := links.Open(ctx, s.life, s.cfg.Base, migrations)
	if err != nil {
		return nil, nil, err
	}
	s.store = NewStore(link.DB, s.now)

	temporal, err := saga.Link(link)
	if err != nil {
		return nil, link.Close, err
	}
	if s.nats, err = link.NATS(); err != nil {
		return nil, link.Close, err
	}

	s.life.Serve(s.api().Handler())

	return []service.Part{
		link.Relay(),
		saga.Worker(link, temporal, commands.InventoryQueue, s.register),
		{Name: "stock", Run: func(ctx context.Context) error {
			return questions.Answer(ctx, s.nats, s.log, questions.StockGet, "inventory", s.stock)
		}},
		{Name: "deliveries", Run: s.followCourier},
		{Name: "expiry", Run: s.expire},
	}, link.Close, nil
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
			service.Pause(ctx, feedTrouble)
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
	for service.Pause(ctx, expireEvery) {
		if _, err := s.store.Expire(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "expiring reservations; trying again", "error", err)
		}
	}
	return nil
}
