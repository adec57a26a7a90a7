package bus

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// groupOptions are common to all members of consumer groups.
func groupOptions(cfg Config, group string, more ...kgo.Opt) []kgo.Opt {
	return clientOptions(cfg, append([]kgo.Opt{
		kgo.ConsumerGroup(group),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.BlockRebalanceOnPoll(), // only for as long as it takes to hand records to their partitions
		kgo.AutoCommitMarks(),
		kgo.AutoCommitInterval(time.Hour), // what is marked is committed by a committer
		// A fetch that waits holds up partitions that are added or resumed
		// meanwhile, so it must not wait for long.
		kgo.FetchMaxWait(500 * time.Millisecond),
		kgo.FetchMaxBytes(4 << 20),
		kgo.FetchMaxPartitionBytes(1 << 20), // a larger record is fetched all the same
		kgo.MaxConcurrentFetches(2),
		kgo.SessionTimeout(10 * time.Second),
		kgo.HeartbeatInterval(time.Second),
		kgo.RebalanceTimeout(15 * time.Second),
		kgo.WithLogger(&clientLog{log: cfg.Log, rare: &rareLog{every: 5 * time.Second}}),
	}, more...)...)
}

// reread has a client take a topic that was deleted and made anew for what it is:
// another topic, read from its start. Until then the client refuses it, since
// nobody may have meant to.
func reread(client *kgo.Client, topics map[string]bool) {
	for topic := range topics {
		client.PurgeTopicsFromConsuming(topic)
		client.AddConsumeTopics(topic)
	}
}

// fetchTrouble notes the errors of a poll and returns the topics that are others
// than they were.
func fetchTrouble(ctx context.Context, fetches kgo.Fetches, trouble *kafkaTrouble) (anew map[string]bool) {
	fetches.EachError(func(topic string, _ int32, err error) {
		if ctx.Err() != nil {
			return
		}
		trouble.happened(ctx, "fetch", topic, err)
		if errors.Is(err, kerr.UnknownTopicID) {
			if anew == nil {
				anew = map[string]bool{}
			}
			anew[topic] = true
		}
	})
	return anew
}

// franzSubscriber reads topics for a consumer group. Each subscription is a
// member of the group, but for the topics that are known from the start: these
// share one member, which costs one connection instead of one for each.
type franzSubscriber struct {
	cfg   Config
	group string

	mu      sync.Mutex
	shared  *member
	left    []string // topics of shared that nobody has subscribed to yet
	members []*member
	closed  bool
}

func newFranzSubscriber(cfg Config, group string, topics ...string) (*franzSubscriber, error) {
	s := &franzSubscriber{cfg: cfg, group: group, left: slices.Clone(topics)}
	if len(topics) > 0 {
		var err error
		if s.shared, err = newMember(cfg, group, topics); err != nil {
			return nil, err
		}
		s.members = append(s.members, s.shared)
	}
	return s, nil
}

var errSubscriberClosed = errors.New("bus: subscriber is closed")

// Subscribe implements message.Subscriber. The channel closes when ctx ends or
// the subscriber is closed, after the messages in flight had the time that
// Config.Drain gives them. A shared member ends with its first subscription.
func (s *franzSubscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errSubscriberClosed
	}
	m := s.shared
	if i := slices.Index(s.left, topic); i >= 0 {
		s.left = slices.Delete(s.left, i, i+1)
	} else {
		var err error
		if m, err = newMember(s.cfg, s.group, []string{topic}); err != nil {
			return nil, err
		}
		s.members = append(s.members, m)
	}
	out := m.subscribe(ctx, topic)
	context.AfterFunc(ctx, m.stop)
	return out, nil
}

// Close implements message.Subscriber: no new messages, those in flight may
// end, offsets are committed and the group is left.
func (s *franzSubscriber) Close() error {
	s.mu.Lock()
	s.closed = true
	members := s.members
	s.mu.Unlock()
	for _, m := range members {
		m.stop()
	}
	for _, m := range members {
		m.wait()
	}
	return nil
}
