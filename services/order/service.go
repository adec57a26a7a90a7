package order

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"go.temporal.io/sdk/workflow"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
	"github.com/cartwheel-shop/cartwheel/pkg/commands"
	"github.com/cartwheel-shop/cartwheel/pkg/fault"
	"github.com/cartwheel-shop/cartwheel/pkg/links"
	"github.com/cartwheel-shop/cartwheel/pkg/questions"
	"github.com/cartwheel-shop/cartwheel/pkg/saga"
	"github.com/cartwheel-shop/cartwheel/pkg/service"
)

// Config of the order service.
type Config struct {
	service.Base

	ApprovalThreshold int64         `env:"APPROVAL_THRESHOLD" envDefault:"50000" doc:"orders with a total above it, in minor units, wait for a person's approval"`
	ApprovalDeadline  time.Duration `env:"APPROVAL_DEADLINE" envDefault:"30m" doc:"how long an order waits for approval before it is rejected"`
	OrderDeadline     time.Duration `env:"ORDER_DEADLINE" envDefault:"1h" doc:"an order that was not dispatched by then is compensated and rejected"`
	ReservationTTL    time.Duration `env:"RESERVATION_TTL" envDefault:"15m" doc:"how long stock is held for an order, beyond its approval"`
	PaymentTokens     []string      `env:"PAYMENT_TOKENS" envDefault:"tok_visa,tok_declined,tok_insufficient_funds,tok_timeout_once,tok_capture_fails,tok_slow" doc:"payment tokens that are accepted; empty: any, the provider decides"`
	DeliveryDeadline  time.Duration `env:"DELIVERY_DEADLINE" envDefault:"72h" doc:"a parcel that was not delivered by then becomes a task for a person"`
}

func (c Config) validate() error {
	for name, d := range map[string]time.Duration{
		"APPROVAL_DEADLINE": c.ApprovalDeadline, "ORDER_DEADLINE": c.OrderDeadline,
		"RESERVATION_TTL": c.ReservationTTL, "DELIVERY_DEADLINE": c.DeliveryDeadline,
	} {
		if d <= 0 {
			return fmt.Errorf("%s must be longer than 0, not %s", name, d)
		}
	}
	if c.ApprovalThreshold < 0 {
		return fmt.Errorf("APPROVAL_THRESHOLD must not be negative, as %d is", c.ApprovalThreshold)
	}
	return nil
}

// Service is the order service.
type Service struct {
	cfg  Config
	life *service.Life
	log  *slog.Logger
	now  func() time.Time

	faults *fault.Points

	store  *Store
	engine *Engine
	nats   *nats.Conn
	admin  *bus.Admin
}

// New validates cfg and connects nothing.
func New(cfg Config, deps service.Deps) (*Service, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Service{cfg: cfg, life: service.NewLife("order", cfg.Listen, deps), log: deps.Log, now: deps.Now, faults: deps.Faults}, nil
}

// Addr returns the host:port that the service listens on, once it does.
func (s *Service) Addr(ctx context.Context) (string, error) { return s.life.Addr(ctx) }

// Run migrates, serves, consumes and works until ctx ends and all in flight is
// settled.
func (s *Service) Run(ctx context.Context) error { return s.life.Run(ctx, s.start) }

// Setup makes what the service needs to exist, and ends.
func (s *Service) Setup(ctx context.Context) error {
	return links.Setup(ctx, s.life, s.cfg.Base, migrations, func(k *links.Links) error {
		s.store = NewStore(k.DB, s.now)
		return k.EnsureTopics(ctx, s.consumers()...)
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
	s.engine = NewEngine(temporal, Policy{
		ApprovalThreshold: s.cfg.ApprovalThreshold, ApprovalWithin: s.cfg.ApprovalDeadline,
		ReserveFor: s.cfg.ReservationTTL, DeliveryWithin: s.cfg.DeliveryDeadline,
	})
	if s.nats, err = link.NATS(); err != nil {
		return nil, link.Close, err
	}
	if s.admin, err = link.Admin(); err != nil {
		return nil, link.Close, err
	}

	s.life.Serve(s.api().Handler())

	return []service.Part{
		link.Relay(),
		link.Consumers(s.consumers()),
		saga.Worker(link, temporal, commands.OrderQueue, s.register),
		{Name: "contacts", Run: func(ctx context.Context) error {
			return questions.Answer(ctx, s.nats, s.log, questions.CustomerContact, "order", s.contact)
		}},
		{Name: "reconciler", Run: s.reconcile},
	}, link.Close, nil
}

// register says what the worker runs: the sagas, and the activities that are
// local to them.
func (s *Service) register(r saga.Registry) {
	r.RegisterWorkflowWithOptions(Fulfil, workflow.RegisterOptions{Name: fulfilName})
	r.RegisterWorkflowWithOptions(RetryTask, workflow.RegisterOptions{Name: retryTaskName})
	(&activities{s.store}).register(r)
}

const (
	reconcileEvery = 15 * time.Second
	// reconcileAfter is how long an open order may stay untouched before the
	// reconciler makes sure that it has a saga.
	reconcileAfter = 30 * time.Second
	reconcileBatch = 200
)

// reconcile starts the saga of every open order that has none: its order.created
// was dead-lettered, or Temporal lost it. An order whose saga waits for a person
// or the courier is asked about too; that it has one is success.
func (s *Service) reconcile(ctx context.Context) error {
	tick := time.NewTicker(reconcileEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := s.startMissing(ctx); err != nil && ctx.Err() == nil && !saga.IsUnavailable(err) {
			s.log.WarnContext(ctx, "reconciling open orders", "error", err)
		}
	}
}

func (s *Service) startMissing(ctx context.Context) error {
	before, last := s.now().Add(-reconcileAfter), ""
	for {
		open, err := s.store.Open(ctx, before, last, reconcileBatch)
		if err != nil || len(open) == 0 {
			return err
		}
		for _, o := range open {
			if err := s.engine.Start(ctx, o.Order); err != nil {
				return err
			}
			last = o.ID
		}
	}
}

// contact answers who receives an order.
func (s *Service) contact(ctx context.Context, r questions.ContactRequest) (questions.Contact, error) {
	o, err := s.store.Get(ctx, r.OrderID)
	if errors.Is(err, ErrNotFound) {
		return questions.Contact{}, &questions.Error{Code: questions.NotFound, Detail: "there is no order " + r.OrderID}
	}
	if err != nil {
		return questions.Contact{}, err
	}
	return questions.Contact{
		CustomerID: o.Customer.ID, Name: o.Customer.Name, Email: o.Customer.Email,
		Address: questions.Address(o.Customer.Address),
	}, nil
}
