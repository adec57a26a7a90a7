package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/components/forwarder"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
)

// stock is our configuration with Watermill's own Kafka driver behind it: acks=all,
// idempotent, murmur2, protocol 2.8, as the decision record on drivers has them.
func stock(cfg bus.Config) bus.Config {
	cfg.Driver = bus.DriverWatermill
	return cfg
}

// forwarding is the outbox that Watermill has: watermill-sql, read in batches of
// 100 every 10 ms, and the Forwarder, which publishes to Kafka.
type forwarding struct {
	pool *pgxpool.Pool
	pub  message.Publisher // Kafka's
	log  watermill.LoggerAdapter
}

// forwarderTopic names its table, watermill_forwarder.
const forwarderTopic = "forwarder"

var forwarderSchema = sql.DefaultPostgreSQLSchema{SubscribeBatchSize: 100}

func (f forwarding) subscriber() (*sql.Subscriber, error) {
	return sql.NewSubscriber(sql.BeginnerFromPgx(f.pool), sql.SubscriberConfig{
		SchemaAdapter: forwarderSchema, OffsetsAdapter: sql.DefaultPostgreSQLOffsetsAdapter{},
		PollInterval: 10 * time.Millisecond, ResendInterval: 10 * time.Millisecond, RetryInterval: 10 * time.Millisecond,
		InitializeSchema: true,
	}, f.log)
}

// prepare makes the tables.
func (f forwarding) prepare() error {
	sub, err := f.subscriber()
	if err != nil {
		return err
	}
	defer sub.Close()
	return sub.SubscribeInitialize(forwarderTopic)
}

// write publishes messages for a topic of Kafka in a transaction.
func (f forwarding) write(tx pgx.Tx, topic string, messages ...*message.Message) error {
	pub, err := sql.NewPublisher(sql.TxFromPgx(tx), sql.PublisherConfig{SchemaAdapter: forwarderSchema}, f.log)
	if err != nil {
		return err
	}
	return forwarder.NewPublisher(pub, forwarder.PublisherConfig{ForwarderTopic: forwarderTopic}).Publish(topic, messages...)
}

// fill writes a backlog.
func (f forwarding) fill(ctx context.Context, topic string, n int) error {
	for first := 0; first < n; first += 100 {
		list := messages(samples(first, min(100, n-first)))
		if err := pgx.BeginFunc(ctx, f.pool, func(tx pgx.Tx) error { return f.write(tx, topic, list...) }); err != nil {
			return fmt.Errorf("fill watermill-sql: %w", err)
		}
	}
	return nil
}

// run forwards until ctx ends.
func (f forwarding) run(ctx context.Context) error {
	sub, err := f.subscriber()
	if err != nil {
		return err
	}
	defer sub.Close()
	fw, err := forwarder.NewForwarder(sub, f.pub, f.log, forwarder.Config{ForwarderTopic: forwarderTopic, CloseTimeout: 5 * time.Second})
	if err != nil {
		return err
	}
	return fw.Run(ctx)
}

// pipe is the best that can be done with an outbox in Postgres and a Kafka: rows
// in the order of an index, in batches, and franz-go's asynchronous produce, with
// reading and producing overlapped. It keeps no cursor, knows no late rows, no
// leases and no trouble.
type pipe struct {
	pool   *pgxpool.Pool
	client *kgo.Client
}

const pipeBatch = 5000

func newPipe(pool *pgxpool.Pool, brokers []string) (*pipe, error) {
	client, err := rawProducer(brokers)
	if err != nil {
		return nil, err
	}
	return &pipe{pool, client}, nil
}

// rawProducer is franz-go as ours configures it, with nothing around it.
func rawProducer(brokers []string) (*kgo.Client, error) {
	return kgo.NewClient(kgo.SeedBrokers(brokers...),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0), kgo.ProducerBatchCompression(kgo.SnappyCompression()),
		kgo.ProducerBatchMaxBytes(1<<20), kgo.MaxBufferedRecords(100_000), kgo.UnknownTopicRetries(-1))
}

func (p *pipe) prepare(ctx context.Context) error {
	_, err := p.pool.Exec(ctx, `
		CREATE TABLE pipe (seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
			event_id text NOT NULL, topic text NOT NULL, key text NOT NULL, headers jsonb NOT NULL, payload bytea NOT NULL)`)
	return err
}

func (p *pipe) fill(ctx context.Context, topic string, n int) error {
	return fill(ctx, p.pool, "pipe", []string{"event_id", "topic", "key", "headers", "payload"}, n, func(s sample) []any {
		return []any{s.id, topic, s.key, s.headers, s.payload}
	})
}

// run sends all rows above seq and returns the last one.
func (p *pipe) run(ctx context.Context, after int64) (int64, error) {
	batches := make(chan []*kgo.Record, 4)
	var failed error
	last := after
	go func() {
		defer close(batches)
		for {
			batch, err := p.read(ctx, &last)
			if err != nil {
				failed = err
				return
			}
			if len(batch) == 0 {
				return
			}
			batches <- batch
		}
	}()
	var refused error
	for batch := range batches {
		for _, record := range batch {
			p.client.Produce(ctx, record, func(_ *kgo.Record, err error) {
				if err != nil {
					refused = err // promises are called one at a time
				}
			})
		}
	}
	if failed != nil {
		return last, failed
	}
	if err := p.client.Flush(ctx); err != nil {
		return last, err
	}
	return last, refused
}

func (p *pipe) read(ctx context.Context, last *int64) ([]*kgo.Record, error) {
	rows, err := p.pool.Query(ctx, `SELECT seq, topic, key, headers, payload FROM pipe WHERE seq > $1 ORDER BY seq LIMIT $2`, *last, pipeBatch)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	batch := make([]*kgo.Record, 0, pipeBatch)
	for rows.Next() {
		record := &kgo.Record{}
		var headers []byte
		if err := rows.Scan(last, &record.Topic, &record.Key, &headers, &record.Value); err != nil {
			return nil, err
		}
		if record.Headers, err = flat(headers); err != nil {
			return nil, err
		}
		batch = append(batch, record)
	}
	return batch, rows.Err()
}

// flat reads a JSON object of plain strings, quickly: it has no escapes, or the
// long way is taken.
func flat(object []byte) ([]kgo.RecordHeader, error) {
	headers := make([]kgo.RecordHeader, 0, 8)
	s := string(object)
	for i := 0; ; {
		var texts [2]string
		for t := range texts {
			for i < len(s) && s[i] != '"' {
				if s[i] == '}' && t == 0 {
					return headers, nil
				}
				i++
			}
			begin := i + 1
			for i++; i < len(s) && s[i] != '"'; i++ {
				if s[i] == '\\' {
					return nested(object)
				}
			}
			if i >= len(s) {
				return nested(object)
			}
			texts[t] = s[begin:i]
			i++
		}
		headers = append(headers, kgo.RecordHeader{Key: texts[0], Value: []byte(texts[1])})
	}
}

func nested(object []byte) ([]kgo.RecordHeader, error) {
	var all map[string]string
	if err := json.Unmarshal(object, &all); err != nil {
		return nil, err
	}
	var headers []kgo.RecordHeader
	for k, v := range all {
		headers = append(headers, kgo.RecordHeader{Key: k, Value: []byte(v)})
	}
	return headers, nil
}

func (f forwarding) close() {
	_ = f.pub.Close()
	f.pool.Close()
}
