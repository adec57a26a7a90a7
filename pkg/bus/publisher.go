package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
)

// Sizes in bytes of the largest record batch, which are the topics'
// max.message.bytes: what the client sends in one batch, the broker takes.
const (
	maxFact   = MaxMessage + 1<<16
	maxLetter = 2 << 20 // a dead letter is a fact, its headers and what happened
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

// Is makes it known to the relay.
func (e *RefusedError) Is(target error) bool { return target == outbox.ErrRefused }

// errClosed says that the publisher was closed before all messages were acked.
var errClosed = errors.New("bus: publisher is closed")

// producer writes records and keeps them in order. It has no delivery timeout:
// a client that gives up on a record loses the order of its key even though it
// is idempotent, because later records of the key are under way already.
type producer struct {
	client *kgo.Client
	admin  *kadm.Client
	max    int // bytes of a batch, and so of a record
	log    *slog.Logger
	rare   *rareLog

	trouble *kafkaTrouble
}

// Pauses of a producer.
const (
	produceSlow  = 5 * time.Second        // unacked for so long is worth a warning
	produceAgain = 500 * time.Millisecond // before what Kafka refused for now is sent again
)

func newProducer(cfg Config, maxBytes int) (*producer, error) {
	rare := &rareLog{every: 10 * time.Second}
	client, err := kgo.NewClient(clientOptions(cfg,
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.UnknownTopicRetries(-1),
		kgo.ProduceRequestTimeout(5*time.Second),
		kgo.ProducerLinger(0),
		kgo.ProducerBatchCompression(kgo.SnappyCompression()),
		kgo.ProducerBatchMaxBytes(int32(maxBytes)),
		kgo.MaxBufferedRecords(100_000),
		kgo.WithLogger(&clientLog{log: cfg.Log, rare: rare}),
	)...)
	if err != nil {
		return nil, fmt.Errorf("kafka producer: %w", err)
	}
	trouble, err := newKafkaTrouble(cfg, cfg.Log)
	if err != nil {
		return nil, err
	}
	return &producer{client: client, admin: kadm.NewClient(client), max: maxBytes, log: cfg.Log, rare: rare, trouble: trouble}, nil
}

// produce returns when every record is acked by all in-sync replicas. What
// Kafka cannot take now is sent again until ctx ends; what it can never take is
// a *RefusedError. When our own limit says so already, nothing of the call is
// sent, so that no record overtakes a refused one of its key.
func (p *producer) produce(ctx context.Context, records []*kgo.Record) error {
	var refused []error
	for _, r := range records {
		if size := recordSize(r); size > p.max {
			refused = append(refused, p.refused(r, fmt.Errorf("%d bytes with key and headers, and %d are the most", size, p.max)))
		}
	}
	if len(refused) > 0 {
		return errors.Join(refused...)
	}
	stop := p.watch(ctx, records)
	defer stop()
	for {
		left, err := p.send(ctx, records)
		if len(left) == 0 || ctx.Err() != nil || errors.Is(err, kgo.ErrClientClosed) {
			return err
		}
		// Neither taken nor refused for good, nor retried by the client itself:
		// for example, we may not write to the topic yet.
		p.trouble.happened(ctx, "publish", left[0].Topic, err)
		if !wait(ctx, produceAgain) {
			return err
		}
		records = left
	}
}

// send produces all records at once, which the client pipelines in order, and
// waits for the outcome of each. It returns those that are worth another try.
func (p *producer) send(ctx context.Context, records []*kgo.Record) (again []*kgo.Record, err error) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	failed := map[*kgo.Record]error{}
	answered := func(r *kgo.Record, err error) {
		if err != nil {
			mu.Lock()
			failed[r] = err
			mu.Unlock()
		}
		wg.Done()
	}
	wg.Add(len(records))
	for _, r := range records {
		p.client.Produce(ctx, r, answered)
	}
	wg.Wait()
	if len(failed) == 0 {
		return nil, nil
	}
	for _, r := range records {
		e, ok := failed[r]
		switch {
		case !ok:
		case neverTaken(e):
			err = errors.Join(err, p.refused(r, e))
		default:
			again = append(again, r)
			if len(again) == 1 { // the others say the same
				err = errors.Join(err, fmt.Errorf("publish to %s: %w", r.Topic, e))
			}
		}
	}
	return again, err
}

func neverTaken(err error) bool {
	return slices.ContainsFunc([]error{kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidRecord, kerr.InvalidTimestamp},
		func(kind error) bool { return errors.Is(err, kind) })
}

func (p *producer) refused(r *kgo.Record, err error) error {
	return &RefusedError{Topic: r.Topic, Key: string(r.Key), MessageID: messageID(r), Err: err}
}

// watch says loudly, but rarely, that records wait for their acks, and why as
// far as that can be found out. The client itself retries without a word.
func (p *producer) watch(ctx context.Context, records []*kgo.Record) (stop func()) {
	if len(records) == 0 {
		return func() {}
	}
	topic, since := records[0].Topic, time.Now()
	var mu sync.Mutex
	var timer *time.Timer
	told := false
	mu.Lock()
	timer = time.AfterFunc(produceSlow, func() {
		p.trouble.waits(ctx, "publish", topic)
		if p.rare.allow(time.Now()) {
			p.log.ErrorContext(ctx, "messages wait for Kafka", "topic", topic, "messages", len(records),
				"for", time.Since(since).Round(time.Second), "cause", p.diagnose(ctx, topic))
			mu.Lock()
			told = true
			mu.Unlock()
		}
		mu.Lock()
		timer.Reset(produceSlow)
		mu.Unlock()
	})
	mu.Unlock()
	return func() {
		mu.Lock()
		defer mu.Unlock()
		timer.Stop()
		if told {
			p.log.InfoContext(ctx, "messages reach Kafka again", "topic", topic, "after", time.Since(since).Round(time.Second))
		}
	}
}

// diagnose asks why a topic does not take messages.
func (p *producer) diagnose(ctx context.Context, topic string) string {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	topics, err := p.admin.ListTopics(ctx, topic)
	if err != nil {
		return "no broker answers: " + err.Error()
	}
	if err := topics[topic].Err; err != nil {
		return err.Error()
	}
	least := p.minInsync(ctx, topic)
	for _, part := range topics[topic].Partitions.Sorted() {
		switch {
		case part.Leader < 0:
			return fmt.Sprintf("partition %d has no leader", part.Partition)
		case len(part.ISR) < least:
			return fmt.Sprintf("partition %d has %d replicas in sync, and min.insync.replicas is %d", part.Partition, len(part.ISR), least)
		}
	}
	return "the topic is there; its broker has not acked"
}

// minInsync is how many replicas must be in sync for a topic to take messages; 0
// when that cannot be found out.
func (p *producer) minInsync(ctx context.Context, topic string) int {
	configs, err := p.admin.DescribeTopicConfigs(ctx, topic)
	if err != nil || len(configs) != 1 {
		return 0
	}
	for _, c := range configs[0].Configs {
		if c.Key == "min.insync.replicas" {
			n, _ := strconv.Atoi(c.MaybeValue())
			return n
		}
	}
	return 0
}

func (p *producer) close() { p.client.Close() }

// franzPublisher is a producer behind Watermill's interface.
type franzPublisher struct {
	producer *producer
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
}

func newFranzPublisher(cfg Config) (*franzPublisher, error) {
	producer, err := newProducer(cfg, maxFact)
	if err != nil {
		return nil, err
	}
	p := &franzPublisher{producer: producer}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p, nil
}

// Publish implements message.Publisher. It returns when every message is acked
// by all in-sync replicas, in order. The contexts of messages are not looked at:
// Close ends what is under way, and its messages may or may not be there.
func (p *franzPublisher) Publish(topic string, messages ...*message.Message) error {
	if p.ctx.Err() != nil {
		return errClosed
	}
	err := p.producer.produce(p.ctx, recordsOf(topic, messages))
	if err != nil && p.ctx.Err() != nil {
		return errors.Join(errClosed, err)
	}
	return err
}

// errBehind is the answer of messages that were handed over in one call with a
// refused one, after it.
var errBehind = errors.New("bus: handed over behind a message that was refused")

// PublishAsync implements outbox.AsyncPublisher. When Kafka refuses a batch, the
// client fails all that it holds for the partition, so nothing overtakes it. That
// leaves the instant until it has told us: what is handed over in it is sent. So
// what can be known to be too large is not left to Kafka.
func (p *franzPublisher) PublishAsync(topic string, messages []outbox.Message, answered func(i int, err error)) {
	records := asyncRecords(topic, messages)
	for i, r := range records {
		size := recordSize(r)
		if size <= p.producer.max {
			continue
		}
		defer func() {
			answered(i, p.producer.refused(r, fmt.Errorf("%d bytes with key and headers, and %d are the most", size, p.producer.max)))
			for behind := i + 1; behind < len(messages); behind++ {
				answered(behind, errBehind)
			}
		}()
		records = records[:i]
		break
	}
	stop := p.producer.watch(p.ctx, records)
	var left atomic.Int64
	left.Store(int64(len(records)))
	for i, r := range records {
		p.producer.client.Produce(p.ctx, r, func(_ *kgo.Record, err error) {
			switch {
			case err == nil:
			case p.ctx.Err() != nil:
				err = errors.Join(errClosed, err)
			case neverTaken(err):
				err = p.producer.refused(r, err)
			default:
				err = fmt.Errorf("publish to %s: %w", topic, err)
			}
			if left.Add(-1) == 0 {
				stop()
			}
			answered(i, err)
		})
	}
}

// asyncRecords are the messages as records, in few allocations.
func asyncRecords(topic string, messages []outbox.Message) []*kgo.Record {
	n := 0
	for i := range messages {
		n += len(messages[i].Headers)
	}
	headers := make([]kgo.RecordHeader, 0, n)
	all, records := make([]kgo.Record, len(messages)), make([]*kgo.Record, len(messages))
	for i := range messages {
		m, from := &messages[i], len(headers)
		for _, h := range m.Headers {
			headers = append(headers, kgo.RecordHeader{Key: h.Name, Value: h.Value})
		}
		all[i] = kgo.Record{Topic: topic, Key: m.Key, Value: m.Payload, Headers: headers[from:len(headers):len(headers)]}
		records[i] = &all[i]
	}
	return records
}

// Close implements message.Publisher.
func (p *franzPublisher) Close() error {
	p.cancel()
	p.producer.close()
	return nil
}
