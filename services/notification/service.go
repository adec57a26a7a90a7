package notification

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/mail"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/time/rate"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/fault"
	"github.com/cartwheel-shop/cartwheel/pkg/jobs"
	"github.com/cartwheel-shop/cartwheel/pkg/links"
	"github.com/cartwheel-shop/cartwheel/pkg/push"
	"github.com/cartwheel-shop/cartwheel/pkg/service"
)

// Config of the notification service.
type Config struct {
	service.Base

	RedisAddr   string   `env:"REDIS_ADDR,required,notEmpty" form:"address" doc:"host:port of Redis, for mail jobs"`
	SMTPAddr    string   `env:"SMTP_ADDR,required,notEmpty" form:"address" doc:"host:port of the mail server"`
	InboxURL    string   `env:"INBOX_URL" form:"http" doc:"where mails can be looked for by Message-ID (the embedded inbox, or Mailpit); empty: nowhere"`
	From        string   `env:"MAIL_FROM" envDefault:"Cartwheel <shop@cartwheel.example>" doc:"sender of the mails"`
	Rate        float64  `env:"MAIL_RATE" envDefault:"50" doc:"mails per second, at most"`
	PushOrigins []string `env:"PUSH_ORIGINS" form:"http" doc:"comma-separated origins whose pages may watch the shop, besides its own"`

	address *mail.Address
}

func (c Config) domain() string {
	_, domain, _ := strings.Cut(c.address.Address, "@")
	return domain
}

// Service is the notification service.
type Service struct {
	cfg  Config
	life *service.Life
	log  *slog.Logger
	now  func() time.Time

	faults *fault.Points

	store  *Store
	mailer *mailer
	inbox  *mailInbox
	limit  *rate.Limiter
	poked  chan struct{}
	jobs   *jobs.Client
	nats   *nats.Conn
	admin  *bus.Admin
	hub    *push.Hub
}

// New validates cfg and connects nothing.
func New(cfg Config, deps service.Deps) (*Service, error) {
	var err error
	if cfg.address, err = mail.ParseAddress(cfg.From); err != nil {
		return nil, fmt.Errorf("MAIL_FROM must be an address like Shop <shop@example.com>, not %q", cfg.From)
	}
	if cfg.Rate <= 0 {
		return nil, fmt.Errorf("MAIL_RATE must be above 0, not %g", cfg.Rate)
	}
	m, err := newMailer(cfg.SMTPAddr, cfg.address.Name, cfg.address.Address)
	if err != nil {
		return nil, err
	}
	return &Service{
		cfg: cfg, life: service.NewLife("notification", cfg.Listen, deps), log: deps.Log, now: deps.Now, faults: deps.Faults,
		mailer: m, inbox: &mailInbox{url: cfg.InboxURL, client: &http.Client{}},
		limit: rate.NewLimiter(rate.Limit(cfg.Rate), max(1, int(cfg.Rate))), poked: make(chan struct{}, 1),
	}, nil
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

	if s.nats, err = link.NATS(); err != nil {
		return nil, link.Close, err
	}
	if s.admin, err = link.Admin(); err != nil {
		return nil, link.Close, err
	}
	s.jobs = jobs.NewClient(s.cfg.RedisAddr)
	link.AtEnd(func() { _ = s.jobs.Close() })
	s.hub = push.NewHub(push.Config{
		Source: push.Kafka{Config: link.Kafka}, Log: s.log, Origins: s.cfg.PushOrigins, LatestWins: []string{events.TopicTelemetry},
		Topics: []string{events.TopicOrders, events.TopicInventory, events.TopicShipments, events.TopicPayments, events.TopicNotifications, events.TopicTelemetry},
	})

	s.life.Health.Check("push", s.hub.Ready)
	s.life.Health.Check("redis", func(context.Context) error { return s.jobs.Reachable() })
	s.life.Serve(s.api().Handler())

	return []service.Part{
		link.Relay(),
		link.Consumers(s.consumers()),
		link.Inbox(),
		{Name: "enqueuer", Run: s.enqueue},
		{Name: "jobs", Run: func(ctx context.Context) error {
			return jobs.Serve(ctx, jobs.Config{RedisAddr: s.cfg.RedisAddr, Concurrency: 4, Backoff: backoff, Log: s.log, Faults: s.faults}, map[string]jobs.Handler{sendJob: s.send})
		}},
		{Name: "push", Run: s.hub.Run},
	}, link.Close, nil
}
