package notification

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/jobs"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox/outboxtest"
	"github.com/cartwheel-shop/cartwheel/pkg/postgres"
	"github.com/cartwheel-shop/cartwheel/pkg/postgres/postgrestest"
	"github.com/cartwheel-shop/cartwheel/pkg/push"
	"github.com/cartwheel-shop/cartwheel/pkg/questions"
	"github.com/cartwheel-shop/cartwheel/pkg/service"
)

const patience = 20 * time.Second

func TestMain(m *testing.M) { postgrestest.Main(m) }

// office is the notification service on a fresh database, with a mail server, a
// Redis, a NATS on which customers' contacts are answered, and a clock that the
// test turns. Nothing of it runs by itself.
type office struct {
	*Service
	smtp  *mailServer
	redis *miniredis.Miniredis

	mu      sync.Mutex
	at      time.Time
	contact questions.Contact
	refusal error // to whoever asks for a contact
}

func open(t *testing.T) *office {
	t.Helper()
	o := &office{
		smtp: openMailServer(t), redis: miniredis.RunT(t),
		at:      time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
		contact: questions.Contact{CustomerID: "cus_1", Name: "Anna Muster", Email: "anna@example.com"},
	}
	cfg := Config{From: "Cartwheel <shop@cartwheel.example>", RedisAddr: o.redis.Addr(), SMTPAddr: o.smtp.addr, Rate: 1000}
	var err error
	if o.Service, err = New(cfg, service.Deps{Log: slog.New(slog.DiscardHandler), Now: o.now}); err != nil {
		t.Fatal(err)
	}
	pool := postgrestest.Open(t, outbox.Migrations, postgres.Embedded("notification", migrations))
	o.store = NewStore(outbox.Open(pool, "notification"), o.now)
	o.jobs = jobs.NewClient(o.redis.Addr())
	t.Cleanup(func() { _ = o.jobs.Close() })
	o.hub = push.NewHub(push.Config{Log: o.log})
	o.Service.nats = connectNATS(t)
	o.answerContacts(t)
	return o
}

func connectNATS(t *testing.T) *nats.Conn {
	t.Helper()
	srv, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(patience) {
		t.Fatal("NATS did not start")
	}
	nc, err := nats.Connect(srv.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// answerContacts answers as the order service does.
func (o *office) answerContacts(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var answering sync.WaitGroup
	answering.Go(func() {
		err := questions.Answer(ctx, o.Service.nats, o.log, questions.CustomerContact, "order", func(context.Context, questions.ContactRequest) (questions.Contact, error) {
			o.mu.Lock()
			defer o.mu.Unlock()
			return o.contact, o.refusal
		})
		if err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); answering.Wait() })
	until(t, "contacts to be answered", func() bool {
		_, err := questions.Ask(t.Context(), o.Service.nats, questions.CustomerContact, questions.ContactRequest{OrderID: "ord_0"})
		return err == nil
	})
}

func (o *office) now() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.at
}

// pass turns the clock.
func (o *office) pass(d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.at = o.at.Add(d)
}

// write writes a mail of an order, as a fact does, and returns its id.
func (o *office) write(t *testing.T, orderID string, k Kind, d Details) string {
	t.Helper()
	err := o.store.db.Tx(t.Context(), func(tx outbox.Tx) error { return o.due(t.Context(), tx, orderID, web, k, d) })
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range o.mails(t, orderID) {
		if e.Kind == k {
			return e.ID
		}
	}
	t.Fatalf("no %s mail of %s was written", k, orderID)
	return ""
}

// mails lists the mails of an order, newest first.
func (o *office) mails(t *testing.T, orderID string) []Email {
	t.Helper()
	list, err := o.store.Emails(t.Context(), orderID, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// mail is the only mail of an order.
func (o *office) mail(t *testing.T, orderID string) Email {
	t.Helper()
	list := o.mails(t, orderID)
	if len(list) != 1 {
		t.Fatalf("%d mails of %s, want one", len(list), orderID)
	}
	return list[0]
}

// waiting is how many mails are due.
func (o *office) waiting(t *testing.T) int {
	t.Helper()
	list, err := o.store.Due(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// facts are the facts of an order in the order in which they were written.
func (o *office) facts(t *testing.T, orderID string) []events.Envelope {
	t.Helper()
	return slices.DeleteFunc(outboxtest.Written(t, o.store.db), func(env events.Envelope) bool { return env.Metadata.CorrelationID != orderID })
}

// told is the names of an order's facts.
func (o *office) told(t *testing.T, orderID string) string {
	t.Helper()
	var names []string
	for _, env := range o.facts(t, orderID) {
		names = append(names, strings.TrimPrefix(strings.TrimSuffix(env.Type, ".v1"), "notification."))
	}
	return strings.Join(names, " ")
}

// work runs the enqueuer and the jobs until the test ends.
func (o *office) work(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := o.enqueue(ctx); err != nil {
			t.Error(err)
		}
	})
	running.Go(func() {
		if err := jobs.Serve(ctx, jobs.Config{RedisAddr: o.redis.Addr(), Concurrency: 4, Backoff: backoff, Log: o.log}, map[string]jobs.Handler{sendJob: o.send}); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); running.Wait() })
}

// until waits for a condition.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// brief is a mail's state in a word or three: "sent after 2, possible duplicate".
func (e Email) brief() string {
	s := fmt.Sprintf("%s after %d", e.State, e.Attempts)
	if e.PossibleDuplicate {
		s += ", possible duplicate"
	}
	return s
}

// inboxOf makes an HTTP inbox that the service may ask.
func (o *office) inboxOf(url string) { o.inbox = &mailInbox{url: url, client: &http.Client{}} }
