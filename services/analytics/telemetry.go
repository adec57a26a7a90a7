package analytics

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/links"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
	"github.com/cartwheel-shop/cartwheel/pkg/service"
)

// Stream is the JetStream stream of telemetry.
const Stream = "TELEMETRY"

const (
	telemetryBatch = 500
	telemetryWait  = time.Second
	telemetryKeep  = 48 * time.Hour
	// silent is how long nothing may come from a sensor before its open windows
	// close without a newer sample.
	silent = 2 * time.Minute
	// quietAfter is how long after an anomaly the same rule stays silent about a sensor.
	quietAfter = 30 * time.Minute
)

// readTelemetry follows the stream, as the only reader while it holds the lease.
func (s *Service) readTelemetry(ctx context.Context) error {
	for ctx.Err() == nil {
		err := s.store.leased(ctx, Stream, func(ctx context.Context) error { return s.followStream(ctx) })
		if err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "telemetry; trying again", "error", err)
		}
		service.Pause(ctx, time.Second)
	}
	return nil
}

// stream returns the stream of telemetry, made when it is not there.
func (s *Service) stream(ctx context.Context) (jetstream.Stream, error) {
	js, err := jetstream.New(s.nats)
	if err != nil {
		return nil, err
	}
	stream, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: Stream, Subjects: []string{"telemetry.>"}, Storage: jetstream.FileStorage, MaxAge: telemetryKeep, MaxBytes: 512 << 20, Discard: jetstream.DiscardOld,
	})
	if err != nil {
		return nil, fmt.Errorf("make stream %s: %w", Stream, err)
	}
	return stream, nil
}

// setupStream makes the stream as soon as NATS is there.
func (s *Service) setupStream(ctx context.Context, k *links.Links) (err error) {
	if s.nats, err = k.NATS(); err != nil {
		return err
	}
	for {
		if _, err = s.stream(ctx); err == nil {
			return nil
		}
		s.log.InfoContext(ctx, "waiting for NATS", "error", err)
		if !service.Pause(ctx, time.Second) {
			return err
		}
	}
}

func (s *Service) followStream(ctx context.Context) error {
	stream, err := s.stream(ctx)
	if err != nil {
		return err
	}
	at, err := s.store.streamPosition(ctx)
	if err != nil {
		return err
	}
	if info := stream.CachedInfo(); info.State.LastSeq < at {
		at = 0 // the stream was made anew
		if err := s.store.resetStream(ctx); err != nil {
			return err
		}
	}
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: at + 1})
	if err != nil {
		return fmt.Errorf("read stream %s: %w", Stream, err)
	}
	for ctx.Err() == nil {
		batch, err := consumer.Fetch(telemetryBatch, jetstream.FetchMaxWait(telemetryWait))
		if err != nil {
			return fmt.Errorf("read stream %s: %w", Stream, err)
		}
		var frames []received
		last := at
		for m := range batch.Messages() {
			meta, err := m.Metadata()
			if err != nil {
				return fmt.Errorf("read stream %s: %w", Stream, err)
			}
			last = meta.Sequence.Stream
			sensor, frame, err := parseFrame(m.Subject(), m.Data(), s.now())
			if err != nil {
				s.badFrames.Add(1)
				s.log.DebugContext(ctx, "frame dropped", "subject", m.Subject(), "error", err)
				continue
			}
			frames = append(frames, received{sensor, frame})
		}
		if err := batch.Error(); err != nil && !errors.Is(err, jetstream.ErrNoMessages) {
			return fmt.Errorf("read stream %s: %w", Stream, err)
		}
		if err := s.store.AddFrames(ctx, at, last, frames, s.now().UTC()); err != nil {
			return err
		}
		at = last
	}
	return nil
}

// received is a frame with its sensor.
type received struct {
	sensor Sensor
	frame  Frame
}

// errNotOurs says that another reader was faster.
var errNotOurs = errors.New("the stream was read on by another reader")

// AddFrames adds what frames say to the windows, closes windows that are over,
// and moves the stream's position from one sequence to another, all in one
// transaction.
func (s *Store) AddFrames(ctx context.Context, from, to uint64, frames []received, now time.Time) error {
	return s.db.Tx(ctx, func(tx outbox.Tx) error {
		if to != from {
			tag, err := tx.Exec(ctx, `
				INSERT INTO stream_positions AS p (stream, seq) VALUES ($1, $3) ON CONFLICT (stream) DO UPDATE SET seq = excluded.seq WHERE p.seq = $2`, Stream, int64(from), int64(to))
			if err != nil {
				return fmt.Errorf("move stream position: %w", err)
			}
			if tag.RowsAffected() == 0 {
				return errNotOurs
			}
		}
		bySensor := map[string][]received{}
		for _, f := range frames {
			bySensor[f.sensor.ID()] = append(bySensor[f.sensor.ID()], f)
		}
		for id, list := range bySensor {
			if err := addSensor(ctx, tx, id, list, now); err != nil {
				return fmt.Errorf("add frames of %s: %w", id, err)
			}
		}
		return closeSilent(ctx, tx, now)
	})
}

// addSensor adds the frames of one sensor.
func addSensor(ctx context.Context, tx outbox.Tx, id string, list []received, now time.Time) error {
	first := list[0]
	frame, newest, value := int64(0), time.Time{}, 0.0
	err := tx.QueryRow(ctx, `SELECT frame, newest_at, last_value FROM sensors WHERE sensor = $1 FOR UPDATE`, id).Scan(&frame, &newest, &value)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	var samples []Sample
	for _, f := range list {
		last := slices.MaxFunc(f.frame.Samples, later)
		if f.frame.Number <= frame && !last.At.After(newest) {
			continue // a repeat; a device that was restarted counts anew but has newer samples
		}
		frame = f.frame.Number
		samples = append(samples, f.frame.Samples...)
		if later(last, Sample{newest, value}) > 0 {
			newest, value = last.At, last.Value
		}
	}
	if len(samples) == 0 {
		return nil
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO sensors (sensor, site, zone, device, unit, frame, newest_at, last_value, seen_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (sensor) DO UPDATE SET unit = excluded.unit, frame = excluded.frame, newest_at = excluded.newest_at, last_value = excluded.last_value, seen_at = excluded.seen_at`,
		id, first.sensor.Site, first.sensor.Zone, first.sensor.Device, first.frame.Unit, frame, newest, value, now)
	if err != nil {
		return err
	}
	for _, part := range windowsOf(samples) {
		w, err := mergeWindow(ctx, tx, id, part)
		if err != nil {
			return err
		}
		if w.Revision > 0 { // it had been closed: late samples
			publishWindow(tx, id, first.sensor, first.frame.Unit, w)
		}
	}
	return closeWindows(ctx, tx, id, first.sensor, first.frame.Unit, newest)
}

// mergeWindow adds a part to a window, under the lock of its sensor. It returns
// the whole window; a closed one with its next revision.
func mergeWindow(ctx context.Context, tx pgx.Tx, id string, part Window) (Window, error) {
	w := Window{Start: part.Start}
	err := tx.QueryRow(ctx, `
		INSERT INTO windows AS w (sensor, start, count, min, max, sum, last, last_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (sensor, start) DO UPDATE SET count = w.count + excluded.count, min = least(w.min, excluded.min), max = greatest(w.max, excluded.max), sum = w.sum + excluded.sum,
			last = CASE WHEN (excluded.last_at, excluded.last) > (w.last_at, w.last) THEN excluded.last ELSE w.last END, last_at = greatest(w.last_at, excluded.last_at),
			revision = CASE WHEN w.revision > 0 THEN w.revision + 1 ELSE 0 END
		RETURNING count, min, max, sum, last, last_at, revision`, id, part.Start, part.Count, part.Min, part.Max, part.Sum, part.Last, part.LastAt).
		Scan(&w.Count, &w.Min, &w.Max, &w.Sum, &w.Last, &w.LastAt, &w.Revision)
	return w, err
}

// closeWindows closes the windows of a sensor that are over, publishes them and
// looks for anomalies.
func closeWindows(ctx context.Context, tx outbox.Tx, id string, sensor Sensor, unit string, newest time.Time) error {
	rows, err := tx.Query(ctx, `
		UPDATE windows SET revision = 1 WHERE sensor = $1 AND revision = 0 AND start <= $2
		RETURNING start, count, min, max, sum, last, last_at, revision`, id, newest.Add(-lateness-window))
	if err != nil {
		return err
	}
	closed, err := pgx.CollectRows(rows, scanWindow)
	if err != nil {
		return err
	}
	slices.SortFunc(closed, func(a, b Window) int { return a.Start.Compare(b.Start) })
	for _, w := range closed {
		publishWindow(tx, id, sensor, unit, w)
		if err := lookFor(ctx, tx, id, sensor, unit, w); err != nil {
			return err
		}
	}
	return nil
}

func scanWindow(row pgx.CollectableRow) (Window, error) {
	var w Window
	err := row.Scan(&w.Start, &w.Count, &w.Min, &w.Max, &w.Sum, &w.Last, &w.LastAt, &w.Revision)
	w.Start, w.LastAt = w.Start.UTC(), w.LastAt.UTC()
	return w, err
}

func publishWindow(tx outbox.Tx, id string, sensor Sensor, unit string, w Window) {
	tx.Publish(events.TelemetryAggregated{Sensor: id, Site: sensor.Site, Zone: sensor.Zone, Unit: unit, WindowStart: w.Start.UTC(), WindowEnd: w.End().UTC(),
		Count: w.Count, Min: w.Min, Max: w.Max, Mean: w.Mean(), Sum: w.Sum, Last: w.Last, Revision: w.Revision})
}

// lookFor looks for an anomaly at a window that has just closed.
func lookFor(ctx context.Context, tx outbox.Tx, id string, sensor Sensor, unit string, w Window) error {
	rows, err := tx.Query(ctx, `
		SELECT start, count, min, max, sum, last, last_at, revision FROM windows WHERE sensor = $1 AND revision > 0 AND start <= $2 ORDER BY start DESC LIMIT $3`, id, w.Start, history+1)
	if err != nil {
		return err
	}
	minutes, err := pgx.CollectRows(rows, scanWindow)
	if err != nil {
		return err
	}
	slices.Reverse(minutes)
	a := detect(sensor.Zone, unit, minutes)
	if a == nil {
		return nil
	}
	tag, err := tx.Exec(ctx, `
		INSERT INTO anomalies (sensor, at, rule, value, "limit", severity, detail) SELECT $1, $2::timestamptz, $3, $4, $5, $6, $7
		WHERE NOT EXISTS (SELECT FROM anomalies WHERE sensor = $1 AND rule = $3 AND at BETWEEN $2::timestamptz - $8::interval AND $2)`,
		id, a.At, a.Rule, a.Value, a.Limit, a.Severity, a.Detail, quietAfter)
	if err != nil || tag.RowsAffected() == 0 {
		return err
	}
	tx.Publish(events.TelemetryAnomalyDetected{Sensor: id, Site: sensor.Site, Zone: sensor.Zone, Unit: unit, At: a.At.UTC(), Value: a.Value,
		Rule: a.Rule, Limit: a.Limit, Severity: a.Severity, Detail: a.Detail})
	return nil
}

// closeSilent closes the windows of sensors from which nothing comes any more.
func closeSilent(ctx context.Context, tx outbox.Tx, now time.Time) error {
	rows, err := tx.Query(ctx, `
		SELECT DISTINCT s.sensor, s.site, s.zone, s.device, s.unit FROM sensors s JOIN windows w USING (sensor) WHERE w.revision = 0 AND s.seen_at < $1 ORDER BY 1 LIMIT 100`, now.Add(-silent))
	if err != nil {
		return err
	}
	type gone struct {
		id     string
		sensor Sensor
		unit   string
	}
	var list []gone
	var g gone
	if _, err := pgx.ForEachRow(rows, []any{&g.id, &g.sensor.Site, &g.sensor.Zone, &g.sensor.Device, &g.unit}, func() error { list = append(list, g); return nil }); err != nil {
		return err
	}
	for _, g := range list {
		if err := closeWindows(ctx, tx, g.id, g.sensor, g.unit, now.Add(lateness+2*window)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) streamPosition(ctx context.Context) (uint64, error) {
	var seq int64
	err := s.db.Pool().QueryRow(ctx, `SELECT coalesce((SELECT seq FROM stream_positions WHERE stream = $1), 0)`, Stream).Scan(&seq)
	if err != nil {
		return 0, fmt.Errorf("read stream position: %w", err)
	}
	return uint64(seq), nil
}

func (s *Store) resetStream(ctx context.Context) error {
	if _, err := s.db.Pool().Exec(ctx, `DELETE FROM stream_positions WHERE stream = $1`, Stream); err != nil {
		return fmt.Errorf("reset stream position: %w", err)
	}
	return nil
}

// leased runs fn while a session lock is held, so that one replica reads a
// stream. The compare-and-set of the position protects even when two do.
func (s *Store) leased(ctx context.Context, name string, fn func(context.Context) error) error {
	conn, err := s.db.Pool().Acquire(ctx)
	if err != nil {
		return fmt.Errorf("lease of %s: %w", name, err)
	}
	defer conn.Release()
	var held bool
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtextextended($1, 0))`, name).Scan(&held); err != nil {
		return fmt.Errorf("lease of %s: %w", name, err)
	}
	if !held {
		return nil
	}
	defer func() {
		if _, err := conn.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock(hashtextextended($1, 0))`, name); err != nil {
			_ = conn.Conn().Close(context.WithoutCancel(ctx)) // the lock ends with the session
		}
	}()
	return fn(ctx)
}
