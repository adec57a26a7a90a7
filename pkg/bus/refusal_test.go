package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/cartwheel-shop/cartwheel/pkg/bus/bustest"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
)

// troubles is what was counted, as "operation topic cause".
func troubles(t *testing.T, reader sdkmetric.Reader) map[string]int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	out := map[string]int64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			sum, ok := m.Data.(metricdata.Sum[int64])
			if m.Name != "bus.kafka.trouble" || !ok {
				continue
			}
			for _, p := range sum.DataPoints {
				operation, _ := p.Attributes.Value("operation")
				topic, _ := p.Attributes.Value("topic")
				cause, _ := p.Attributes.Value("cause")
				out[operation.AsString()+" "+topic.AsString()+" "+cause.AsString()] += p.Value
			}
		}
	}
	return out
}

// refused is a shop whose log and metrics are looked at.
func refused(t *testing.T, cluster *kfake.Cluster) (*shop, *lockedLog, sdkmetric.Reader) {
	t.Helper()
	s := newShopAt(t, cluster.ListenAddrs(), 1)
	log, reader := &lockedLog{}, sdkmetric.NewManualReader()
	s.cfg.Log = slog.New(minLevel{slog.NewTextHandler(log, nil), slog.LevelWarn})
	s.cfg.Metrics = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	return s, log, reader
}

func wantFewLines(t *testing.T, log *lockedLog, most int) {
	t.Helper()
	if n := log.lines(); n < 1 || n > most {
		t.Errorf("%d lines about one trouble, want 1 to %d", n, most)
	}
}

// What an ACL refuses to publish, or too few replicas to take, is counted and said
// once, sent again until it is taken, and other topics go on.
func TestATopicThatTakesNothingForNow(t *testing.T) {
	t.Parallel()
	for _, why := range []*kerr.Error{kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed} {
		t.Run(why.Message, func(t *testing.T) {
			t.Parallel()
			cluster := bustest.Fake(t)
			s, log, reader := refused(t, cluster)
			other := bustest.Topic(t, s.brokers, "other", 1)
			var closed atomic.Bool
			closed.Store(true)
			cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
				cluster.KeepControl()
				p := req.(*kmsg.ProduceRequest)
				for _, topic := range p.Topics {
					if closed.Load() && (topic.Topic == s.topic || topic.TopicID == cluster.TopicInfo(s.topic).TopicID) {
						return refuseProduce(p, why), nil, true
					}
				}
				return nil, nil, false
			})
			pub, err := NewPublisher(s.cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer pub.Close()
			done := make(chan error, 1)
			go func() { done <- pub.Publish(s.topic, keyed("k", "1"), keyed("k", "2")) }()
			bustest.Await(t, func() bool { return troubles(t, reader)["publish "+s.topic+" "+why.Message] >= 2 }, "it to be refused and counted twice")
			if err := pub.Publish(other, keyed("k", "1")); err != nil {
				t.Fatal(err)
			}
			closed.Store(false)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if !log.contains(why.Message) {
				t.Error("the log does not say why")
			}
			wantFewLines(t, log, 10)
		})
	}
}

// Too few replicas in sync: the cause is named.
func TestTooFewReplicasAreNamed(t *testing.T) {
	t.Parallel()
	brokers := bustest.Brokers(t)
	pub, err := newFranzPublisher(mustDefaults(t, Config{Brokers: brokers, Service: "pub"}))
	if err != nil {
		t.Fatal(err)
	}
	defer pub.Close()
	topic := bustest.Topic(t, brokers, "replicas", 1)
	set := func(n string) {
		t.Helper()
		answers, err := pub.producer.admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "min.insync.replicas", Value: &n}}, topic)
		if err != nil || len(answers) != 1 || answers[0].Err != nil {
			t.Fatalf("%+v, %v", answers, err)
		}
	}
	set("2")
	bustest.Await(t, func() bool {
		return strings.Contains(pub.producer.diagnose(t.Context(), topic), "1 replicas in sync, and min.insync.replicas is 2")
	}, "the cause to be found")
	done := make(chan error, 1)
	go func() { done <- pub.Publish(topic, keyed("k", "1")) }()
	set("1")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// A group that an ACL keeps out is said and counted, the other goes on, and it
// begins when it may.
func TestAGroupThatIsKeptOut(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"each", "batch"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			cluster := bustest.Fake(t)
			s, log, reader := refused(t, cluster)
			db := database(t)
			var closed atomic.Bool
			closed.Store(true)
			cluster.ControlKey(int16(kmsg.JoinGroup), func(req kmsg.Request) (kmsg.Response, error, bool) {
				cluster.KeepControl()
				if join := req.(*kmsg.JoinGroupRequest); closed.Load() && join.Group == s.group("c") {
					resp := join.ResponseKind().(*kmsg.JoinGroupResponse)
					resp.ErrorCode = kerr.GroupAuthorizationFailed.Code
					return resp, nil, true
				}
				return nil, nil, false
			})
			var kept, other recorder
			s.write(order(t, "ord_0", 1))
			c := kinds(db, func(_ context.Context, m events.Metadata) error { kept.add(m); return nil })[kind]
			s.run(c, Each("other", On(func(_ context.Context, e confirmed) error { other.add(e.Metadata); return nil })))
			bustest.Await(t, func() bool { return other.count() == 1 }, "the other group to go on")
			bustest.Await(t, func() bool {
				return troubles(t, reader)["fetch  "+kerr.GroupAuthorizationFailed.Message] > 0
			}, "it to be counted")
			if kept.count() != 0 {
				t.Error("handled without being let in")
			}
			closed.Store(false)
			bustest.Await(t, func() bool { return kept.count() == 1 }, "it to begin")
			if !log.contains("GROUP_AUTHORIZATION_FAILED") {
				t.Error("the log does not say why")
			}
			wantFewLines(t, log, 10)
		})
	}
}

// A topic that goes away while it is consumed: other topics go on, and so does
// this one when it is made anew.
func TestATopicThatGoesAway(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"each", "batch"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			topicGoesAway(t, kind)
		})
	}
}

func topicGoesAway(t *testing.T, kind string) {
	s, db := newShop(t, 1), database(t)
	second := bustest.Topic(t, s.brokers, "second", 1)
	var got recorder
	c := kinds(db, func(_ context.Context, m events.Metadata) error { got.add(m); return nil })[kind]
	c.topics = []string{s.topic, second}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, s.cfg, []Consumer{c}) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	s.write(order(t, "ord_0", 1))
	bustest.Await(t, func() bool { return got.count() == 1 }, "the first event")
	admin := s.admin().admin
	if _, err := admin.DeleteTopic(t.Context(), s.topic); err != nil {
		t.Fatal(err)
	}
	bustest.Write(t, s.brokers, bustest.Record(t, second, order(t, "ord_1", 1)))
	bustest.Await(t, func() bool { return got.count() == 2 }, "the other topic to go on")
	bustest.Await(t, func() bool {
		_, err := admin.CreateTopic(t.Context(), 1, 1, nil, s.topic)
		return err == nil
	}, "the topic to be made anew")
	s.write(order(t, "ord_0", 2))
	bustest.Await(t, func() bool { return got.count() == 3 }, "it to go on")
}

// A broker that is too old is waited for, and said so: it may be replaced.
func TestABrokerThatIsTooOld(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DataDir(dir), kfake.MaxVersions(kversion.V0_10_0()))
	if err != nil {
		t.Fatal(err)
	}
	brokers := old.ListenAddrs()
	var log lockedLog
	cfg := Config{Brokers: brokers, Service: bustest.Unique("svc"), Log: slog.New(slog.NewTextHandler(&log, nil))}
	var got recorder
	c := Each("c", On(func(_ context.Context, e confirmed) error { got.add(e.Metadata); return nil }))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, cfg, []Consumer{c}) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	bustest.Await(t, func() bool { return log.contains("waiting for Kafka") }, "a line that says so")
	if !log.contains("too old") && !log.contains("version") {
		t.Errorf("the log does not say why: %s", log.text())
	}
	old.Close()
	var port int
	if _, err := fmt.Sscan(brokers[0][strings.LastIndex(brokers[0], ":")+1:], &port); err != nil {
		t.Fatal(err)
	}
	young, err := kfake.NewCluster(kfake.Ports(port), kfake.DataDir(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer young.Close()
	bustest.Await(t, func() bool {
		return bustestWrite(t, brokers, c.topics[0]) == nil
	}, "the topics to be made")
	bustest.Await(t, func() bool { return got.count() > 0 }, "an event")
	wantFewLines(t, &log, 8)
}

// bustestWrite writes an event to a topic that may not be there yet.
func bustestWrite(t *testing.T, brokers []string, topic string) error {
	admin, err := NewAdmin(Config{Brokers: brokers})
	if err != nil {
		return err
	}
	defer admin.Close()
	topics, err := admin.admin.ListTopics(t.Context(), topic)
	if err := errors.Join(err, topics.Error()); err != nil {
		return err
	}
	bustest.Write(t, brokers, bustest.Record(t, topic, order(t, "ord_0", 1)))
	return nil
}
