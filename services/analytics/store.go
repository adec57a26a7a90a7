package analytics

import (
	"cmp"
	"context"
	"embed"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/figures"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Store is the analytics database.
type Store struct {
	db *outbox.DB
}

// NewStore returns the store over an opened, migrated database.
func NewStore(db *outbox.DB) *Store { return &Store{db} }

type factKey struct{ topic, key string }

type keyState struct {
	seen, newest, disorder int64
}

// insertFacts adds facts to the log and follows the versions of their keys. The
// facts of a key come in the order of its partition.
func insertFacts(ctx context.Context, tx pgx.Tx, list []events.Envelope) error {
	n := len(list)
	ids, topics, keys, types := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	correlations, causations, traces, producers := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	partitions, offsets, versions, ats := make([]int32, n), make([]int64, n), make([]int64, n), make([]time.Time, n)
	for i, e := range list {
		ids[i], topics[i], keys[i], types[i] = e.ID, e.Source.Topic, e.Metadata.AggregateID, e.Type
		correlations[i], causations[i], traces[i], producers[i] = e.Metadata.CorrelationID, e.Metadata.CausationID, e.Metadata.TraceID, e.Metadata.Producer
		partitions[i], offsets[i], versions[i], ats[i] = e.Source.Partition, e.Source.Offset, e.Metadata.AggregateVersion, e.Timestamp
	}
	_, err := tx.Exec(ctx, `
		INSERT INTO facts (event_id, topic, partition, "offset", key, version, type, at, correlation_id, causation_id, trace_id, producer)
		SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::bigint[], $5::text[], $6::bigint[], $7::text[], $8::timestamptz[], $9::text[], $10::text[], $11::text[], $12::text[])
		ON CONFLICT DO NOTHING`, ids, topics, partitions, offsets, keys, versions, types, ats, correlations, causations, traces, producers)
	if err != nil {
		return fmt.Errorf("insert facts: %w", err)
	}
	return followKeys(ctx, tx, list)
}

// followKeys counts the facts of each key and notes versions out of order.
func followKeys(ctx context.Context, tx pgx.Tx, list []events.Envelope) error {
	states := map[factKey]keyState{}
	for _, e := range list {
		states[factKey{e.Source.Topic, e.Metadata.AggregateID}] = keyState{}
	}
	order := slices.SortedFunc(maps.Keys(states), func(a, b factKey) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.key, b.key))
	})
	topics, keys := make([]string, len(order)), make([]string, len(order))
	for i, k := range order {
		topics[i], keys[i] = k.topic, k.key
	}
	rows, err := tx.Query(ctx, `
		SELECT topic, key, seen, newest, disorder FROM fact_keys JOIN unnest($1::text[], $2::text[]) AS k (topic, key) USING (topic, key)
		ORDER BY topic, key FOR UPDATE OF fact_keys`, topics, keys)
	if err != nil {
		return fmt.Errorf("read fact keys: %w", err)
	}
	var k factKey
	var st keyState
	if _, err := pgx.ForEachRow(rows, []any{&k.topic, &k.key, &st.seen, &st.newest, &st.disorder}, func() error { states[k] = st; return nil }); err != nil {
		return fmt.Errorf("read fact keys: %w", err)
	}
	for _, e := range list {
		k := factKey{e.Source.Topic, e.Metadata.AggregateID}
		st := states[k]
		if e.Metadata.AggregateVersion != st.newest+1 {
			st.disorder++
		}
		st.seen++
		st.newest = max(st.newest, e.Metadata.AggregateVersion)
		states[k] = st
	}
	shards, seen, newest, disorder := make([]int16, len(order)), make([]int64, len(order)), make([]int64, len(order)), make([]int64, len(order))
	for i, k := range order {
		shards[i], seen[i], newest[i], disorder[i] = int16(outbox.Shard(k.key)), states[k].seen, states[k].newest, states[k].disorder
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO fact_keys (topic, key, shard, seen, newest, disorder)
		SELECT * FROM unnest($1::text[], $2::text[], $3::smallint[], $4::bigint[], $5::bigint[], $6::bigint[])
		ON CONFLICT (topic, key) DO UPDATE SET seen = excluded.seen, newest = excluded.newest, disorder = excluded.disorder`,
		topics, keys, shards, seen, newest, disorder)
	if err != nil {
		return fmt.Errorf("store fact keys: %w", err)
	}
	return nil
}

// Fact is an entry of the log.
type Fact struct {
	EventID       string
	Topic         string
	Partition     int32
	Offset        int64
	Key           string
	Version       int64
	Type          string
	At            time.Time
	CorrelationID string
	CausationID   string
	TraceID       string
	Producer      string
}

// FactsOf returns the facts on an order's way, oldest first.
func (s *Store) FactsOf(ctx context.Context, orderID string) ([]Fact, error) {
	rows, err := s.db.Pool().Query(ctx, `
		SELECT event_id, topic, partition, "offset", key, version, type, at, correlation_id, causation_id, trace_id, producer
		FROM facts WHERE correlation_id = $1 ORDER BY at, event_id`, orderID)
	if err != nil {
		return nil, fmt.Errorf("read facts: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Fact])
	if err != nil {
		return nil, fmt.Errorf("read facts: %w", err)
	}
	return list, nil
}

// followed is how far a key was followed: the number of its facts that were read,
// or, when versions of it came out of order, below 0 how many. It is compared with
// what the publisher wrote, so keys of others do not count.
const followed = `CASE WHEN disorder > 0 THEN -disorder ELSE seen END`

// factDigests are, by topic, how far each key was followed.
func (s *Store) factDigests(ctx context.Context, report *figures.Report) error {
	rows, err := s.db.Pool().Query(ctx, `SELECT topic, shard, count(*), sum(`+followed+`)::bigint, sum(seen)::bigint FROM fact_keys GROUP BY topic, shard`)
	if err != nil {
		return fmt.Errorf("fact figures: %w", err)
	}
	var topic string
	var shard int
	var b figures.Bucket
	var seen int64
	if _, err := pgx.ForEachRow(rows, []any{&topic, &shard, &b.Count, &b.Sum, &seen}, func() error {
		name := "facts:" + topic
		if report.Digests[name] == nil {
			report.Digests[name] = &figures.Digest{}
		}
		report.Digests[name][shard] = b
		report.Values["facts"] += seen
		return nil
	}); err != nil {
		return fmt.Errorf("fact figures: %w", err)
	}
	return nil
}

// factKeys lists one bucket of factDigests.
func (s *Store) factKeys(ctx context.Context, topic string, bucket int) (figures.Items, error) {
	items := figures.Items{Items: map[string]int64{}}
	rows, err := s.db.Pool().Query(ctx, `SELECT key, `+followed+` FROM fact_keys WHERE topic = $1 AND shard = $2`, topic, bucket)
	if err != nil {
		return items, fmt.Errorf("fact figures: %w", err)
	}
	var key string
	var n int64
	if _, err := pgx.ForEachRow(rows, []any{&key, &n}, func() error { items.Items[key] = n; return nil }); err != nil {
		return items, fmt.Errorf("fact figures: %w", err)
	}
	return items, nil
}
