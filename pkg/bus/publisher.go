package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// RefusedError is a message that Kafka can never take.
type RefusedError struct {
	Topic, Key, MessageID string
	Err                   error
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("kafka refused message %s (key %s) for topic %s for good: %v", e.MessageID, e.Key, e.Topic, e.Err)
}

func (e *RefusedError) Unwrap() error { return e.Err }

// franzPublisher produces batches and keeps them in order. It has no delivery
// timeout: a client that gives up on a record loses the order of its key even
// though it is idempotent.
type franzPublisher struct {
	client *kgo.Client
	log    *slog.Logger
	warn   *rareLog
	ctx    context.Context
	cancel context.CancelFunc
}

func newFranzPublisher(cfg Config) (*franzPublisher, error) {
	p := &franzPublisher{log: cfg.Log, warn: &rareLog{every: 5 * time.Second}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	client, err := kgo.NewClient(clientOptions(cfg,
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.UnknownTopicRetries(-1),
		kgo.ProduceRequestTimeout(5*time.Second),
		kgo.ProducerLinger(0),
		kgo.ProducerBatchCompression(kgo.SnappyCompression()),
		kgo.ProducerBatchMaxBytes(maxRecordBatch),
		kgo.MaxBufferedRecords(100_000),
		kgo.WithLogger(&clientLog{log: cfg.Log, rare: p.warn}),
	)...)
	if err != nil {
		return nil, fmt.Errorf("kafka publisher: %w", err)
	}
	p.client = client
	return p, nil
}

// maxRecordBatch leaves dead letters room for the original value and headers.
const maxRecordBatch = 2 << 20

// Publish implements message.Publisher. It returns when every message is acked
// by all in-sync replicas, in order. The contexts of messages are not looked at:
// Close ends what is under way, and its messages may or may not be there.
func (p *franzPublisher) Publish(topic string, messages ...*message.Message) error {
	if p.ctx.Err() != nil {
		return errors.New("bus: publisher is closed")
	}
	var wg sync.WaitGroup
	errs := make([]error, len(messages))
	wg.Add(len(messages))
	for i, m := range messages {
		r := record(topic, m)
		p.client.Produce(p.ctx, r, func(r *kgo.Record, err error) {
			defer wg.Done()
			if err != nil {
				errs[i] = publishError(r, m, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func publishError(r *kgo.Record, m *message.Message, err error) error {
	switch {
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.InvalidRecord), errors.Is(err, kerr.RecordListTooLarge), errors.Is(err, kerr.InvalidTimestamp):
		return &RefusedError{Topic: r.Topic, Key: string(r.Key), MessageID: m.UUID, Err: err}
	}
	return fmt.Errorf("publish to %s: %w", r.Topic, err)
}

// Close implements message.Publisher.
func (p *franzPublisher) Close() error {
	p.cancel()
	p.client.Close()
	return nil
}

// record turns a message into a Kafka record: the key from its metadata, all
// other metadata as headers.
func record(topic string, m *message.Message) *kgo.Record {
	r := &kgo.Record{Topic: topic, Value: m.Payload}
	for k, v := range m.Metadata {
		switch k {
		case KeyMetadata:
			r.Key = []byte(v)
		case topicMetadata, partitionMetadata, offsetMetadata, timestampMetadata:
			// where it was read, not what it is
		default:
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: k, Value: []byte(v)})
		}
	}
	return r
}

// rareLog lets one line through in a while.
type rareLog struct {
	every time.Duration
	mu    sync.Mutex
	last  time.Time
}

func (r *rareLog) allow(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.last) < r.every {
		return false
	}
	r.last = now
	return true
}

// clientLog makes franz-go's warnings ours, so that a broker that is away is
// heard of, but not a thousand times.
type clientLog struct {
	log  *slog.Logger
	rare *rareLog
}

// Level implements kgo.Logger.
func (*clientLog) Level() kgo.LogLevel { return kgo.LogLevelWarn }

// Log implements kgo.Logger.
func (l *clientLog) Log(_ kgo.LogLevel, msg string, keyvals ...any) {
	if l.rare.allow(time.Now()) {
		l.log.Warn("kafka: "+msg, keyvals...)
	}
}
