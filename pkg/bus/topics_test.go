package bus

import (
	"context"
	"strconv"
	"testing"

	"github.com/cartwheel-shop/cartwheel/pkg/bus/bustest"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
)

func TestTopicsAreMadeOnceAsTheContractSays(t *testing.T) {
	t.Parallel()
	cfg := Config{Brokers: bustest.Brokers(t), Service: bustest.Unique("svc"), Log: testLog(t)}
	group := cfg.Service + ".c"
	for range 2 { // the second time changes nothing
		if err := ensureTopics(t.Context(), mustDefaults(t, cfg), []string{group}); err != nil {
			t.Fatal(err)
		}
	}
	admin, err := NewAdmin(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	want := append(events.Topics(),
		events.Topic{Name: DeadTopic(group), Partitions: 1, MaxBytes: 2 << 20, Retention: deadRetention},
		events.Topic{Name: RedriveTopic(group), Partitions: 1, MaxBytes: 2 << 20, Retention: deadRetention})
	for _, topic := range want {
		details, err := admin.admin.ListTopics(t.Context(), topic.Name)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(details[topic.Name].Partitions); got != int(topic.Partitions) {
			t.Errorf("%s has %d partitions, want %d", topic.Name, got, topic.Partitions)
		}
		configs, err := admin.admin.DescribeTopicConfigs(t.Context(), topic.Name)
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]string{}
		for _, c := range configs[0].Configs {
			found[c.Key] = c.MaybeValue()
		}
		if found["max.message.bytes"] != strconv.Itoa(topic.MaxBytes) || found["retention.ms"] != strconv.FormatInt(topic.Retention.Milliseconds(), 10) {
			t.Errorf("%s has %s bytes and retention %s, want %d and %d ms", topic.Name, found["max.message.bytes"], found["retention.ms"], topic.MaxBytes, topic.Retention.Milliseconds())
		}
	}
}

func TestEnsureTopicsEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := EnsureTopics(ctx, Config{Brokers: []string{"127.0.0.1:1"}}); err == nil {
		t.Error("no error, though there is no Kafka")
	}
}

func TestAFactFitsItsTopic(t *testing.T) {
	t.Parallel()
	for _, topic := range events.Topics() {
		if topic.MaxBytes != maxFact {
			t.Errorf("%s takes batches of %d bytes, and the publisher sends up to %d", topic.Name, topic.MaxBytes, maxFact)
		}
	}
}
