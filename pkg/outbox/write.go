package outbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
)

// MaxPayload is the largest envelope in bytes. Kafka takes 1 MiB with headers.
const MaxPayload = 1<<20 - 1<<14

// TooLargeError is a fact that Kafka would never take; it fails the transaction
// that publishes it.
type TooLargeError struct {
	Type string
	Key  string
	Size int
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%s of %s has %d bytes, and a fact may have %d: put the bulk elsewhere and publish a reference", e.Type, e.Key, e.Size, MaxPayload)
}

// UnknownEventError is a fact outside the contract; it fails the transaction
// that publishes it.
type UnknownEventError struct{ Type string }

func (e *UnknownEventError) Error() string {
	return e.Type + " has no topic: it is not registered in package events"
}

// NoKeyError is a fact of no aggregate: without a key it would have no order.
type NoKeyError struct{ Type string }

func (e *NoKeyError) Error() string { return e.Type + " has an empty aggregate id" }

// insertRow is insertRows for one fact, as most transactions have it, at half its
// cost. The sequence number is drawn for the row that bumped returns, and so under
// the lock of the counter.
const insertRow = `
WITH bumped AS (
    INSERT INTO outbox_keys AS k (topic, key, shard, version) VALUES ($3, $4, $1, 1)
    ON CONFLICT (topic, key) DO UPDATE SET version = k.version + 1
    RETURNING version
)
INSERT INTO outbox (shard, event_id, topic, key, headers, payload)
SELECT $1, $2, $3, $4, $5, $6 || convert_to(version::text || '` + afterVersion + `', 'UTF8') FROM bumped`

// insertRows takes the lock of each key's counter, in order, and draws sequence
// numbers only after all of them: the sort needs every row of bumped first. The
// end of the envelope, from the version on, is appended here, so that one round trip
// is enough.
//
// Two transactions cannot deadlock here, since both take the counters in the
// order of (topic, key) and nothing after them.
const insertRows = `
WITH input AS (
    SELECT * FROM unnest($1::smallint[], $2::text[], $3::text[], $4::text[], $5::jsonb[], $6::bytea[])
        WITH ORDINALITY AS i (shard, event_id, topic, key, headers, payload, ord)
), bumped AS (
    INSERT INTO outbox_keys AS k (topic, key, shard, version)
    SELECT topic, key, min(shard), count(*) FROM input GROUP BY topic, key ORDER BY topic, key
    ON CONFLICT (topic, key) DO UPDATE SET version = k.version + excluded.version
    RETURNING topic, key, version
), numbered AS (
    SELECT i.*, b.version - count(*) OVER (PARTITION BY topic, key)
        + row_number() OVER (PARTITION BY topic, key ORDER BY ord) AS version
    FROM input i JOIN bumped b USING (topic, key)
)
INSERT INTO outbox (shard, event_id, topic, key, headers, payload)
SELECT shard, event_id, topic, key, headers, payload || convert_to(version::text || '` + afterVersion + `', 'UTF8')
FROM numbered ORDER BY ord`

// commit writes the facts' rows and commits, in one round trip, so that the
// counters are locked as shortly as can be. When the insert fails, Postgres skips
// the COMMIT and the transaction is still open.
func (db *DB) commit(ctx context.Context, inner pgx.Tx, payloads []events.Payload) error {
	if len(payloads) == 0 {
		if err := inner.Commit(ctx); err != nil {
			return fmt.Errorf("commit: %w", err)
		}
		return nil
	}
	batch := &pgx.Batch{}
	if err := db.queue(ctx, batch, payloads); err != nil {
		return err
	}
	batch.Queue(`COMMIT`)
	results := inner.SendBatch(ctx, batch)
	_, insert := results.Exec()
	tag, commit := results.Exec()
	closed := results.Close()
	switch {
	case insert != nil:
		return fmt.Errorf("insert outbox rows: %w", insert)
	case commit != nil || closed != nil:
		return fmt.Errorf("commit: %w", errors.Join(commit, closed))
	case tag.String() != "COMMIT": // of a transaction that has failed before
		return fmt.Errorf("commit: %w", pgx.ErrTxCommitRollback)
	}
	return nil
}

// queue adds the statement to a batch that inserts the facts' rows.
func (db *DB) queue(ctx context.Context, batch *pgx.Batch, payloads []events.Payload) error {
	n := len(payloads)
	shards, ids, topics, keys, headers, starts := make([]int16, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([][]byte, n)
	for i, p := range payloads {
		topic, ok := events.TopicOf(p.EventName())
		if !ok {
			return &UnknownEventError{events.Type(p)}
		}
		key := p.AggregateID()
		if key == "" {
			return &NoKeyError{events.Type(p)}
		}
		env, err := db.envelope(ctx, p)
		if err != nil {
			return err
		}
		raw, err := json.Marshal(env)
		if err != nil {
			return fmt.Errorf("encode %s: %w", env.Type, err)
		}
		if len(raw) > MaxPayload {
			return &TooLargeError{Type: env.Type, Key: key, Size: len(raw)}
		}
		start, ok := bytes.CutSuffix(raw, []byte("0"+afterVersion))
		if !ok || !bytes.HasSuffix(start, []byte(beforeVersion)) {
			return fmt.Errorf("encode %s: the envelope does not end in %s0%s", env.Type, beforeVersion, afterVersion)
		}
		head, err := json.Marshal(headersOf(ctx, env))
		if err != nil {
			return fmt.Errorf("encode headers of %s: %w", env.Type, err)
		}
		shards[i], ids[i], topics[i], keys[i], headers[i], starts[i] = int16(Shard(key)), env.ID, topic, key, string(head), start
	}
	if n == 1 {
		batch.Queue(insertRow, shards[0], ids[0], topics[0], keys[0], headers[0], starts[0])
	} else {
		batch.Queue(insertRows, shards, ids, topics, keys, headers, starts)
	}
	return nil
}

// Every encoded envelope ends like this: aggregate_version is the last field of
// metadata, metadata the last of the envelope, and it is 0 until the database
// assigns it.
const (
	beforeVersion = `"aggregate_version":`
	afterVersion  = `}}`
)

func (db *DB) envelope(ctx context.Context, p events.Payload) (events.Envelope, error) {
	data, err := json.Marshal(p)
	if err != nil {
		return events.Envelope{}, fmt.Errorf("encode %s: %w", events.Type(p), err)
	}
	cause := events.CauseFrom(ctx)
	env := events.Envelope{
		Type: events.Type(p), ID: events.NewEventID(), Timestamp: db.now().UTC(),
		Version: strconv.Itoa(p.EventVersion()) + ".0", Data: data,
		Metadata: events.Metadata{
			Producer: db.producer, CorrelationID: cause.CorrelationID, CausationID: cause.CausationID, AggregateID: p.AggregateID(),
		},
	}
	if span := trace.SpanContextFromContext(ctx); span.HasTraceID() {
		env.Metadata.TraceID = span.TraceID().String()
	}
	return env, nil
}

// headersOf are CloudEvents attributes (binary mode, Kafka binding) and the W3C
// trace context.
func headersOf(ctx context.Context, env events.Envelope) map[string]string {
	h := map[string]string{
		"ce_specversion": "1.0", "ce_id": env.ID, "ce_type": env.Type, "ce_source": "/" + env.Metadata.Producer,
		"ce_time": env.Timestamp.Format(time.RFC3339Nano), "ce_subject": env.Metadata.AggregateID, "content-type": "application/json",
	}
	otel.GetTextMapPropagator().Inject(ctx, propagation.MapCarrier(h))
	return h
}
