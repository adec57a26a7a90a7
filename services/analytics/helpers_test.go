package analytics

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/events/schemas"
	"github.com/cartwheel-shop/cartwheel/pkg/inbox"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
	"github.com/cartwheel-shop/cartwheel/pkg/postgres"
	"github.com/cartwheel-shop/cartwheel/pkg/postgres/postgrestest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// noon is when the tests' readings begin.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// open returns the store of a fresh database.
func open(t *testing.T) *Store {
	t.Helper()
	return NewStore(outbox.Open(postgrestest.Open(t, outbox.Migrations, inbox.Migrations, postgres.Embedded("analytics", migrations)), "analytics"))
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
