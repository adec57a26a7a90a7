package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Metadata of a message that was read from Kafka.
const (
	topicMetadata     = "kafka_topic"
	partitionMetadata = "kafka_partition"
	offsetMetadata    = "kafka_offset"
	timestampMetadata = "kafka_timestamp"
)

const (
	queueHigh  = 1000 // records of a partition that wait; fetching it pauses
	queueLow   = 200  // and resumes
	pollMax    = 500
	drainFor   = 5 * time.Second
	nackPause  = 100 * time.Millisecond
	commitTick = time.Second
)

// franzSubscriber is one member of a consumer group. One goroutine polls; each
// partition has a goroutine that hands out one message at a time and waits for
// its ack.
type franzSubscriber struct {
	client *kgo.Client
	log    *slog.Logger
	group  string

	ctx    context.Context
	cancel context.CancelFunc

	mu     sync.Mutex
	topics map[string]chan *message.Message
	parts  map[topicPartition]*partition
	polled bool
	closed bool
	done   chan struct{} // the poll loop has ended
}

type topicPartition struct {
	topic     string
	partition int32
}

func groupOptions(cfg Config, group string, more ...kgo.Opt) []kgo.Opt {
	return clientOptions(cfg, append([]kgo.Opt{
		kgo.ConsumerGroup(group),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.BlockRebalanceOnPoll(),
		kgo.AutoCommitMarks(),
		kgo.AutoCommitInterval(commitTick),
		kgo.FetchMaxWait(500 * time.Millisecond),
		kgo.FetchMaxBytes(8 << 20),
		kgo.FetchMaxPartitionBytes(2 << 20),
		kgo.SessionTimeout(10 * time.Second),
		kgo.HeartbeatInterval(2 * time.Second),
		kgo.RebalanceTimeout(15 * time.Second),
		kgo.WithLogger(&clientLog{log: cfg.Log, rare: &rareLog{every: 5 * time.Second}}),
	}, more...)...)
}

func newFranzSubscriber(cfg Config, group string) (*franzSubscriber, error) {
	s := &franzSubscriber{
		log: cfg.Log, group: group, done: make(chan struct{}),
		topics: map[string]chan *message.Message{}, parts: map[topicPartition]*partition{},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	client, err := kgo.NewClient(groupOptions(cfg, group,
		kgo.OnPartitionsRevoked(s.revoked),
		kgo.OnPartitionsLost(s.revoked),
	)...)
	if err != nil {
		s.cancel()
		return nil, fmt.Errorf("kafka subscriber %s: %w", group, err)
	}
	s.client = client
	return s, nil
}

// Subscribe implements message.Subscriber. The channel closes when ctx ends or
// the subscriber is closed.
func (s *franzSubscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.New("bus: subscriber is closed")
	}
	if _, ok := s.topics[topic]; ok {
		return nil, fmt.Errorf("bus: %s is subscribed to %s already", s.group, topic)
	}
	out := make(chan *message.Message)
	s.topics[topic] = out
	s.client.AddConsumeTopics(topic)
	if !s.polled {
		s.polled = true
		go s.poll()
	}
	context.AfterFunc(ctx, func() { _ = s.Close() }) // a subscriber lives as long as its subscriptions
	return out, nil
}

// Close implements message.Subscriber: no new messages, those in flight have
// drainFor to be acked, then offsets are committed and the group is left.
func (s *franzSubscriber) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		<-s.done
		return nil
	}
	s.closed = true
	polled := s.polled
	s.mu.Unlock()

	s.cancel()
	if !polled {
		s.client.Close()
		close(s.done)
		return nil
	}
	<-s.done
	return nil
}

func (s *franzSubscriber) poll() {
	defer close(s.done)
	for s.ctx.Err() == nil {
		fetches := s.client.PollRecords(s.ctx, pollMax)
		fetches.EachError(func(topic string, p int32, err error) {
			if s.ctx.Err() == nil {
				s.log.Warn("kafka fetch", "group", s.group, "topic", topic, "partition", p, "error", err)
			}
		})
		fetches.EachPartition(func(f kgo.FetchTopicPartition) {
			if len(f.Records) > 0 {
				s.partition(topicPartition{f.Topic, f.Partition}).add(f.Records)
			}
		})
		s.client.AllowRebalance()
	}
	s.stop(nil)
	ctx, cancel := context.WithTimeout(context.Background(), drainFor)
	defer cancel()
	if err := s.client.CommitMarkedOffsets(ctx); err != nil {
		s.log.Warn("offsets not committed at the end; their messages will come again", "group", s.group, "error", err)
	}
	s.client.CloseAllowingRebalance()
	for _, out := range s.topics {
		close(out)
	}
}

// partition returns the running partition, or starts it.
func (s *franzSubscriber) partition(tp topicPartition) *partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.parts[tp]
	if !ok {
		ctx, cancel := context.WithCancel(context.Background())
		p = &partition{s: s, tp: tp, out: s.topics[tp.topic], wake: make(chan struct{}, 1), ended: make(chan struct{}), ctx: ctx, cancel: cancel}
		s.parts[tp] = p
		go p.run()
	}
	return p
}

// revoked gives partitions up: their messages in flight end first, so that no
// other member works on them meanwhile.
func (s *franzSubscriber) revoked(ctx context.Context, _ *kgo.Client, lost map[string][]int32) {
	var gone []topicPartition
	for topic, partitions := range lost {
		for _, p := range partitions {
			gone = append(gone, topicPartition{topic, p})
		}
	}
	s.stop(gone)
	if err := s.client.CommitMarkedOffsets(ctx); err != nil {
		s.log.Warn("offsets of revoked partitions not committed; their messages will come again", "group", s.group, "error", err)
	}
}

// stop ends partitions, all when given none, and waits for them.
func (s *franzSubscriber) stop(gone []topicPartition) {
	s.mu.Lock()
	var ending []*partition
	if gone == nil {
		for tp, p := range s.parts {
			ending = append(ending, p)
			delete(s.parts, tp)
		}
	}
	for _, tp := range gone {
		if p, ok := s.parts[tp]; ok {
			ending = append(ending, p)
			delete(s.parts, tp)
		}
	}
	s.mu.Unlock()
	for _, p := range ending {
		p.cancel()
	}
	deadline := time.After(drainFor)
	for _, p := range ending {
		select {
		case <-p.ended:
		case <-deadline:
			s.log.Warn("handler did not end in time; its message may be handled twice", "group", s.group, "topic", p.tp.topic, "partition", p.tp.partition)
		}
	}
}

// partition hands out the messages of one partition, one at a time.
type partition struct {
	s      *franzSubscriber
	tp     topicPartition
	out    chan *message.Message
	ctx    context.Context
	cancel context.CancelFunc
	wake   chan struct{}
	ended  chan struct{}

	mu     sync.Mutex
	queue  []*kgo.Record
	paused bool
}

func (p *partition) add(records []*kgo.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = append(p.queue, records...)
	if len(p.queue) > queueHigh && !p.paused {
		p.paused = true
		p.s.client.PauseFetchPartitions(map[string][]int32{p.tp.topic: {p.tp.partition}})
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *partition) next() *kgo.Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		return nil
	}
	r := p.queue[0]
	p.queue[0] = nil
	p.queue = p.queue[1:]
	if p.paused && len(p.queue) < queueLow {
		p.paused = false
		p.s.client.ResumeFetchPartitions(map[string][]int32{p.tp.topic: {p.tp.partition}})
	}
	return r
}

func (p *partition) run() {
	defer close(p.ended)
	for p.ctx.Err() == nil {
		r := p.next()
		if r == nil {
			select {
			case <-p.wake:
			case <-p.ctx.Done():
			}
			continue
		}
		if !p.deliver(r) {
			return
		}
		p.s.client.MarkCommitRecords(r)
	}
}

// deliver hands a record out until it is acked. It returns false when the
// partition ends before that.
func (p *partition) deliver(r *kgo.Record) bool {
	for {
		m := newMessage(r)
		ctx, cancel := context.WithCancel(p.ctx)
		m.SetContext(ctx)
		select {
		case p.out <- m:
		case <-p.ctx.Done():
			cancel()
			return false
		}
		// Once handed out the verdict is waited for, also when the partition
		// ends: the handler sees its context end.
		select {
		case <-m.Acked():
			cancel()
			return true
		case <-m.Nacked():
			cancel()
		}
		select {
		case <-time.After(nackPause):
		case <-p.ctx.Done():
			return false
		}
	}
}

// newMessage turns a Kafka record into a message: headers, key and place as
// metadata.
func newMessage(r *kgo.Record) *message.Message {
	m := message.NewMessage("", r.Value)
	for _, h := range r.Headers {
		m.Metadata[h.Key] = string(h.Value)
	}
	m.UUID = m.Metadata["ce_id"]
	m.Metadata[KeyMetadata] = string(r.Key)
	m.Metadata[topicMetadata] = r.Topic
	m.Metadata[partitionMetadata] = strconv.Itoa(int(r.Partition))
	m.Metadata[offsetMetadata] = strconv.FormatInt(r.Offset, 10)
	m.Metadata[timestampMetadata] = r.Timestamp.UTC().Format(time.RFC3339Nano)
	return m
}
