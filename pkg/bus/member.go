package bus

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	pollMax    = 500
	leaveFor   = 1500 * time.Millisecond // to leave the group
	abandonFor = time.Second             // for a handler to heed the end of its context
)

type topicPartition struct {
	topic     string
	partition int32
}

// member is one member of a consumer group. One goroutine polls; each partition
// hands out its messages by itself.
type member struct {
	client  *kgo.Client
	commits *committer
	trouble *kafkaTrouble
	log     *slog.Logger
	drain   time.Duration
	again   time.Duration // pause after a Nack
	limit   int           // messages of a partition in flight
	topics  map[string]*subscription

	start   sync.Once
	polling context.Context // ends with stop
	stop    context.CancelFunc
	done    chan struct{} // all has ended

	mu    sync.Mutex
	parts map[topicPartition]*partition
}

// subscription is where the messages of a topic go.
type subscription struct {
	ctx context.Context // values for the messages' contexts; it does not end
	out chan *message.Message
	set chan struct{} // closed when somebody has subscribed
}

func newMember(cfg Config, group string, topics []string) (*member, error) {
	m := &member{
		log: cfg.Log.With("group", group), drain: cfg.Drain, again: cfg.Backoff, limit: cfg.InFlight,
		topics: map[string]*subscription{}, done: make(chan struct{}), parts: map[topicPartition]*partition{},
	}
	for _, topic := range topics {
		m.topics[topic] = &subscription{out: make(chan *message.Message), set: make(chan struct{})}
	}
	var err error
	if m.trouble, err = newKafkaTrouble(cfg, m.log); err != nil {
		return nil, err
	}
	m.polling, m.stop = context.WithCancel(context.Background())
	client, err := kgo.NewClient(groupOptions(cfg, group,
		kgo.ConsumeTopics(topics...),
		kgo.OnPartitionsRevoked(m.revoked),
		kgo.OnPartitionsLost(m.lost),
	)...)
	if err != nil {
		m.stop()
		return nil, fmt.Errorf("kafka subscriber %s: %w", group, err)
	}
	m.client, m.commits = client, newCommitter(client, cfg, group)
	return m, nil
}

// subscribe is called once for each topic.
func (m *member) subscribe(ctx context.Context, topic string) <-chan *message.Message {
	s := m.topics[topic]
	s.ctx = context.WithoutCancel(ctx)
	close(s.set)
	m.start.Do(func() { go m.poll() })
	return s.out
}

// wait returns when a member that was stopped has ended.
func (m *member) wait() {
	m.start.Do(func() { // nobody has ever subscribed
		_ = leave(m.client)
		close(m.done)
	})
	<-m.done
}

func (m *member) poll() {
	defer close(m.done)
	go m.commits.run(m.polling)
	for m.polling.Err() == nil {
		fetches := m.client.PollRecords(m.polling, pollMax)
		anew := fetchTrouble(m.polling, fetches, m.trouble)
		fetches.EachPartition(func(f kgo.FetchTopicPartition) {
			if len(f.Records) > 0 {
				m.partition(topicPartition{f.Topic, f.Partition}).add(f.Records)
			}
		})
		m.client.AllowRebalance()
		m.renew(anew)
		reread(m.client, anew)
	}
	m.finish()
}

// finish lets what is in flight end, commits and leaves the group.
func (m *member) finish() {
	m.end(m.take(nil), m.drain)
	m.commits.last(context.Background(), "at the end")
	if !leave(m.client) {
		m.log.Warn("group not left in time; its other members may wait for our session to end")
	}
	for _, s := range m.topics {
		close(s.out)
	}
}

// leave leaves the group and closes the client. When that takes longer than leaveFor,
// because no broker answers or the group is in the middle of a rebalance, it
// goes on in the background.
func leave(client *kgo.Client) bool {
	closed := make(chan struct{})
	go func() {
		client.CloseAllowingRebalance()
		close(closed)
	}()
	select {
	case <-closed:
		return true
	case <-time.After(leaveFor):
		return false
	}
}

// revoked gives partitions up. The contexts of their messages end at once and
// the handlers are waited for, so that no other member works on them meanwhile.
func (m *member) revoked(ctx context.Context, _ *kgo.Client, gone map[string][]int32) {
	parts := m.take(gone)
	for _, p := range parts {
		p.cancel()
	}
	m.end(parts, m.drain)
	m.commits.last(ctx, "of revoked partitions")
}

// lost forgets partitions that are somebody else's already.
func (m *member) lost(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
	parts := m.take(gone)
	for _, p := range parts {
		p.abandon()
	}
	m.end(parts, m.drain)
}

// renew drops the partitions of topics that were deleted and made anew, which the
// client does not always take from us in between: offsets of the old topic are not
// those of the new one.
func (m *member) renew(topics map[string]bool) {
	gone := map[string][]int32{}
	m.mu.Lock()
	for tp := range m.parts {
		if topics[tp.topic] {
			gone[tp.topic] = append(gone[tp.topic], tp.partition)
		}
	}
	m.mu.Unlock()
	if len(gone) > 0 {
		m.lost(m.polling, m.client, gone)
	}
}

// partition returns the running partition, or starts it.
func (m *member) partition(tp topicPartition) *partition {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.parts[tp]
	if !ok {
		p = newPartition(m.client, tp, m.topics[tp.topic], m.again, m.limit)
		m.parts[tp] = p
		go p.run()
	}
	return p
}

// take removes partitions from those that run, all when given none.
func (m *member) take(gone map[string][]int32) []*partition {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []*partition
	if gone == nil {
		for tp, p := range m.parts {
			out = append(out, p)
			delete(m.parts, tp)
		}
		return out
	}
	for topic, partitions := range gone {
		for _, number := range partitions {
			tp := topicPartition{topic, number}
			if p, ok := m.parts[tp]; ok {
				out = append(out, p)
				delete(m.parts, tp)
			}
		}
	}
	return out
}

// end stops partitions and waits for their messages in flight: for a time that
// they may take to finish, then for one to heed the end of their contexts.
func (m *member) end(parts []*partition, drain time.Duration) {
	for _, p := range parts {
		p.halt()
	}
	if awaitAll(parts, drain) {
		return
	}
	for _, p := range parts {
		p.cancel()
	}
	if awaitAll(parts, min(drain, abandonFor)) {
		return
	}
	for _, p := range parts {
		if p.abandon() {
			m.log.Warn("handler did not end in time; its message comes again and may be handled twice", "topic", p.tp.topic, "partition", p.tp.partition)
		}
	}
}

func awaitAll(parts []*partition, within time.Duration) bool {
	deadline := time.After(within)
	for _, p := range parts {
		select {
		case <-p.ended:
		case <-deadline:
			return false
		}
	}
	return true
}
