package inbox

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/cartwheel-shop/cartwheel/pkg/postgres"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations is the inbox's table.
var Migrations = postgres.Embedded("inbox", files)

// Retention is how long ids are kept: a week longer than the longest retention
// of a topic of facts, 90 days for dead letters that are redriven.
const Retention = 97 * 24 * time.Hour

// Seen notes an event in the handler's transaction and says whether it was
// noted before. When it was, the handler has nothing to do.
func Seen(ctx context.Context, tx pgx.Tx, consumer, eventID string) (bool, error) {
	tag, err := tx.Exec(ctx, `INSERT INTO inbox (consumer, event_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`, consumer, eventID)
	if err != nil {
		return false, fmt.Errorf("inbox of %s: %w", consumer, err)
	}
	return tag.RowsAffected() == 0, nil
}

// Known says whether an event was noted, without noting it.
func Known(ctx context.Context, tx pgx.Tx, consumer, eventID string) (known bool, err error) {
	err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM inbox WHERE consumer = $1 AND event_id = $2)`, consumer, eventID).Scan(&known)
	if err != nil {
		return false, fmt.Errorf("inbox of %s: %w", consumer, err)
	}
	return known, nil
}

// Times says when events were noted; those that were not are absent.
func Times(ctx context.Context, pool *pgxpool.Pool, consumer string, eventIDs []string) (map[string]time.Time, error) {
	rows, err := pool.Query(ctx, `SELECT event_id, at FROM inbox WHERE consumer = $1 AND event_id = ANY ($2)`, consumer, eventIDs)
	if err != nil {
		return nil, fmt.Errorf("inbox of %s: %w", consumer, err)
	}
	times := map[string]time.Time{}
	var id string
	var at time.Time
	if _, err := pgx.ForEachRow(rows, []any{&id, &at}, func() error { times[id] = at.UTC(); return nil }); err != nil {
		return nil, fmt.Errorf("inbox of %s: %w", consumer, err)
	}
	return times, nil
}

// Fresh notes many events and returns those that were not noted before. Ids are
// inserted in order, so that two batches that overlap wait for each other and do
// not deadlock.
//
// Nearly always none was noted before. So an INSERT is tried first that takes this
// for granted, which costs less than half of one that is ready for a conflict: that
// marks each row as tentative, looks, and marks it again. When some were noted, as
// after a rebalance, it is taken back and made anew, at up to three times the cost of the
// latter alone, with a line in Postgres' log and the first rows left dead.
func Fresh(ctx context.Context, tx pgx.Tx, consumer string, eventIDs []string) (map[string]bool, error) {
	ids := slices.Clone(eventIDs)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	err := insertNew(ctx, tx, consumer, ids)
	if errors.Is(err, errNotNew) {
		ids, err = insertMissing(ctx, tx, consumer, ids)
	}
	if err != nil {
		return nil, fmt.Errorf("inbox of %s: %w", consumer, err)
	}
	fresh := make(map[string]bool, len(ids))
	for _, id := range ids {
		fresh[id] = true
	}
	return fresh, nil
}

const uniqueViolation = "23505"

var errNotNew = errors.New("some are not new")

// insertNew notes ids that were not noted before, or none and returns errNotNew.
func insertNew(ctx context.Context, tx pgx.Tx, consumer string, ids []string) error {
	batch := &pgx.Batch{}
	batch.Queue(`SAVEPOINT inbox_new`)
	batch.Queue(`INSERT INTO inbox (consumer, event_id) SELECT $1, unnest($2::text[])`, consumer, ids)
	batch.Queue(`RELEASE SAVEPOINT inbox_new`)
	err := tx.SendBatch(ctx, batch).Close()
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Code != uniqueViolation {
		return err
	}
	if _, err := tx.Exec(ctx, `ROLLBACK TO SAVEPOINT inbox_new; RELEASE SAVEPOINT inbox_new`); err != nil {
		return err
	}
	return errNotNew
}

// insertMissing notes ids and returns those that were not noted before.
func insertMissing(ctx context.Context, tx pgx.Tx, consumer string, ids []string) ([]string, error) {
	rows, err := tx.Query(ctx, `
		INSERT INTO inbox (consumer, event_id) SELECT $1, unnest($2::text[])
		ON CONFLICT DO NOTHING RETURNING event_id`, consumer, ids)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// sweepEvery is how often old ids are looked for.
const sweepEvery = time.Hour

// Sweep deletes ids older than [Retention] now and every hour, until ctx ends.
// Trouble is logged, and the next hour tries again.
func Sweep(ctx context.Context, pool *pgxpool.Pool, log *slog.Logger) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		n, err := Clean(ctx, pool, time.Now())
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			log.WarnContext(ctx, "inbox not cleaned", "error", err)
		case n > 0:
			log.InfoContext(ctx, "inbox cleaned", "ids", n)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Clean deletes ids older than Retention, a few thousand at a time. It returns
// how many.
func Clean(ctx context.Context, pool *pgxpool.Pool, now time.Time) (int64, error) {
	var total int64
	for {
		tag, err := pool.Exec(ctx, `
			DELETE FROM inbox WHERE (consumer, event_id) IN (SELECT consumer, event_id FROM inbox WHERE at < $1 LIMIT 5000)`, now.Add(-Retention))
		if err != nil {
			return total, fmt.Errorf("clean inbox: %w", err)
		}
		total += tag.RowsAffected()
		if tag.RowsAffected() < 5000 {
			return total, nil
		}
	}
}
