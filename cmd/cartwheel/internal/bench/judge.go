package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/twmb/franz-go/pkg/kgo"
)

func encode(v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode an event: %w", err)
	}
	return raw, nil
}

// judge reads the whole topic and compares it with what was committed: each
// aggregate's versions 1 to its last one.
func (w *witness) judge(ctx context.Context, pool *pgxpool.Pool, out *outcome) error {
	last := map[string]int64{}
	rows, err := pool.Query(ctx, `SELECT 'ord_' || id, version FROM aggregates`)
	if err != nil {
		return err
	}
	var key string
	var version int64
	if _, err := pgx.ForEachRow(rows, []any{&key, &version}, func() error { last[key] = version; return nil }); err != nil {
		return err
	}
	total, err := w.runner.end(ctx, w.topic)
	if err != nil {
		return err
	}
	seen, newest := map[string]map[int64]bool{}, map[string]int64{}
	err = w.read(ctx, total, func(key string, version int64) {
		if seen[key] == nil {
			seen[key] = map[int64]bool{}
		}
		switch {
		case seen[key][version]:
			out.duplicates++
		case version < newest[key]:
			out.inversions++
		}
		seen[key][version] = true
		newest[key] = max(newest[key], version)
	})
	if err != nil {
		return err
	}
	for key, version := range last {
		out.committed += int(version)
		for v := range version {
			if !seen[key][v+1] {
				out.lost++
			}
		}
	}
	return nil
}

// read calls fn for each of n records.
func (w *witness) read(ctx context.Context, n int64, fn func(key string, version int64)) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(w.bus.Brokers...), kgo.ConsumeTopics(w.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer client.Close()
	for n > 0 {
		fetches := client.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, record := range fetches.Records() {
			version, err := versionOf(record.Value)
			if err != nil {
				return err
			}
			fn(string(record.Key), version)
			n--
		}
	}
	return nil
}

// versionOf reads the version of an aggregate that a writer has put into its
// fact, in an envelope or without one.
func versionOf(value []byte) (int64, error) {
	_, rest, ok := bytes.Cut(value, []byte(`"reason":"`))
	digits, _, found := bytes.Cut(rest, []byte(`"`))
	if !ok || !found {
		return 0, fmt.Errorf("%.80q is not one of the bench's", value)
	}
	return strconv.ParseInt(string(digits), 10, 64)
}
