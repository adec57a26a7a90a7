package analytics

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
	"github.com/cartwheel-shop/cartwheel/pkg/bus/bustest"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/events/schemas"
	"github.com/cartwheel-shop/cartwheel/pkg/fault"
	"github.com/cartwheel-shop/cartwheel/pkg/httpapi"
	"github.com/cartwheel-shop/cartwheel/pkg/inbox"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
	"github.com/cartwheel-shop/cartwheel/pkg/postgres"
	"github.com/cartwheel-shop/cartwheel/pkg/postgres/postgrestest"
	"github.com/cartwheel-shop/cartwheel/pkg/service"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// noon is when the tests' readings begin.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// open returns the store of a fresh database.
func open(t *testing.T) *Store {
	t.Helper()
	return NewStore(outbox.Open(postgrestest.Open(t, outbox.Migrations, inbox.Migrations, postgres.Embedded("analytics", migrations)), "analytics"))
}

// tower is the analytics service on a fresh database and a Kafka in this process;
// NATS is there once the test connects it. Nothing of it runs by itself.
type tower struct {
	*Service
	kafka bus.Config
}

const operatorToken = "an operator's"

func openTower(t *testing.T) *tower {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	var cfg Config
	cfg.OperatorToken = operatorToken
	s, err := New(cfg, service.Deps{Log: log, Now: func() time.Time { return noon }, Faults: fault.New(log)})
	if err != nil {
		t.Fatal(err)
	}
	w := &tower{s, bus.Config{Brokers: bustest.Fake(t).ListenAddrs(), Service: "analytics", Log: log, Faults: s.faults, Attempts: 1}}
	w.store, w.fold = open(t), newFold(w.kafka)
	if w.admin, err = bus.NewAdmin(w.kafka); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.admin.Close)
	if err := bus.EnsureTopics(t.Context(), w.kafka, w.consumers()...); err != nil {
		t.Fatal(err)
	}
	return w
}

// consume runs the consumers until the test ends.
func (w *tower) consume(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := bus.Run(ctx, w.kafka, w.consumers()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); running.Wait() })
}

// settled waits until the consumers have handled all that is there.
func (w *tower) settled(t *testing.T) {
	t.Helper()
	bustest.Await(t, func() bool {
		_, groups, err := w.admin.Figures(t.Context())
		idle := 0
		for _, g := range groups {
			if g.Members > 0 && g.Lag == 0 {
				idle++
			}
		}
		return err == nil && idle == len(w.consumers())
	}, "the consumers to have handled everything")
}

// connect gives the service a NATS with JetStream.
func (w *tower) connect(t *testing.T) {
	t.Helper()
	srv, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(bustest.Patience) {
		t.Fatal("NATS did not start")
	}
	if w.nats, err = nats.Connect(srv.ClientURL()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.nats.Close)
}

// write puts facts into the topic orders, in their order.
func (w *tower) write(t *testing.T, facts ...events.Envelope) {
	t.Helper()
	for _, env := range facts {
		bustest.Write(t, w.kafka.Brokers, bustest.Record(t, events.TopicOrders, env))
	}
}

// answer is what the HTTP interface answers.
type answer struct {
	status int
	body   []byte

	Code   string
	Detail string
	Errors []httpapi.FieldError
}

// into decodes the answer, which must be of the given status.
func (a answer) into(t *testing.T, status int, v any) {
	t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil || a.status != status {
		t.Fatalf("%d %s (%v), want %d", a.status, a.body, err, status)
	}
}

// call asks the service's HTTP interface as the operator.
func (w *tower) call(t *testing.T, method, path, body string) answer {
	t.Helper()
	return w.callAs(t, operatorToken, method, path, body)
}

func (w *tower) callAs(t *testing.T, token, method, path, body string) answer {
	t.Helper()
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	w.api().Handler().ServeHTTP(rec, req)
	a := answer{status: rec.Code, body: rec.Body.Bytes()}
	if a.status >= 400 {
		if err := json.Unmarshal(a.body, &a); err != nil {
			t.Fatalf("%s %s: %d %s is no problem: %v", method, path, a.status, a.body, err)
		}
	}
	return a
}

// get reads what must be there.
func (w *tower) get(t *testing.T, path string, v any) {
	t.Helper()
	w.call(t, http.MethodGet, path, "").into(t, http.StatusOK, v)
}

// tb is what *testing.T and *rapid.T have in common.
type tb interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// device is a sensor whose frames go into a store, past the parser.
type device struct {
	*Store
	sensor Sensor
	unit   string
	now    time.Time
}

func (s *Store) device(subject Sensor) *device {
	return &device{Store: s, sensor: subject, unit: "C", now: noon}
}

// parse hands a frame over as the device publishes it.
func (d *device) parse(t tb, f Frame) received {
	t.Helper()
	raw, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	sensor, got, err := parseFrame("telemetry."+d.sensor.ID(), raw, d.now)
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return received{sensor, got}
}

// send is a batch of the stream.
func (d *device) send(t tb, frames ...Frame) {
	t.Helper()
	list := make([]received, len(frames))
	for i, f := range frames {
		list[i] = d.parse(t, f)
	}
	if err := d.AddFrames(background, 0, 0, list, d.now); err != nil {
		t.Fatal(err)
	}
}

// frame is a frame of the device.
func (d *device) frame(number int64, samples ...Sample) Frame { return Frame{number, d.unit, samples} }

// read is a reading at so many seconds after noon.
func read(seconds, value float64) Sample {
	return Sample{noon.Add(time.Duration(seconds * float64(time.Second))), value}
}

// minutes are the device's windows, by their start.
func (d *device) minutes(t tb) map[time.Time]Window {
	t.Helper()
	rows, err := d.db.Pool().Query(background, `SELECT start, count, min, max, sum, last, last_at, revision FROM windows WHERE sensor = $1`, d.sensor.ID())
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, scanWindow)
	if err != nil {
		t.Fatal(err)
	}
	out := map[time.Time]Window{}
	for _, w := range list {
		out[w.Start] = w
	}
	return out
}

// facts are what was published of a key, in the order of its versions, each
// checked against the event contract.
func (s *Store) facts(t tb, key string) []events.Envelope {
	t.Helper()
	rows, err := s.db.Pool().Query(background, `SELECT payload FROM outbox WHERE shard = $1 AND key = $2 ORDER BY seq`, outbox.Shard(key), key)
	if err != nil {
		t.Fatal(err)
	}
	raws, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		t.Fatal(err)
	}
	list := make([]events.Envelope, len(raws))
	for i, raw := range raws {
		if err := schemas.Validate(raw); err != nil {
			t.Errorf("published %s: %v", raw, err)
		}
		if list[i], err = events.Decode(raw); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// told are the facts of one type among those of a key.
func told[T events.Payload](t tb, s *Store, key string) []T {
	t.Helper()
	var out []T
	for _, env := range s.facts(t, key) {
		if events.Matches[T](env) {
			e, err := events.As[T](env)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, e.Data)
		}
	}
	return out
}

// brief is a window in a few words.
func (w Window) brief() string {
	return fmt.Sprintf("%s %d of %g to %g, sum %g, last %g at %s, revision %d",
		w.Start.Format("15:04"), w.Count, w.Min, w.Max, w.Sum, w.Last, w.LastAt.Format("15:04:05.999999"), w.Revision)
}
