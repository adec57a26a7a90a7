package outbox

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cartwheel-shop/cartwheel/pkg/fault"
)

// errFenced says that another relay has a shard that we thought to be ours.
var errFenced = errors.New("another relay has taken over shards of this one")

// store writes positions, and the parked rows that they pass, in one transaction:
// all of it, or nothing when one of the epochs is over. It does not wait for the
// disk unless rows are parked: a position that is lost in a crash means that some
// rows are sent again.
func (r *Relay) store(ctx context.Context, s settled) error {
	var shards []int16
	var his, systems, epochs []int64
	var snapshots, nexts []string
	for i, p := range s.positions {
		if s.moved[i] {
			shards, his, epochs = append(shards, int16(i)), append(his, p.hi), append(epochs, p.epoch)
			snapshots, systems = append(snapshots, p.snapshot), append(systems, p.system)
			nexts = append(nexts, strconv.FormatUint(p.next, 10))
		}
	}
	if len(shards) == 0 {
		return nil
	}
	if err := r.faults.At(ctx, fault.CursorBefore); err != nil {
		return fmt.Errorf("store outbox cursor: %w", err)
	}
	err := pgx.BeginFunc(ctx, r.db.pool, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		if len(s.parked) == 0 {
			batch.Queue(`SET LOCAL synchronous_commit = off`)
		}
		stored := 0
		batch.Queue(`
			UPDATE outbox_cursors c SET hi = u.hi, snapshot = u.snapshot, next_xid = u.next_xid, system = u.system
			FROM unnest($1::smallint[], $2::bigint[], $3::text[]::pg_snapshot[], $4::text[]::xid8[], $5::bigint[], $6::bigint[])
				AS u (shard, hi, snapshot, next_xid, system, epoch)
			WHERE c.shard = u.shard AND c.epoch = u.epoch`, shards, his, snapshots, nexts, systems, epochs).Exec(func(tag pgconn.CommandTag) error {
			stored = int(tag.RowsAffected())
			return nil
		})
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return err
		}
		if stored != len(shards) {
			return errFenced
		}
		return park(ctx, tx, s.parked)
	})
	if err == nil {
		err = r.faults.At(ctx, fault.CursorAfter)
	}
	if err != nil {
		return fmt.Errorf("store outbox cursor: %w", err)
	}
	return nil
}
