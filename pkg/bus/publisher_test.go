package bus

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/cartwheel-shop/cartwheel/pkg/bus/bustest"
)

func franzPublisherFor(t *testing.T, brokers []string, log *slog.Logger) message.Publisher {
	t.Helper()
	pub, err := NewPublisher(Config{Brokers: brokers, Service: "pub", Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pub.Close() })
	return pub
}

// A topic that is missing is waited for; other topics go on.
func TestPublishWaitsForATopic(t *testing.T) {
	t.Parallel()
	brokers := bustest.Brokers(t)
	pub := franzPublisherFor(t, brokers, nil)
	missing, there := bustest.Unique("later"), bustest.Topic(t, brokers, "now", 1)
	done := make(chan error, 1)
	go func() { done <- pub.Publish(missing, keyed("k", "1"), keyed("k", "2")) }()
	for i := range 3 {
		if err := pub.Publish(there, keyed("k", fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-done:
		t.Fatalf("Publish to a missing topic returned %v", err)
	default:
	}
	if err := patiently(t.Context(), Config{Brokers: brokers}, "to create a topic", createOne(missing, 1)); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(bustest.Patience):
		t.Fatal("Publish does not return though the topic is there")
	}
	for i, r := range bustest.Read(t, brokers, missing, 2) {
		if got, want := string(r.Value), fmt.Sprint(i+1); got != want {
			t.Errorf("record %d is %s, want %s", i, got, want)
		}
	}
}

// What Kafka refuses for now, for a reason that the client itself does not
// retry, is sent again, and nothing overtakes it.
func TestPublishRepeatsWhatIsRefusedForNow(t *testing.T) {
	t.Parallel()
	cluster := bustest.Fake(t)
	topic := bustest.Topic(t, cluster.ListenAddrs(), "acl", 1)
	var refusals atomic.Int32
	cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if refusals.Add(1) > 2 {
			return nil, nil, false
		}
		return refuseProduce(req.(*kmsg.ProduceRequest), kerr.TopicAuthorizationFailed), nil, true
	})
	pub := franzPublisherFor(t, cluster.ListenAddrs(), nil)
	if err := pub.Publish(topic, keyed("k", "1"), keyed("k", "2"), keyed("k", "3")); err != nil {
		t.Fatal(err)
	}
	if refusals.Load() < 3 {
		t.Fatalf("%d requests: nothing was refused", refusals.Load())
	}
	for i, r := range bustest.Read(t, cluster.ListenAddrs(), topic, 3) {
		if got, want := string(r.Value), fmt.Sprint(i+1); got != want {
			t.Errorf("record %d is %s, want %s", i, got, want)
		}
	}
}

func refuseProduce(req *kmsg.ProduceRequest, why *kerr.Error) *kmsg.ProduceResponse {
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	for _, t := range req.Topics {
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewProduceResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, why.Code
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// What can never be sent is named, and nothing of its call is sent, so that
// nothing overtakes it.
func TestAMessageThatIsTooLargeIsRefusedByName(t *testing.T) {
	t.Parallel()
	brokers := bustest.Brokers(t)
	topic := bustest.Topic(t, brokers, "size", 1)
	pub := franzPublisherFor(t, brokers, nil)
	big := keyed("ord_big", strings.Repeat("x", maxFact))
	big.UUID = "big"
	err := pub.Publish(topic, keyed("ord_1", "1"), big, keyed("ord_big", "2"))
	var refused *RefusedError
	if !errors.As(err, &refused) || refused.MessageID != "big" || refused.Key != "ord_big" || refused.Topic != topic {
		t.Fatalf("got %v, want message big of ord_big refused", err)
	}
	if err := pub.Publish(topic, keyed("ord_1", "after")); err != nil {
		t.Fatal(err)
	}
	if first := bustest.Read(t, brokers, topic, 1)[0]; string(first.Value) != "after" {
		t.Errorf("%s was sent with the refused call", first.Value)
	}
}

// The broker's own limit may be lower than ours.
func TestARefusalByTheBrokerIsNamed(t *testing.T) {
	t.Parallel()
	brokers := bustest.Brokers(t)
	topic, limit := bustest.Unique("small"), "2000"
	admin, err := NewAdmin(Config{Brokers: brokers})
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if _, err := admin.admin.CreateTopic(t.Context(), 1, 1, map[string]*string{"max.message.bytes": &limit}, topic); err != nil {
		t.Fatal(err)
	}
	pub := franzPublisherFor(t, brokers, nil)
	m := keyed("k", random(10_000))
	m.UUID = "big"
	var refused *RefusedError
	if err := pub.Publish(topic, m); !errors.As(err, &refused) || refused.MessageID != "big" || !errors.Is(err, kerr.MessageTooLarge) {
		t.Fatalf("got %v, want message big refused as too large", err)
	}
}

// random does not compress.
func random(n int) string {
	b := make([]byte, n)
	x := uint32(2463534242)
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return string(b)
}

// Many small messages at once fit the topic's limit for a batch.
func TestManyMessagesAtOnceFit(t *testing.T) {
	t.Parallel()
	brokers := bustest.Brokers(t)
	topic := bustest.Topic(t, brokers, "many", 1)
	pub := franzPublisherFor(t, brokers, nil)
	var batch []*message.Message
	for i := range 400 {
		batch = append(batch, keyed("k", fmt.Sprintf("%03d", i)+random(10_000)))
	}
	if err := pub.Publish(topic, batch...); err != nil {
		t.Fatal(err)
	}
	for i, r := range bustest.Read(t, brokers, topic, len(batch)) {
		if got, want := string(r.Value[:3]), fmt.Sprintf("%03d", i); got != want {
			t.Fatalf("record %d is %s", i, got)
		}
	}
}

// A broker that is away is waited for, and said so, but not over and over.
func TestPublishOutlivesABrokerThatIsAway(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DataDir(dir))
	if err != nil {
		t.Fatal(err)
	}
	brokers := cluster.ListenAddrs()
	topic := bustest.Topic(t, brokers, "away", 1)
	var log lockedLog
	pub := franzPublisherFor(t, brokers, slog.New(slog.NewTextHandler(&log, nil)))
	if err := pub.Publish(topic, keyed("k", "0")); err != nil {
		t.Fatal(err)
	}
	cluster.Close()
	done := make(chan error, 1)
	go func() { done <- pub.Publish(topic, keyed("k", "1"), keyed("k", "2")) }()
	bustest.Await(t, func() bool { return log.contains("messages wait for Kafka") || log.contains("kafka: ") }, "a line that says so")
	port := brokers[0][strings.LastIndex(brokers[0], ":")+1:]
	var number int
	if _, err := fmt.Sscan(port, &number); err != nil {
		t.Fatal(err)
	}
	cluster, err = kfake.NewCluster(kfake.Ports(number), kfake.DataDir(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(bustest.Patience):
		t.Fatal("Publish does not return though the broker is back")
	}
	for i, r := range bustest.Read(t, brokers, topic, 3) {
		if got, want := string(r.Value), fmt.Sprint(i); got != want {
			t.Errorf("record %d is %s, want %s", i, got, want)
		}
	}
	if n := log.lines(); n > 12 {
		t.Errorf("%d lines about one outage", n)
	}
}

func TestCloseEndsAPublishThatWaits(t *testing.T) {
	t.Parallel()
	pub := franzPublisherFor(t, []string{"127.0.0.1:1"}, nil)
	done := make(chan error, 1)
	go func() { done <- pub.Publish("t", keyed("k", "1")) }()
	if err := pub.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if !errors.Is(err, errClosed) {
			t.Errorf("got %v, want errClosed", err)
		}
	case <-time.After(bustest.Patience):
		t.Fatal("Publish does not end with Close")
	}
}

type lockedLog struct {
	mu sync.Mutex
	b  strings.Builder
}

// Write implements io.Writer.
func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) contains(s string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.b.String(), s)
}

func (l *lockedLog) lines() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), "\n")
}

func (l *lockedLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
