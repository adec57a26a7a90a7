package bench

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
)

const (
	sampleSize = 250  // bytes of an event
	sampleKeys = 2000 // different keys
)

// sample is an event with all that the outbox would give it.
type sample struct {
	id, key string
	headers map[string]string
	payload []byte
}

// samples makes n events, numbered from first on; of a key, numbers grow.
func samples(first, n int) []sample {
	list := make([]sample, n)
	at := time.Now().UTC().Format(time.RFC3339Nano)
	for i := range list {
		number := first + i
		s := &list[i]
		s.id, s.key = events.NewEventID(), fmt.Sprintf("ord_%021d", number%sampleKeys)
		s.payload = fmt.Appendf(nil, `{"number":%d,"order_id":"%s","note":"`, number, s.key)
		s.payload = append(s.payload, strings.Repeat("x", sampleSize-len(s.payload)-2)+`"}`...)
		s.headers = map[string]string{
			"ce_specversion": "1.0", "ce_id": s.id, "ce_type": "order.created.v2", "ce_source": "/order", "ce_time": at, "ce_subject": s.key, "content-type": "application/json",
		}
	}
	return list
}

// message is the event for a Watermill publisher.
func (s sample) message() *message.Message {
	m := message.NewMessage(s.id, s.payload)
	for k, v := range s.headers {
		m.Metadata[k] = v
	}
	m.Metadata[outbox.KeyMetadata] = s.key
	return m
}

func messages(list []sample) []*message.Message {
	out := make([]*message.Message, len(list))
	for i, s := range list {
		out[i] = s.message()
	}
	return out
}

// perTx is how many events of a backlog one transaction has written.
const perTx = 1000

// fill writes rows to a table in transactions, as a shop would have, only faster.
func fill(ctx context.Context, pool *pgxpool.Pool, table string, columns []string, n int, row func(sample) []any) error {
	return pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		if _, err := conn.Exec(ctx, `SET synchronous_commit = off`); err != nil {
			return err
		}
		defer func() { _, _ = conn.Exec(ctx, `RESET synchronous_commit`) }()
		for first := 0; first < n; first += perTx {
			list := samples(first, min(perTx, n-first))
			_, err := conn.CopyFrom(ctx, pgx.Identifier{table}, columns, pgx.CopyFromSlice(len(list), func(i int) ([]any, error) { return row(list[i]), nil }))
			if err != nil {
				return fmt.Errorf("fill %s: %w", table, err)
			}
		}
		return nil
	})
}

// fillOutbox writes a backlog of n events for a topic to our outbox.
func fillOutbox(ctx context.Context, pool *pgxpool.Pool, topic string, n int) error {
	return fill(ctx, pool, "outbox", []string{"shard", "event_id", "topic", "key", "headers", "payload"}, n, func(s sample) []any {
		return []any{int16(outbox.Shard(s.key)), s.id, topic, s.key, s.headers, s.payload}
	})
}
