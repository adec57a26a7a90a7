package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/cartwheel-shop/cartwheel/pkg/httpapi"
	"github.com/cartwheel-shop/cartwheel/pkg/service"
	"github.com/cartwheel-shop/cartwheel/web/scenarios"
)

// Config of the edge.
type Config struct {
	Listen          string `env:"LISTEN" envDefault:"127.0.0.1:8080" form:"address" doc:"address of the HTTP listener; port 0 picks a free one"`
	OrderURL        string `env:"ORDER_URL,required,notEmpty" form:"http" doc:"where the order service answers, http://host:port"`
	InventoryURL    string `env:"INVENTORY_URL,required,notEmpty" form:"http" doc:"where the inventory service answers"`
	PaymentURL      string `env:"PAYMENT_URL,required,notEmpty" form:"http" doc:"where the payment service answers"`
	NotificationURL string `env:"NOTIFICATION_URL,required,notEmpty" form:"http" doc:"where the notification service answers"`
	AnalyticsURL    string `env:"ANALYTICS_URL,required,notEmpty" form:"http" doc:"where the analytics service answers"`

	WorkflowLink string `env:"WORKFLOW_LINK" doc:"where a person sees the workflow of an order, with {order_id} in it; empty: nowhere"`
	MailLink     string `env:"MAIL_LINK" doc:"where a person reads a mail as it was sent, with {message_id} in it; empty: nowhere"`

	LogLevel  string `env:"LOG_LEVEL" envDefault:"info" doc:"debug, info, warn or error"`
	LogFormat string `env:"LOG_FORMAT" envDefault:"text" doc:"text or json"`

	OperatorToken string `env:"OPERATOR_TOKEN" secret:"true" doc:"bearer token for what changes other people's orders or the system"`
	OperatorOpen  bool   `env:"OPERATOR_OPEN" envDefault:"false" doc:"true: operator calls need no token, because only loopback can reach the shop"`

	Faults       string   `env:"FAULTS" envDefault:"off" doc:"on: faults can be armed in the services, as scenarios do"`
	Scenarios    bool     `env:"SCENARIOS" envDefault:"false" doc:"true: offer the scenarios, for demonstrations"`
	KafkaBrokers []string `env:"KAFKA_BROKERS" doc:"comma-separated host:port of Kafka brokers, for scenarios that write to it"`
	ProviderURL  string   `env:"PAYMENT_PROVIDER_URL" doc:"the test payment provider, into whose books scenarios look"`

	// Machine can kill services and stop Kafka, for scenarios, when the program
	// that runs the edge also runs those; nil otherwise.
	Machine scenarios.Machine `env:"-"`

	// Engine says what the saga engine is doing while it is not there, when the
	// program that runs the edge also starts the engine; nil otherwise.
	Engine func() (state, detail string) `env:"-"`
}

// routes hands paths to services, by prefix. What is not here is the edge's own.
var routes = map[string][]string{
	"order":        {"/api/orders", "/api/channel-orders", "/api/tasks"},
	"inventory":    {"/api/products", "/api/stock"},
	"payment":      {"/api/payments"},
	"notification": {"/api/emails", "/api/ws", "/api/sse"},
	"analytics":    {"/api/sales", "/api/sensors", "/api/dead-letters"},
}

// Edge is the edge as a value with a life.
type Edge struct {
	cfg      Config
	log      *slog.Logger
	life     *service.Life
	services map[string]*url.URL
	client   *http.Client
	checks   *checks
	stage    *scenarios.Runner
}

// New validates cfg and connects nothing.
func New(cfg Config, deps service.Deps) (*Edge, error) {
	e := &Edge{cfg: cfg, log: deps.Log, life: service.NewLife("edge", cfg.Listen, deps), services: map[string]*url.URL{},
		client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 32, IdleConnTimeout: time.Minute}}}
	for name, address := range map[string]string{
		"order": cfg.OrderURL, "inventory": cfg.InventoryURL, "payment": cfg.PaymentURL,
		"notification": cfg.NotificationURL, "analytics": cfg.AnalyticsURL,
	} {
		u, err := url.Parse(address)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			return nil, fmt.Errorf("%s_URL must be http://host:port, not %q", strings.ToUpper(name), address)
		}
		e.services[name] = u
	}
	for name, link := range map[string]struct{ template, key string }{"WORKFLOW_LINK": {cfg.WorkflowLink, "{order_id}"}, "MAIL_LINK": {cfg.MailLink, "{message_id}"}} {
		if link.template != "" && (!strings.HasPrefix(link.template, "http") || !strings.Contains(link.template, link.key)) {
			return nil, fmt.Errorf("%s must be an http address with %s in it, not %q", name, link.key, link.template)
		}
	}
	e.checks = newChecks(e.check, deps.Now)
	addresses := map[string]string{}
	if cfg.Faults != "" && cfg.Faults != "off" {
		for name, u := range e.services {
			addresses[name] = u.String()
		}
	}
	e.stage = scenarios.New(scenarios.Config{
		Offered: cfg.Scenarios, Shop: e.own, Token: cfg.OperatorToken, Provider: cfg.ProviderURL, Brokers: cfg.KafkaBrokers,
		Machine: cfg.Machine, Services: addresses, Log: deps.Log, Now: deps.Now,
	})
	return e, nil
}

// Addr returns the host:port that the edge listens on, once it does.
func (e *Edge) Addr(ctx context.Context) (string, error) { return e.life.Addr(ctx) }

// own is the edge's own address, as a program on this machine reaches it.
func (e *Edge) own(ctx context.Context) (string, error) {
	addr, err := e.Addr(ctx)
	if err != nil {
		return "", err
	}
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port), err
}

// Run serves until ctx ends.
func (e *Edge) Run(ctx context.Context) error {
	e.life.Health.Gather(e.missing)
	return e.life.Run(ctx, func(context.Context) ([]service.Part, func(), error) {
		h, err := e.handler()
		if err != nil {
			return nil, nil, err
		}
		e.life.Serve(h)
		return []service.Part{{Name: "scenarios", Run: e.stage.Run}}, nil, nil
	})
}

func (e *Edge) handler() (http.Handler, error) {
	mux := http.NewServeMux()
	for name, prefixes := range routes {
		proxy := e.proxy(name)
		for _, prefix := range append([]string{"/api/outbox/" + name}, prefixes...) {
			mux.Handle(prefix, proxy)
			mux.Handle(prefix+"/", proxy)
		}
	}
	mux.HandleFunc("GET /api/tasks", e.serveTasks)
	mux.HandleFunc("POST /api/tasks/{id}/{decision}", e.decideTask)
	mux.HandleFunc("GET /api/orders/{id}/timeline", e.serveTimeline)
	mux.HandleFunc("GET /api/openapi.json", serveOpenAPI)
	own := e.api().Handler()
	for _, path := range []string{"/api/check", "/api/brokers", "/api/links", "/api/scenarios", "/api/scenarios/"} {
		mux.Handle(path, own)
	}
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		httpapi.WriteProblem(w, httpapi.Problem(http.StatusNotFound, "not_found",
			fmt.Sprintf("there is no %s %s; /api/openapi.json lists what there is", r.Method, r.URL.Path)))
	})
	pages, err := pages()
	if err != nil {
		return nil, err
	}
	mux.Handle("/", pages)
	return httpapi.WholeBody(mux), nil
}

// Links are addresses for a person, of programs that have ports of their own;
// empty where there are none.
type Links struct {
	Workflow string `json:"workflow" doc:"an order's workflow in Temporal's UI, with {order_id} to fill in"`
	Mail     string `json:"mail" doc:"a mail as it was sent, in the inbox, with {message_id} to fill in"`
}

// api is the typed part of the edge's own interface.
func (e *Edge) api() *httpapi.API {
	a := httpapi.New("Edge", httpapi.Config{OperatorToken: e.cfg.OperatorToken, OperatorOpen: e.cfg.OperatorOpen, Log: e.log})
	huma.Register(a.Huma(), huma.Operation{
		OperationID: "check", Method: http.MethodGet, Path: "/api/check", Summary: "The shop's invariants", Tags: []string{"operations"},
	}, func(ctx context.Context, in *struct {
		MaxAge int `query:"max_age" minimum:"0" maximum:"60" doc:"seconds that the figures may be old; absent: they are read after the call came in"`
	}) (*struct{ Body Check }, error) {
		c, err := e.checks.get(ctx, time.Duration(in.MaxAge)*time.Second)
		return &struct{ Body Check }{c}, err
	})
	huma.Register(a.Huma(), huma.Operation{
		OperationID: "brokers", Method: http.MethodGet, Path: "/api/brokers", Summary: "Topics, consumer groups, task queues, queues of mails, streams", Tags: []string{"operations"},
	}, func(ctx context.Context, _ *struct{}) (*struct{ Body Brokers }, error) {
		return &struct{ Body Brokers }{e.brokers(ctx)}, nil
	})
	huma.Register(a.Huma(), huma.Operation{
		OperationID: "links", Method: http.MethodGet, Path: "/api/links", Summary: "Where pages of other programs are", Tags: []string{"operations"},
	}, func(context.Context, *struct{}) (*struct{ Body Links }, error) {
		return &struct{ Body Links }{Links{Workflow: e.cfg.WorkflowLink, Mail: e.cfg.MailLink}}, nil
	})
	e.stage.Register(a)
	return a
}

// OpenAPI is the document of the typed part of the edge's own interface. It needs
// no running edge.
func (e *Edge) OpenAPI() *huma.OpenAPI { return e.api().OpenAPI() }

// proxy hands requests to a service, upgraded connections included. The host
// stays the browser's, so that the service can check the origin against it.
func (e *Edge) proxy(name string) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(e.services[name])
			r.SetXForwarded()
			r.Out.Host = r.In.Host
		},
		Transport:     e.client.Transport,
		FlushInterval: -1, // server-sent events leave at once
		ErrorLog:      slog.NewLogLogger(e.log.Handler(), slog.LevelDebug),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() != nil {
				return // the client has gone
			}
			var p *httpapi.ProblemError
			if errors.As(err, &p) { // of the body, which the client did not send whole
				httpapi.WriteProblem(w, p)
				return
			}
			e.log.WarnContext(r.Context(), "service does not answer", "service", name, "error", err)
			httpapi.WriteProblem(w, httpapi.Problem(http.StatusServiceUnavailable, "service_unavailable",
				"the "+name+" service does not answer at the moment; send the same request again").RetryAfter(time.Second))
		},
	}
}

// missing asks every service what an order would miss there.
func (e *Edge) missing(ctx context.Context) []service.Missing {
	var all []service.Missing
	var mu sync.Mutex
	e.each(func(name string) {
		var r service.Readiness
		err := e.get(ctx, name, "/readyz", &r)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			r.Missing = []service.Missing{{Name: name, State: "down", Detail: "the service does not answer"}}
		}
		for _, m := range r.Missing {
			if m.Name == "start" {
				m.Name, m.State = name, "starting"
			}
			if !slices.ContainsFunc(all, func(n service.Missing) bool { return n.Name == m.Name }) {
				all = append(all, m)
			}
		}
	})
	if e.cfg.Engine != nil {
		for i := range all {
			if all[i].Name == "temporal" {
				all[i].State, all[i].Detail = e.cfg.Engine()
			}
		}
	}
	return all
}

// each calls fn for every service, all at once, and waits.
func (e *Edge) each(fn func(name string)) {
	var wg sync.WaitGroup
	for name := range e.services {
		wg.Go(func() { fn(name) })
	}
	wg.Wait()
}

// get reads a service's JSON answer into v, whatever its status.
func (e *Edge) get(ctx context.Context, name, path string, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.services[name].JoinPath(path).String(), nil)
	if err != nil {
		return err
	}
	return e.do(req, v)
}

func (e *Edge) post(ctx context.Context, name, path string, body, v any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.services[name].JoinPath(path).String(), strings.NewReader(string(raw)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	return e.do(req, v)
}

func (e *Edge) do(req *http.Request, v any) error {
	resp, err := e.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK && req.URL.Path != "/readyz" {
		return fmt.Errorf("%s %s: status %d", req.Method, req.URL.Path, resp.StatusCode)
	}
	return json.NewDecoder(resp.Body).Decode(v)
}
