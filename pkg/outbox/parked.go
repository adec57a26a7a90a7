package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Parked is a fact that waits for a person: Kafka refused it for good, or one
// before it under the same key.
type Parked struct {
	Seq      int64
	Topic    string
	Key      string
	EventID  string
	Type     string
	Reason   string
	At       time.Time
	Released bool // the relay is about to send it
	Payload  json.RawMessage
}

// ErrNotParked says that no such fact is parked.
var ErrNotParked = errors.New("no such fact is parked")

const parkedColumns = `seq, topic, key, coalesce(headers ->> 'ce_id', ''), coalesce(headers ->> 'ce_type', ''), reason, parked_at, released, payload`

// Parked lists parked facts after a seq, in the order of seq.
func (db *DB) Parked(ctx context.Context, after int64, limit int) ([]Parked, error) {
	rows, err := db.pool.Query(ctx, `SELECT `+parkedColumns+` FROM outbox_parked WHERE seq > $1 ORDER BY seq LIMIT $2`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list parked facts: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p Parked, err error) {
		err = row.Scan(&p.Seq, &p.Topic, &p.Key, &p.EventID, &p.Type, &p.Reason, &p.At, &p.Released, (*[]byte)(&p.Payload))
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("list parked facts: %w", err)
	}
	return list, nil
}

// Release has a parked fact sent, with all that is parked under its key, in their
// order. It returns how many these are.
func (db *DB) Release(ctx context.Context, seq int64) (int64, error) {
	tag, err := db.pool.Exec(ctx, `
		UPDATE outbox_parked p SET released = true FROM outbox_parked one WHERE one.seq = $1 AND p.topic = one.topic AND p.key = one.key`, seq)
	if err == nil && tag.RowsAffected() == 0 {
		err = ErrNotParked
	}
	if err != nil {
		return 0, fmt.Errorf("release parked fact %d: %w", seq, err)
	}
	return tag.RowsAffected(), nil
}

// Discard forgets a parked fact: it is never sent, and readers of its key will miss
// its version. What is parked behind it stays until it is released.
func (db *DB) Discard(ctx context.Context, seq int64) error {
	tag, err := db.pool.Exec(ctx, `DELETE FROM outbox_parked WHERE seq = $1`, seq)
	if err == nil && tag.RowsAffected() == 0 {
		err = ErrNotParked
	}
	if err != nil {
		return fmt.Errorf("discard parked fact %d: %w", seq, err)
	}
	return nil
}

// errUnblocked says that a person has freed a key of which rows were to be parked.
var errUnblocked = errors.New("a key was freed meanwhile")

// park copies rows that the cursor passes though they were not sent. When a key of
// which nothing was parked but followers is free by now, they must be sent.
func park(ctx context.Context, tx pgx.Tx, rows []parked) error {
	if len(rows) == 0 {
		return nil
	}
	for _, followers := range []bool{false, true} {
		var seqs []int64
		var shards []int16
		var topics, keys, headers, reasons []string
		var payloads [][]byte
		for _, p := range rows {
			if (p.reason == behindRefused) != followers {
				continue
			}
			object := map[string]string{}
			for _, h := range p.Headers {
				object[h.Name] = string(h.Value)
			}
			raw, err := json.Marshal(object)
			if err != nil {
				return fmt.Errorf("park row %d: %w", p.seq, err)
			}
			seqs, shards, topics, keys = append(seqs, p.seq), append(shards, p.shard), append(topics, p.topic), append(keys, string(p.Key))
			headers, payloads, reasons = append(headers, string(raw)), append(payloads, p.Payload), append(reasons, p.reason)
		}
		if len(seqs) == 0 {
			continue
		}
		if followers {
			var free bool
			err := tx.QueryRow(ctx, `
				SELECT EXISTS (SELECT FROM unnest($1::text[], $2::text[]) AS u (topic, key)
					WHERE NOT EXISTS (SELECT FROM outbox_parked p WHERE p.topic = u.topic AND p.key = u.key))`, topics, keys).Scan(&free)
			if err != nil {
				return fmt.Errorf("park rows: %w", err)
			}
			if free {
				return errUnblocked
			}
		}
		_, err := tx.Exec(ctx, `
			INSERT INTO outbox_parked (seq, shard, topic, key, headers, payload, reason)
			SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::text[], $4::text[], $5::jsonb[], $6::bytea[], $7::text[])
			ON CONFLICT (seq) DO NOTHING`, seqs, shards, topics, keys, headers, payloads, reasons)
		if err != nil {
			return fmt.Errorf("park rows: %w", err)
		}
	}
	return nil
}

// block makes the lanes send nothing of keys that are parked, and only of those.
func (r *Relay) block(ctx context.Context, conn *pgxpool.Conn, c *cursor) error {
	rows, err := conn.Query(ctx, `SELECT DISTINCT topic, key FROM outbox_parked`)
	if err != nil {
		return fmt.Errorf("read parked keys: %w", err)
	}
	keys := map[string]map[string]bool{}
	var topic, key string
	_, err = pgx.ForEachRow(rows, []any{&topic, &key}, func() error {
		if keys[topic] == nil {
			keys[topic] = map[string]bool{}
		}
		if c.ours[Shard(key)] {
			keys[topic][key] = true
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read parked keys: %w", err)
	}
	for topic := range keys {
		r.lane(topic)
	}
	for topic, l := range r.lanes {
		l.blockOnly(keys[topic], c.ours)
	}
	return nil
}

// releaseRows bounds how many released rows are sent at a time.
const releaseRows = 200

// sendReleased sends parked rows that a person has released. Nothing else of our
// shards is sent meanwhile, so what was parked goes before what was not.
func (r *Relay) sendReleased(ctx context.Context, conn *pgxpool.Conn, c *cursor) error {
	for ctx.Err() == nil {
		rows, topics, err := r.released(ctx, conn, c)
		if err != nil || len(rows) == 0 {
			return err
		}
		// Rows of one topic and key are together, in order.
		for from := 0; from < len(rows); {
			to := from + 1
			for to < len(rows) && topics[to] == topics[from] && string(rows[to].Key) == string(rows[from].Key) {
				to++
			}
			if err := r.sendKey(ctx, conn, c, topics[from], rows[from:to]); err != nil {
				return err
			}
			from = to
		}
	}
	return ctx.Err()
}

func (r *Relay) released(ctx context.Context, conn *pgxpool.Conn, c *cursor) (list []row, topics []string, err error) {
	var shards []int16
	for i, is := range c.ours {
		if is {
			shards = append(shards, int16(i))
		}
	}
	rows, err := conn.Query(ctx, `
		SELECT o.shard, o.seq, o.topic, o.key, o.headers, o.payload FROM outbox_parked o
		WHERE o.released AND o.shard = ANY ($1) ORDER BY o.topic, o.key, o.seq LIMIT $2`, shards, releaseRows)
	if err != nil {
		return nil, nil, fmt.Errorf("read released facts: %w", err)
	}
	defer rows.Close()
	reader := rowReader{}
	for rows.Next() {
		o, topic, err := reader.read(rows.RawValues())
		if err != nil {
			return nil, nil, err
		}
		list, topics = append(list, o), append(topics, topic)
	}
	return list, topics, rows.Err()
}

// sendKey sends rows of one key, and forgets those that Kafka has. Refused once
// more, it and the rest wait for a person again.
func (r *Relay) sendKey(ctx context.Context, conn *pgxpool.Conn, c *cursor, topic string, rows []row) error {
	l := r.lane(topic)
	var sent []int64
	var refused error
	for _, o := range rows {
		one := &batch{topic: topic, rows: []row{o}}
		answer := make(chan error, 1)
		go func() { answer <- l.send([]item{{one, 0}})[0] }()
		select {
		case refused = <-answer:
		case <-time.After(settle):
			return fmt.Errorf("released facts of %s %s: Kafka does not answer", topic, o.Key)
		case <-ctx.Done():
			return ctx.Err()
		}
		if refused != nil && !errors.Is(refused, ErrRefused) {
			return fmt.Errorf("released facts of %s %s: %w", topic, o.Key, refused)
		}
		if refused != nil {
			break
		}
		sent = append(sent, o.seq)
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		var epoch int64
		if err := tx.QueryRow(ctx, `SELECT epoch FROM outbox_cursors WHERE shard = $1 FOR SHARE`, rows[0].shard).Scan(&epoch); err != nil {
			return err
		}
		if epoch != c.shards[rows[0].shard].epoch {
			return errFenced
		}
		_, err := tx.Exec(ctx, `DELETE FROM outbox_parked WHERE seq = ANY ($1)`, sent)
		if err != nil {
			return err
		}
		if refused == nil {
			// What was parked behind them since they were released goes with them.
			_, err := tx.Exec(ctx, `UPDATE outbox_parked SET released = true WHERE topic = $1 AND key = $2 AND NOT released AND reason = $3`,
				topic, string(rows[0].Key), behindRefused)
			return err
		}
		_, err = tx.Exec(ctx, `
			UPDATE outbox_parked SET released = false, reason = CASE WHEN seq = $3 THEN $4 ELSE reason END WHERE topic = $1 AND key = $2`,
			topic, string(rows[0].Key), rows[len(sent)].seq, refused.Error())
		return err
	})
}
