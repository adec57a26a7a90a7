package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
)

// EnsureTopics creates the topics of the contract that are missing. It waits
// for Kafka as long as it takes, and says once that it waits.
func EnsureTopics(ctx context.Context, cfg Config) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	return ensureTopics(ctx, cfg, nil)
}

// deadRetention is how long a dead letter waits for a person.
const deadRetention = 90 * 24 * time.Hour

func ensureTopics(ctx context.Context, cfg Config, groups []string) error {
	topics := events.Topics()
	for _, g := range groups {
		for _, name := range []string{DeadTopic(g), RedriveTopic(g)} {
			topics = append(topics, events.Topic{Name: name, Partitions: 1, Retention: deadRetention, MaxBytes: maxLetter})
		}
	}
	client, err := kgo.NewClient(clientOptions(cfg)...)
	if err != nil {
		return fmt.Errorf("kafka topics: %w", err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	for waiting := false; ; {
		err := createTopics(ctx, admin, topics)
		if err == nil {
			return nil
		}
		if !waiting {
			cfg.Log.InfoContext(ctx, "waiting for Kafka to create topics", "error", err)
			waiting = true
		}
		if !wait(ctx, 500*time.Millisecond) {
			return ctx.Err()
		}
	}
}

func createTopics(ctx context.Context, admin *kadm.Client, topics []events.Topic) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	there, err := admin.ListTopics(ctx)
	if err != nil {
		return err
	}
	brokers, err := admin.ListBrokers(ctx)
	if err != nil {
		return err
	}
	replication := int16(min(3, len(brokers)))
	for _, t := range topics {
		if there.Has(t.Name) {
			continue
		}
		configs := map[string]*string{
			"retention.ms":      kadm.StringPtr(strconv.FormatInt(t.Retention.Milliseconds(), 10)),
			"max.message.bytes": kadm.StringPtr(strconv.Itoa(t.MaxBytes)),
		}
		if replication == 3 {
			configs["min.insync.replicas"] = kadm.StringPtr("2")
		}
		if _, err := admin.CreateTopic(ctx, t.Partitions, replication, configs, t.Name); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return fmt.Errorf("create topic %s: %w", t.Name, err)
		}
	}
	return nil
}
