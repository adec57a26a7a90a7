package outbox

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cartwheel-shop/cartwheel/pkg/figures"
)

// Row is an outbox row, as a timeline shows it.
type Row struct {
	Seq       int64
	EventID   string
	Type      string
	Topic     string
	Key       string
	CreatedAt time.Time
	Published bool
	Payload   []byte // the record's value, as it is in the log
}

// Trail returns the rows of some keys that are still in the table, oldest first.
func (db *DB) Trail(ctx context.Context, keys ...string) ([]Row, error) {
	shards := make([]int16, len(keys))
	for i, k := range keys {
		shards[i] = int16(Shard(k))
	}
	rows, err := db.pool.Query(ctx, `
		SELECT o.seq, o.event_id, o.headers ->> 'ce_type', o.topic, o.key, o.created_at,
			o.seq <= c.hi AND (o.seq <= s.base_seq OR pg_visible_in_snapshot(o.xid, c.snapshot)) AND NOT EXISTS (SELECT FROM outbox_parked p WHERE p.seq = o.seq),
			o.payload
		FROM outbox o JOIN outbox_cursors c USING (shard) CROSS JOIN outbox_system s
		WHERE o.shard = ANY ($1) AND o.key = ANY ($2) ORDER BY o.seq`, shards, keys)
	if err != nil {
		return nil, fmt.Errorf("outbox trail: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Row])
	if err != nil {
		return nil, fmt.Errorf("outbox trail: %w", err)
	}
	return list, nil
}

// Report adds this outbox's figures: for each topic how many facts each key has
// ("outbox:<topic>"), and how many rows wait to be sent.
func (db *DB) Report(ctx context.Context, report *figures.Report) error {
	rows, err := db.pool.Query(ctx, `SELECT topic, shard, count(*), sum(version)::bigint FROM outbox_keys GROUP BY topic, shard`)
	if err != nil {
		return fmt.Errorf("outbox figures: %w", err)
	}
	var topic string
	var shard int
	var b figures.Bucket
	_, err = pgx.ForEachRow(rows, []any{&topic, &shard, &b.Count, &b.Sum}, func() error {
		name := "outbox:" + topic
		if report.Digests[name] == nil {
			report.Digests[name] = &figures.Digest{}
		}
		report.Digests[name][shard] = b
		return nil
	})
	if err != nil {
		return fmt.Errorf("outbox figures: %w", err)
	}
	pending, err := db.Pending(ctx)
	report.Values["outbox_pending"] = pending
	return err
}

// Keys returns how many facts each key of a topic and bucket has.
func (db *DB) Keys(ctx context.Context, topic string, bucket int) (map[string]int64, error) {
	rows, err := db.pool.Query(ctx, `SELECT key, version FROM outbox_keys WHERE topic = $1 AND shard = $2`, topic, bucket)
	if err != nil {
		return nil, fmt.Errorf("outbox keys: %w", err)
	}
	out := map[string]int64{}
	var key string
	var version int64
	if _, err := pgx.ForEachRow(rows, []any{&key, &version}, func() error { out[key] = version; return nil }); err != nil {
		return nil, fmt.Errorf("outbox keys: %w", err)
	}
	return out, nil
}

// FigureItems lists a bucket of a digest of [DB.Report].
func (db *DB) FigureItems(ctx context.Context, name string, bucket int) (figures.Items, error) {
	topic, ok := strings.CutPrefix(name, "outbox:")
	if !ok {
		return figures.Items{Items: map[string]int64{}}, nil
	}
	keys, err := db.Keys(ctx, topic, bucket)
	return figures.Items{Items: keys}, err
}

// Pending counts committed rows that the stored cursor has not passed.
func (db *DB) Pending(ctx context.Context) (int64, error) {
	var n int64
	err := db.pool.QueryRow(ctx, `
		SELECT (
			SELECT count(*) FROM outbox_cursors c CROSS JOIN LATERAL (SELECT FROM outbox o WHERE o.shard = c.shard AND o.seq > c.hi) fresh
		) + (
			SELECT count(DISTINCT o.seq) FROM `+unseenIn("outbox", "outbox_cursors")+` o JOIN outbox_cursors c USING (shard) CROSS JOIN outbox_system s
			WHERE o.seq <= c.hi AND (o.seq > s.base_seq OR c.system <> s.system) AND NOT pg_visible_in_snapshot(o.xid, c.snapshot)
		)`).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("outbox backlog: %w", err)
	}
	return n, nil
}
