package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/fault"
	"github.com/cartwheel-shop/cartwheel/pkg/observe"
	"github.com/cartwheel-shop/cartwheel/pkg/service"
	"github.com/cartwheel-shop/cartwheel/services/analytics"
	"github.com/cartwheel-shop/cartwheel/services/inventory"
	"github.com/cartwheel-shop/cartwheel/services/notification"
	"github.com/cartwheel-shop/cartwheel/services/order"
	"github.com/cartwheel-shop/cartwheel/services/payment"
	"github.com/cartwheel-shop/cartwheel/stack"
	"github.com/cartwheel-shop/cartwheel/stack/courier"
	"github.com/cartwheel-shop/cartwheel/stack/provider"
	"github.com/cartwheel-shop/cartwheel/web"
)

// shop is the all-in-one program: the stack, the test servers, five services
// and the edge, each the same value as in a process of its own.
type shop struct {
	dir     string
	environ map[string]string
	real    bool // real servers where the embedded ones imitate
	demo    bool // offer the scenarios
	log     *slog.Logger
	say     func(part, state string) // a line for the person in front

	stack     *stack.Stack
	endpoints endpoints
	listen    string // of the console
}

// endpoints is DIR/endpoints.json: where everything of a running shop is.
type endpoints struct {
	Console string `json:"console"`
	stack.Endpoints
	Provider string `json:"provider"`
	Courier  string `json:"courier"`
}

// runner is a service or the edge.
type runner interface {
	Run(ctx context.Context) error
	Addr(ctx context.Context) (string, error)
}

// run starts everything, calls ready with the endpoints, and returns when ctx
// has ended and all has stopped, or when a part could not go on.
func (s *shop) run(ctx context.Context, ready func(context.Context, endpoints) error) (err error) {
	shutdown, err := observe.Setup(ctx, "cartwheel", s.environ["OTEL_EXPORTER_OTLP_ENDPOINT"])
	if err != nil {
		return err
	}
	defer shutdown()

	if s.stack, err = stack.Start(ctx, s.stackConfig(), s.log, stack.ProgressFunc(s.progress)); err != nil {
		return err
	}
	defer func() {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), service.StopWithin)
		defer cancel()
		err = errors.Join(err, s.stack.Stop(stop))
	}()
	s.endpoints.Endpoints = s.stack.Endpoints()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group := &group{ctx: ctx, cancel: cancel}
	if err := s.startTestServers(ctx, group); err != nil {
		return err
	}
	if err := s.startServices(ctx, group); err != nil {
		cancel()
		return cmp.Or(group.wait(), err) // a part that failed is why the others were told to stop
	}
	if err := ready(ctx, s.endpoints); err != nil {
		cancel()
		return errors.Join(err, group.wait())
	}
	<-ctx.Done()
	return group.wait()
}

// group runs the parts of the shop; the first that fails stops the others.
type group struct {
	ctx    context.Context // of all parts
	cancel context.CancelFunc
	wg     sync.WaitGroup
	mu     sync.Mutex
	err    error
}

func (g *group) start(ctx context.Context, name string, run func(context.Context) error) {
	g.wg.Go(func() {
		if err := run(ctx); err != nil && !(errors.Is(err, context.Canceled) && ctx.Err() != nil) {
			if !strings.HasPrefix(err.Error(), name+": ") {
				err = fmt.Errorf("%s: %w", name, err)
			}
			g.mu.Lock()
			g.err = cmp.Or(g.err, err) // others fail of the same, or of being stopped
			g.mu.Unlock()
			g.cancel()
		}
	})
}

func (g *group) wait() error {
	g.wg.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

func (s *shop) stackConfig() stack.Config {
	var brokers []string
	if v := s.environ["KAFKA_BROKERS"]; v != "" {
		brokers = strings.Split(v, ",")
	}
	return stack.Config{
		Dir: s.dir, CacheDir: s.environ["CARTWHEEL_CACHE"], Real: s.real,
		KafkaBrokers: brokers, TemporalAddress: s.environ["TEMPORAL_ADDRESS"], NATSURL: s.environ["NATS_URL"],
		RedisAddr: s.environ["REDIS_ADDR"], PostgresURL: s.environ["POSTGRES_URL"],
		SMTPAddr: s.environ["SMTP_ADDR"], InboxURL: s.environ["INBOX_URL"],
		TemporalNamespace: s.environ["TEMPORAL_NAMESPACE"],
		HoldTemporal:      s.environ["CARTWHEEL_HOLD_TEMPORAL"] == "true",
	}
}

func (s *shop) progress(st stack.Status) {
	s.log.Info("stack", "part", string(st.Part), "state", st.String(), "address", st.Address)
	switch {
	case st.Phase == stack.Ready && st.External:
		s.say(string(st.Part), "using "+st.Address)
	case st.Phase == stack.Ready:
		s.say(string(st.Part), "ready at "+st.Address)
	case st.Phase != stack.Starting && st.Phase != stack.Stopped:
		s.say(string(st.Part), st.String())
	}
}

// startTestServers starts the payment provider and the courier, unless they
// have an address.
func (s *shop) startTestServers(ctx context.Context, g *group) error {
	s.endpoints.Provider, s.endpoints.Courier = s.environ["PAYMENT_PROVIDER_URL"], s.environ["COURIER_URL"]
	if s.endpoints.Provider == "" {
		server, err := provider.New(provider.Config{Journal: filepath.Join(s.dir, "provider.journal"), Log: s.log.With("service", "provider")})
		if err != nil {
			return err
		}
		if s.endpoints.Provider, err = s.serve(ctx, g, "provider", server); err != nil {
			return err
		}
	}
	if s.endpoints.Courier == "" {
		delay, err := s.courierDelay()
		if err != nil {
			return err
		}
		server, err := courier.New(courier.Config{Journal: filepath.Join(s.dir, "courier.journal"), Delay: delay, Log: s.log.With("service", "courier")})
		if err != nil {
			return err
		}
		if s.endpoints.Courier, err = s.serve(ctx, g, "courier", server); err != nil {
			return err
		}
	}
	return nil
}

func (s *shop) courierDelay() (time.Duration, error) {
	v := s.environ["COURIER_DELAY"]
	if v == "" {
		return 2 * time.Second, nil
	}
	delay, err := time.ParseDuration(v)
	if err != nil || delay < 0 {
		return 0, fmt.Errorf("COURIER_DELAY must be a duration like 2s, not %q", v)
	}
	return delay, nil
}

// testServer is the provider or the courier.
type testServer interface {
	Serve(ctx context.Context, ln net.Listener) error
}

func (s *shop) serve(ctx context.Context, g *group, name string, server testServer) (url string, err error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	g.start(ctx, name, func(ctx context.Context) error { return server.Serve(ctx, ln) })
	s.say(name, "ready at "+ln.Addr().String())
	return "http://" + ln.Addr().String(), nil
}

// variables are the environment of a service: ours, with the stack's addresses.
func (s *shop) variables(more map[string]string) map[string]string {
	vars := maps.Clone(s.environ)
	e := s.endpoints
	maps.Copy(vars, map[string]string{
		"LISTEN": "127.0.0.1:0", "KAFKA_BROKERS": e.Kafka, "TEMPORAL_ADDRESS": e.Temporal, "NATS_URL": e.NATS,
		"REDIS_ADDR": e.Redis, "POSTGRES_URL": e.Postgres, "SMTP_ADDR": e.SMTP, "INBOX_URL": e.Inbox,
		"PAYMENT_PROVIDER_URL": e.Provider, "COURIER_URL": e.Courier,
	})
	maps.Copy(vars, more)
	return vars
}

// build makes a service of its configuration from variables.
func build[C any, S runner](s *shop, name string, vars map[string]string, newService func(C, service.Deps) (S, error)) (runner, error) {
	cfg, err := service.Load[C](vars)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	log := s.log.With("service", name)
	faults, err := fault.FromEnv(vars["FAULTS"], log)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	svc, err := newService(cfg, service.Deps{Log: log, Now: time.Now, Faults: faults})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return svc, nil
}

// serviceNames are the five services.
var serviceNames = []string{"order", "inventory", "payment", "notification", "analytics"}

// service makes one of the five.
func (s *shop) service(name string, vars map[string]string) (runner, error) {
	switch name {
	case "order":
		return build(s, name, vars, order.New)
	case "inventory":
		return build(s, name, vars, inventory.New)
	case "payment":
		return build(s, name, vars, payment.New)
	case "notification":
		return build(s, name, vars, notification.New)
	default:
		return build(s, name, vars, analytics.New)
	}
}

// serviceVariables are the environment of a service.
func (s *shop) serviceVariables(more map[string]string) map[string]string {
	vars := s.variables(map[string]string{"OPERATOR_OPEN": strconv.FormatBool(s.operatorOpen(s.listen))})
	maps.Copy(vars, more)
	return vars
}

// part is a service with its name.
type part struct {
	name string
	run  runner
}

// services makes the five services from the environment and the stack's
// addresses; it connects nothing.
func (s *shop) services() ([]part, error) {
	vars := s.serviceVariables(nil)
	var list []part
	for _, name := range serviceNames {
		svc, err := s.service(name, vars)
		if err != nil {
			return nil, err // the same variable would be wrong for several
		}
		list = append(list, part{name, svc})
	}
	return list, nil
}

// validate says what is wrong with the environment, before anything is started:
// the services are made for once with the addresses that are set, and others that
// stand for those to come.
func (s *shop) validate() error {
	if _, err := s.courierDelay(); err != nil {
		return err
	}
	if _, err := observe.NewLogger(io.Discard, s.environ["LOG_LEVEL"], s.environ["LOG_FORMAT"]); err != nil {
		return err
	}
	for _, name := range []string{"OPERATOR_OPEN", "SCENARIOS", "CARTWHEEL_HOLD_TEMPORAL"} {
		if v := s.environ[name]; v != "" && v != "true" && v != "false" {
			return fmt.Errorf("%s must be true or false, not %q", name, v)
		}
	}
	if err := observe.CheckEndpoint(s.environ["OTEL_EXPORTER_OTLP_ENDPOINT"]); err != nil {
		return err
	}
	or := func(name, standIn string) string { return cmp.Or(s.environ[name], standIn) }
	const host, url = "127.0.0.1:1", "http://127.0.0.1:1"
	to := *s
	to.endpoints = endpoints{Console: url, Provider: or("PAYMENT_PROVIDER_URL", url), Courier: or("COURIER_URL", url), Endpoints: stack.Endpoints{
		Kafka: or("KAFKA_BROKERS", host), Temporal: or("TEMPORAL_ADDRESS", host), NATS: or("NATS_URL", "nats://"+host), Redis: or("REDIS_ADDR", host),
		SMTP: or("SMTP_ADDR", host), Inbox: or("INBOX_URL", url), Postgres: or("POSTGRES_URL", "postgres://u:p@"+host+"/postgres"),
	}}
	if _, err := to.services(); err != nil {
		return err
	}
	return s.stackConfig().Check()
}

// startServices starts the five services and, in front of them, the edge.
func (s *shop) startServices(ctx context.Context, g *group) error {
	services, err := s.services()
	if err != nil {
		return err
	}
	m := newMachine(s, g)
	urls := map[string]string{}
	var mu sync.Mutex
	var addrs sync.WaitGroup
	for _, p := range services {
		m.run(ctx, p.name, p.run)
		addrs.Go(func() {
			if addr, err := p.run.Addr(ctx); err == nil {
				m.at(p.name, addr)
				mu.Lock()
				urls[p.name] = "http://" + addr
				mu.Unlock()
				s.say(p.name, "ready at "+addr)
			}
		})
	}
	addrs.Wait()
	if len(urls) < len(services) {
		return ctx.Err()
	}

	edge, err := web.New(web.Config{
		Listen: s.listen, OrderURL: urls["order"], InventoryURL: urls["inventory"], PaymentURL: urls["payment"],
		NotificationURL: urls["notification"], AnalyticsURL: urls["analytics"], Engine: s.engineState,
		OperatorToken: s.environ["OPERATOR_TOKEN"], OperatorOpen: s.operatorOpen(s.listen),
		Scenarios: s.demo || s.environ["SCENARIOS"] == "true", Machine: m, Faults: s.environ["FAULTS"],
		KafkaBrokers: strings.Split(s.endpoints.Kafka, ","), ProviderURL: s.endpoints.Provider,
		WorkflowLink: s.workflowLink(), MailLink: s.mailLink(),
	}, service.Deps{Log: s.log.With("service", "edge"), Now: time.Now})
	if err != nil {
		return err
	}
	g.start(ctx, "console", edge.Run)
	addr, err := edge.Addr(ctx)
	if err != nil {
		return err
	}
	s.endpoints.Console = "http://" + reachable(addr)
	return nil
}

// reachable is an address that a program on this machine can call: one that
// listens everywhere also answers on loopback.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsUnspecified() {
		return addr
	}
	return net.JoinHostPort("127.0.0.1", port)
}

// workflowLink is the address of an order's workflow in Temporal's UI, where we run one.
func (s *shop) workflowLink() string {
	if v := s.environ["WORKFLOW_LINK"]; v != "" || s.endpoints.TemporalUI == "" {
		return v
	}
	return s.endpoints.TemporalUI + "/namespaces/" + cmp.Or(s.environ["TEMPORAL_NAMESPACE"], "cartwheel") + "/workflows/{order_id}"
}

// mailLink is the address of a mail in the embedded inbox, if that is where mails go.
func (s *shop) mailLink() string {
	if v := s.environ["MAIL_LINK"]; v != "" || s.environ["INBOX_URL"] != "" || s.endpoints.Inbox == "" {
		return v
	}
	return s.endpoints.Inbox + "/?message_id={message_id}"
}

// engineState says what Temporal is doing, for the console's banner.
func (s *shop) engineState() (state, detail string) {
	st := s.stack.Status(stack.Temporal)
	detail = st.Detail
	if st.Total > 0 {
		detail = fmt.Sprintf("%d of %d packages", st.Done, st.Total)
	}
	return string(st.Phase), detail
}

// operatorOpen says whether only loopback can reach the shop.
func (s *shop) operatorOpen(listen string) bool {
	if s.environ["OPERATOR_OPEN"] != "" {
		return s.environ["OPERATOR_OPEN"] == "true"
	}
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// awaitReady waits until /readyz says yes, or ctx ends.
func awaitReady(ctx context.Context, console string) error {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, console+"/readyz", nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// openLog opens the log file of a shop. What it said before stays.
func openLog(dir, level, format string) (*slog.Logger, *os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "cartwheel.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, nil, fmt.Errorf("the data directory %s cannot be written to: choose another with --data, or mend its permissions (%w)", dir, err)
	}
	log, err := observe.NewLogger(f, level, format)
	if err != nil {
		return nil, nil, err
	}
	return log, f, nil
}
