//go:build !lean

package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kgo"
)

// saramaVersion is spoken by Kafka 2.8 to 4; watermill-kafka's own default was
// dropped by Kafka 4.
var saramaVersion = sarama.V2_8_0_0

// newWatermillPublisher is stock watermill-kafka with the settings that it needs
// to lose nothing and to put keys where other clients put them.
func newWatermillPublisher(cfg Config) (message.Publisher, error) {
	sc := kafka.DefaultSaramaSyncPublisherConfig()
	sc.Version = saramaVersion
	sc.ClientID = "cartwheel-" + cfg.Service
	sc.Producer.RequiredAcks = sarama.WaitForAll
	sc.Producer.Idempotent = true
	sc.Net.MaxOpenRequests = 1
	sc.Producer.Partitioner = sarama.NewMurmur2Partitioner
	sc.Producer.Retry.Max = 10_000 // a client that gives up loses the order of the key
	sc.Metadata.Retry.Max = 100_000
	sc.Producer.Retry.Backoff = 250 * time.Millisecond
	sc.Producer.MaxMessageBytes = maxFact
	sc.Metadata.AllowAutoTopicCreation = false // topics are made on purpose, with their partitions
	p, err := kafka.NewPublisher(kafka.PublisherConfig{Brokers: cfg.Brokers, Marshaler: marshaler{}, OverwriteSaramaConfig: sc}, watermillLog(cfg.Log))
	if err != nil {
		return nil, fmt.Errorf("watermill-kafka publisher: %w", err)
	}
	return p, nil
}

// watermillSubscriber is a stock subscriber for each subscription: sarama keeps
// the state of a member in its balance strategy, and the strategy in its
// configuration, which therefore must not be shared.
type watermillSubscriber struct {
	cfg   Config
	group string

	mu     sync.Mutex
	each   []*kafka.Subscriber
	closed bool
}

func newWatermillSubscriber(cfg Config, group string) (message.Subscriber, error) {
	return &watermillSubscriber{cfg: cfg, group: group}, nil
}

// Subscribe implements message.Subscriber.
func (s *watermillSubscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errSubscriberClosed
	}
	sc := kafka.DefaultSaramaSubscriberConfig()
	sc.Version = saramaVersion
	sc.ClientID = "cartwheel-" + s.cfg.Service
	sc.Metadata.AllowAutoTopicCreation = false
	sc.Consumer.Offsets.Initial = sarama.OffsetOldest
	sc.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategyCooperativeSticky()}
	sc.Consumer.Group.Rebalance.Timeout = 10 * time.Second // a nacked message holds a rebalance this long
	sub, err := kafka.NewSubscriber(kafka.SubscriberConfig{
		Brokers: s.cfg.Brokers, ConsumerGroup: s.group, Unmarshaler: marshaler{}, OverwriteSaramaConfig: sc,
		NackResendSleep: s.cfg.Backoff, ReconnectRetrySleep: time.Second,
	}, watermillLog(s.cfg.Log))
	if err != nil {
		return nil, fmt.Errorf("watermill-kafka subscriber %s: %w", s.group, err)
	}
	s.each = append(s.each, sub)
	return sub.Subscribe(ctx, topic)
}

// Close implements message.Subscriber.
func (s *watermillSubscriber) Close() error {
	s.mu.Lock()
	s.closed = true
	each := s.each
	s.mu.Unlock()
	errs := make([]error, len(each))
	var wg sync.WaitGroup
	for i, sub := range each {
		wg.Go(func() { errs[i] = sub.Close() })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// marshaler translates as our own driver does. It never fails: an error while
// reading would stop the session for ever.
type marshaler struct{}

// Marshal implements kafka.Marshaler.
func (marshaler) Marshal(topic string, m *message.Message) (*sarama.ProducerMessage, error) {
	r := recordsOf(topic, []*message.Message{m})[0]
	out := &sarama.ProducerMessage{Topic: topic, Value: sarama.ByteEncoder(r.Value)}
	if len(r.Key) > 0 {
		out.Key = sarama.ByteEncoder(r.Key)
	}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, sarama.RecordHeader{Key: []byte(h.Key), Value: h.Value})
	}
	return out, nil
}

// Unmarshal implements kafka.Unmarshaler.
func (marshaler) Unmarshal(m *sarama.ConsumerMessage) (*message.Message, error) {
	r := &kgo.Record{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Timestamp: m.Timestamp, Key: m.Key, Value: m.Value}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: string(h.Key), Value: h.Value})
	}
	return newMessage(r), nil
}
