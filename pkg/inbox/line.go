package inbox

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Place is where a message was read first: its identity, also when its bytes are
// no event.
type Place struct {
	Topic     string
	Partition int32
	Offset    int64
}

// Waiting is a message in the line of its key.
type Waiting struct {
	Place
	Record  []byte // JSON that is the caller's matter
	Refused string // why it was given up itself; "": it only waits for those before it

	seq int64
}

// Line is the messages of one key of a consumer, in order, from one that was
// given up on. A key without any has no line.
type Line struct {
	Consumer string
	Key      []byte
}

// Head locks the line to the end of the transaction and returns its first
// message; ok is false when the key has no line. A concurrent transaction of the
// key waits here.
func (l Line) Head(ctx context.Context, tx pgx.Tx) (w Waiting, ok bool, err error) {
	if ok, err = l.lock(ctx, tx); err != nil || !ok {
		return w, false, err
	}
	err = tx.QueryRow(ctx, `
		SELECT seq, topic, part, at_offset, record, refused FROM inbox_waiting
		WHERE consumer = $1 AND key = $2 ORDER BY seq LIMIT 1`, l.Consumer, l.Key).
		Scan(&w.seq, &w.Topic, &w.Partition, &w.Offset, &w.Record, &w.Refused)
	if err != nil {
		return w, false, fmt.Errorf("head of the line of %s: %w", l.Consumer, err)
	}
	return w, true, nil
}

func (l Line) lock(ctx context.Context, tx pgx.Tx) (bool, error) {
	tag, err := tx.Exec(ctx, `SELECT FROM inbox_lines WHERE consumer = $1 AND key = $2 FOR UPDATE`, l.Consumer, l.Key)
	if err != nil {
		return false, fmt.Errorf("line of %s: %w", l.Consumer, err)
	}
	return tag.RowsAffected() == 1, nil
}

// Join puts a message at the end of the line, and begins the line where there is
// none. A message that is in it already keeps its place, and is noted anew.
func (l Line) Join(ctx context.Context, tx pgx.Tx, w Waiting) error {
	// Sequence numbers are drawn under the line's lock, so they are its order.
	for locked := false; !locked; { // another may end the line in between
		_, err := tx.Exec(ctx, `INSERT INTO inbox_lines (consumer, key) VALUES ($1, $2) ON CONFLICT DO NOTHING`, l.Consumer, l.Key)
		if err != nil {
			return fmt.Errorf("line of %s: %w", l.Consumer, err)
		}
		if locked, err = l.lock(ctx, tx); err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, `
		INSERT INTO inbox_waiting (consumer, key, topic, part, at_offset, record, refused) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (consumer, topic, part, at_offset) DO UPDATE SET record = excluded.record, refused = excluded.refused`,
		l.Consumer, l.Key, w.Topic, w.Partition, w.Offset, w.Record, w.Refused)
	if err != nil {
		return fmt.Errorf("join the line of %s: %w", l.Consumer, err)
	}
	return nil
}

// Discard takes the message of a place out of the line, wherever it stands, and
// ends the line with the last.
func (l Line) Discard(ctx context.Context, tx pgx.Tx, p Place) error {
	if ok, err := l.lock(ctx, tx); err != nil || !ok {
		return err
	}
	_, err := tx.Exec(ctx, `DELETE FROM inbox_waiting WHERE consumer = $1 AND key = $2 AND topic = $3 AND part = $4 AND at_offset = $5`,
		l.Consumer, l.Key, p.Topic, p.Partition, p.Offset)
	if err != nil {
		return fmt.Errorf("discard from the line of %s: %w", l.Consumer, err)
	}
	return l.end(ctx, tx)
}

// Leave takes a message out of the line, and ends the line with the last. The
// transaction has locked it by Head.
func (l Line) Leave(ctx context.Context, tx pgx.Tx, w Waiting) error {
	if _, err := tx.Exec(ctx, `DELETE FROM inbox_waiting WHERE consumer = $1 AND key = $2 AND seq = $3`, l.Consumer, l.Key, w.seq); err != nil {
		return fmt.Errorf("leave the line of %s: %w", l.Consumer, err)
	}
	return l.end(ctx, tx)
}

// end ends a line that is empty.
func (l Line) end(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `
		DELETE FROM inbox_lines l WHERE consumer = $1 AND key = $2
		AND NOT EXISTS (SELECT FROM inbox_waiting w WHERE w.consumer = l.consumer AND w.key = l.key)`, l.Consumer, l.Key)
	if err != nil {
		return fmt.Errorf("end the line of %s: %w", l.Consumer, err)
	}
	return nil
}
