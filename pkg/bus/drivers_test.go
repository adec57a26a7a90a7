package bus

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"

	"github.com/cartwheel-shop/cartwheel/pkg/bus/bustest"
)

// Both drivers pass Watermill's own suite for publishers and subscribers, and
// the suite below for what a shop needs beyond it: with messages that have no
// key, which are in order among themselves, and with messages of many keys on
// many partitions.
func TestDriversPassWatermillsSuite(t *testing.T) {
	t.Parallel()
	for _, driver := range drivers {
		for name, partitions := range map[string]int32{"without keys": 1, "with keys": 4} {
			t.Run(driver+"/"+name, func(t *testing.T) {
				brokers := bustest.Brokers(t)
				prefix := bustest.Unique("suite")
				open := func(t *testing.T, group string) (message.Publisher, message.Subscriber) {
					t.Helper()
					cfg := Config{Brokers: brokers, Service: "suite", Driver: driver, Backoff: 5 * time.Millisecond, Drain: 200 * time.Millisecond}
					pub, err := NewPublisher(cfg)
					if err != nil {
						t.Fatal(err)
					}
					if partitions > 1 {
						pub = keying{pub}
					}
					sub, err := NewSubscriber(cfg, group)
					if err != nil {
						t.Fatal(err)
					}
					return pub, creating{sub, brokers, partitions}
				}
				tests.TestPubSub(t,
					tests.Features{
						ConsumerGroups: true, GuaranteedOrder: true, GuaranteedOrderWithSingleSubscriber: partitions == 1, Persistent: true,
						GenerateTopicFunc: func(c tests.TestContext) string { return prefix + "-" + string(c.TestID) },
					},
					func(t *testing.T) (message.Publisher, message.Subscriber) {
						return open(t, prefix+strings.NewReplacer("/", ".", " ", "-").Replace(t.Name()))
					},
					open)
			})
		}
	}
}

// creating creates the topics that the suite makes up.
type creating struct {
	message.Subscriber
	brokers    []string
	partitions int32
}

// SubscribeInitialize implements message.SubscribeInitializer.
func (c creating) SubscribeInitialize(topic string) error {
	return patiently(context.Background(), Config{Brokers: c.brokers}, "to create a topic", createOne(topic, c.partitions))
}

// keying gives messages of one payload one key: the suite expects their order.
type keying struct{ message.Publisher }

// Publish implements message.Publisher.
func (k keying) Publish(topic string, messages ...*message.Message) error {
	for _, m := range messages {
		m.Metadata[KeyMetadata] = string(m.Payload)
	}
	return k.Publisher.Publish(topic, messages...)
}

// suite is one driver under test.
type suite struct {
	*shop
	t *testing.T
}

func eachSuite(t *testing.T, partitions int32, test func(s *suite)) {
	eachDriver(t, partitions, func(t *testing.T, s *shop) { test(&suite{s, t}) })
}

func (s *suite) publisher() message.Publisher {
	s.t.Helper()
	pub, err := NewPublisher(s.cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = pub.Close() })
	return pub
}

// subscribe joins the group as a member of its own.
func (s *suite) subscribe(group string) (<-chan *message.Message, message.Subscriber) {
	s.t.Helper()
	sub, err := NewSubscriber(s.cfg, s.group(group))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = sub.Close() })
	messages, err := sub.Subscribe(s.t.Context(), s.topic)
	if err != nil {
		s.t.Fatal(err)
	}
	return messages, sub
}

func (s *suite) receive(messages <-chan *message.Message) *message.Message {
	s.t.Helper()
	select {
	case m, ok := <-messages:
		if !ok {
			s.t.Fatal("channel closed")
		}
		return m
	case <-time.After(bustest.Patience):
		s.t.Fatal("no message")
	}
	return nil
}

func keyed(key, payload string) *message.Message {
	m := message.NewMessage(key+"-"+payload, []byte(payload))
	m.Metadata[KeyMetadata] = key
	return m
}

func TestDriversKeepTheOrderOfAKey(t *testing.T) {
	t.Parallel()
	eachSuite(t, 4, func(s *suite) {
		const keys, n = 10, 50
		pub := s.publisher()
		var wg sync.WaitGroup
		for k := range keys { // keys concurrently, each in order
			wg.Go(func() {
				for from := 0; from < n; from += 10 {
					var batch []*message.Message
					for i := from; i < from+10; i++ {
						batch = append(batch, keyed(fmt.Sprint("key", k), fmt.Sprint(i)))
					}
					if err := pub.Publish(s.topic, batch...); err != nil {
						s.t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		messages, _ := s.subscribe("order")
		next := map[string]int{}
		for range keys * n {
			m := s.receive(messages)
			key := m.Metadata[KeyMetadata]
			if got, want := string(m.Payload), fmt.Sprint(next[key]); got != want {
				s.t.Fatalf("%s: got %s, want %s", key, got, want)
			}
			next[key]++
			m.Ack()
		}
	})
}

func TestDriversRedeliverWhatIsNackedBeforeWhatFollows(t *testing.T) {
	t.Parallel()
	eachSuite(t, 1, func(s *suite) {
		if err := s.publisher().Publish(s.topic, keyed("k", "1"), keyed("k", "2")); err != nil {
			s.t.Fatal(err)
		}
		messages, _ := s.subscribe("nack")
		for range 3 {
			m := s.receive(messages)
			if string(m.Payload) != "1" {
				s.t.Fatalf("got %s before 1 was acked", m.Payload)
			}
			m.Nack()
		}
		for _, want := range []string{"1", "2"} {
			m := s.receive(messages)
			if string(m.Payload) != want {
				s.t.Fatalf("got %s, want %s", m.Payload, want)
			}
			m.Ack()
		}
	})
}

func TestDriversGoOnBehindWhatWasAcked(t *testing.T) {
	t.Parallel()
	eachSuite(t, 1, func(s *suite) {
		pub := s.publisher()
		for i := range 5 {
			if err := pub.Publish(s.topic, keyed("k", fmt.Sprint(i))); err != nil {
				s.t.Fatal(err)
			}
		}
		messages, sub := s.subscribe("resume")
		for range 3 {
			s.receive(messages).Ack()
		}
		s.receive(messages) // in flight, never acked
		if err := sub.Close(); err != nil {
			s.t.Fatal(err)
		}
		messages, _ = s.subscribe("resume")
		m := s.receive(messages)
		// A driver may commit late, never early; ours commits exactly.
		if got := string(m.Payload); got > "3" || s.cfg.Driver == DriverFranz && got != "3" {
			s.t.Errorf("goes on at %s, want 3", got)
		}
	})
}

func TestDriversPutAKeyOnTheSamePartition(t *testing.T) {
	t.Parallel()
	brokers := bustest.Brokers(t)
	topic := bustest.Topic(t, brokers, "keys", 16)
	const keys = 500
	for _, driver := range drivers {
		pub, err := NewPublisher(Config{Brokers: brokers, Service: "keys", Driver: driver})
		if err != nil {
			t.Fatal(err)
		}
		var batch []*message.Message
		for i := range keys {
			batch = append(batch, keyed(fmt.Sprintf("ord_%d", i), driver))
		}
		if err := pub.Publish(topic, batch...); err != nil {
			t.Fatal(err)
		}
		if err := pub.Close(); err != nil {
			t.Fatal(err)
		}
	}
	at, used := map[string]int32{}, map[int32]bool{}
	for _, r := range bustest.Read(t, brokers, topic, 2*keys) {
		used[r.Partition] = true
		if p, ok := at[string(r.Key)]; ok && p != r.Partition {
			t.Fatalf("%s is on partitions %d and %d", r.Key, p, r.Partition)
		}
		at[string(r.Key)] = r.Partition
	}
	if len(used) != 16 {
		t.Errorf("keys use partitions %v, want all 16", slices.Sorted(maps.Keys(used)))
	}
}

// A message is read as it was written, whichever driver wrote it.
func TestDriversCarryKeyHeadersAndID(t *testing.T) {
	t.Parallel()
	for _, writer := range drivers {
		for _, reader := range drivers {
			t.Run(writer+" to "+reader, func(t *testing.T) {
				t.Parallel()
				shop := newShop(t, 1)
				shop.cfg.Driver = writer
				s := &suite{shop, t}
				m := message.NewMessage("id-1", []byte{0, 0xff, 'x'})
				m.Metadata = message.Metadata{KeyMetadata: "k\xff", "traceparent": "00-x", "bytes": "\x00\xfe"}
				none := message.NewMessage("id-2", nil)
				if err := s.publisher().Publish(s.topic, m, none); err != nil {
					t.Fatal(err)
				}
				shop.cfg.Driver = reader
				messages, _ := s.subscribe("read")
				got := s.receive(messages)
				got.Ack()
				if got.UUID != "id-1" || string(got.Payload) != string(m.Payload) || got.Metadata[KeyMetadata] != "k\xff" ||
					got.Metadata["traceparent"] != "00-x" || got.Metadata["bytes"] != "\x00\xfe" {
					t.Errorf("got %s %q %q", got.UUID, got.Payload, got.Metadata)
				}
				got = s.receive(messages)
				if _, ok := got.Metadata[KeyMetadata]; ok || got.UUID != "id-2" {
					t.Errorf("got %s %q, want id-2 without a key", got.UUID, got.Metadata)
				}
				got.Ack()
			})
		}
	}
}

// When a partition goes to another member, the contexts of its messages end and
// the other member begins with what was not acked.
func TestAMemberThatLosesAPartitionIsTold(t *testing.T) {
	t.Parallel()
	s := &suite{newShop(t, 2), t}
	s.cfg.Drain = time.Hour // the contexts end at once, not after it
	left, right := keysOfTwoPartitions(t, s.shop)
	if err := s.publisher().Publish(s.topic, keyed(left, "a"), keyed(right, "a")); err != nil {
		t.Fatal(err)
	}
	first, _ := s.subscribe("group")
	inFlight := []*message.Message{s.receive(first), s.receive(first)} // one of each partition
	second, _ := s.subscribe("group")

	var taken *message.Message
	select {
	case <-inFlight[0].Context().Done():
		taken = inFlight[0]
	case <-inFlight[1].Context().Done():
		taken = inFlight[1]
	case <-time.After(bustest.Patience):
		t.Fatal("no context has ended")
	}
	select {
	case m := <-second:
		t.Fatalf("second member got %s while the first still had it", m.UUID)
	case <-time.After(3 * time.Second): // a wrong hand-over takes a heartbeat, which is one
	}
	taken.Nack()
	m := s.receive(second)
	if m.Metadata[KeyMetadata] != taken.Metadata[KeyMetadata] {
		t.Errorf("second member got key %s, want %s", m.Metadata[KeyMetadata], taken.Metadata[KeyMetadata])
	}
	m.Ack()
	for _, other := range inFlight {
		if other != taken && other.Context().Err() != nil {
			t.Error("the partition that stays was interrupted")
		}
		other.Ack()
	}
}

// A handler that ignores the end of its context does not hold the group for
// ever, and what it does later has no effect on offsets.
func TestAnAbandonedMessageIsNotCommitted(t *testing.T) {
	t.Parallel()
	s := &suite{newShop(t, 1), t}
	s.cfg.Drain = time.Millisecond
	if err := s.publisher().Publish(s.topic, keyed("k", "1")); err != nil {
		t.Fatal(err)
	}
	messages, sub := s.subscribe("group")
	stuck := s.receive(messages)
	if err := sub.Close(); err != nil {
		t.Fatal(err)
	}
	if stuck.Context().Err() == nil {
		t.Error("its context did not end")
	}
	stuck.Ack()
	messages, _ = s.subscribe("group")
	if m := s.receive(messages); string(m.Payload) != "1" {
		t.Errorf("got %s, want 1 again", m.Payload)
	}
}

// Even when the verdict and the end of waiting for it come together.
func TestAnAbandonedPartitionMarksNothing(t *testing.T) {
	t.Parallel()
	m, err := newMember(mustDefaults(t, Config{Brokers: []string{"127.0.0.1:1"}}), "g", []string{"t"})
	if err != nil {
		t.Fatal(err)
	}
	defer m.client.Close()
	p := newPartition(m.client, topicPartition{"t", 0}, m.topics["t"], 0, 1)
	p.mark(&entry{offset: 4})
	go p.run()
	p.abandon()
	p.mark(&entry{offset: 5})
	if at := m.client.MarkedOffsets()["t"][0].Offset; at != 5 {
		t.Errorf("marked up to %d, want 5: what was marked before", at)
	}
}

// A partition that was paused because its queue is full, went away and came
// back is fetched again.
func TestAFullPartitionThatComesBackGoesOn(t *testing.T) {
	t.Parallel()
	s := &suite{newShop(t, 1), t}
	const n = queueHigh + 2*pollMax + 500
	var batch []*message.Message
	for i := range n {
		batch = append(batch, keyed("k", fmt.Sprint(i)))
	}
	if err := s.publisher().Publish(s.topic, batch...); err != nil {
		t.Fatal(err)
	}
	sub, err := newFranzSubscriber(mustDefaults(t, s.cfg), s.group("full"), s.topic)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	messages, err := sub.Subscribe(t.Context(), s.topic)
	if err != nil {
		t.Fatal(err)
	}
	m := s.receive(messages)
	bustest.Await(t, func() bool {
		sub.shared.mu.Lock()
		defer sub.shared.mu.Unlock()
		p := sub.shared.parts[topicPartition{s.topic, 0}]
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.paused
	}, "the partition to be paused")
	m.Ack()
	sub.shared.lost(t.Context(), sub.shared.client, map[string][]int32{s.topic: {0}})
	if paused := sub.shared.client.PauseFetchPartitions(nil); len(paused[s.topic]) > 0 {
		t.Errorf("still paused: %v", paused)
	}
}

func mustDefaults(t *testing.T, cfg Config) Config {
	t.Helper()
	cfg, err := cfg.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}
