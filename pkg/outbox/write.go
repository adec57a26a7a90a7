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

// insertRows takes the lock of each key's counter, in order, and draws sequence
// numbers only after all of them: the sort needs every row of bumped first. The
// version is spliced into the envelope here, so that one round trip is enough.
//
// Two transactions cannot deadlock here, since both take the counters in the
// order of (topic, key) and nothing after them.
const insertRows = `
WITH input AS (
    SELECT * FROM unnest($1::int[], $2::smallint[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::bytea[], $8::bytea[])
        AS i (ord, shard, event_id, topic, key, headers, prefix, suffix)
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
SELECT shard, event_id, topic, key, headers, prefix || convert_to(version::text, 'UTF8') || suffix
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
	args, err := db.rows(ctx, payloads)
	if err != nil {
		return err
	}
	batch := &pgx.Batch{}
	batch.Queue(insertRows, args...)
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

// rows are the arguments of insertRows.
func (db *DB) rows(ctx context.Context, payloads []events.Payload) ([]any, error) {
	n := len(payloads)
	ords, shards := make([]int32, n), make([]int16, n)
	ids, topics, keys := make([]string, n), make([]string, n), make([]string, n)
	headers := make([]string, n)
	prefixes, suffixes := make([][]byte, n), make([][]byte, n)
	for i, p := range payloads {
		topic, ok := events.TopicOf(p.EventName())
		if !ok {
			return nil, &UnknownEventError{events.Type(p)}
		}
		key := p.AggregateID()
		if key == "" {
			return nil, &NoKeyError{events.Type(p)}
		}
		env, err := db.envelope(ctx, p)
		if err != nil {
			return nil, err
		}
		raw, err := json.Marshal(env)
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", env.Type, err)
		}
		if len(raw) > MaxPayload {
			return nil, &TooLargeError{Type: env.Type, Key: key, Size: len(raw)}
		}
		prefix, ok := bytes.CutSuffix(raw, []byte(versionZero))
		if !ok {
			return nil, fmt.Errorf("encode %s: the envelope does not end in %s", env.Type, versionZero)
		}
		head, err := json.Marshal(headersOf(ctx, env))
		if err != nil {
			return nil, fmt.Errorf("encode headers of %s: %w", env.Type, err)
		}
		ords[i], shards[i] = int32(i), int16(Shard(key))
		ids[i], topics[i], keys[i], headers[i] = env.ID, topic, key, string(head)
		prefixes[i] = append(prefix, beforeVersion...)
		suffixes[i] = []byte(afterVersion)
	}
	return []any{ords, shards, ids, topics, keys, headers, prefixes, suffixes}, nil
}

// Every encoded envelope ends like this: aggregate_version is the last field of
// metadata, metadata the last of the envelope, and it is 0 until the database
// assigns it.
const (
	beforeVersion = `"aggregate_version":`
	afterVersion  = `}}`
	versionZero   = beforeVersion + "0" + afterVersion
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
