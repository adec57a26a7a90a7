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

// EnsureTopics creates the topics of the contract that are missing, and those of
// the consumers' dead letters and redrives; topics that are there stay as they
// are. It waits for Kafka as long as it takes, and says so.
func EnsureTopics(ctx context.Context, cfg Config, consumers ...Consumer) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	return ensureTopics(ctx, cfg, groupsOf(cfg, consumers))
}

func groupsOf(cfg Config, consumers []Consumer) []string {
	groups := make([]string, len(consumers))
	for i, c := range consumers {
		groups[i] = cfg.Service + "." + c.name
	}
	return groups
}

// deadRetention is how long a dead letter waits for a person.
const deadRetention = 90 * 24 * time.Hour

// ensureTopics also creates the dead letters and redrives of groups. They have
// one partition each, so that letters have one order.
func ensureTopics(ctx context.Context, cfg Config, groups []string) error {
	topics := events.Topics()
	for _, g := range groups {
		for _, name := range []string{DeadTopic(g), RedriveTopic(g)} {
			topics = append(topics, events.Topic{Name: name, Partitions: 1, Retention: deadRetention, MaxBytes: maxLetter})
		}
	}
	return patiently(ctx, cfg, "to create topics", func(ctx context.Context, admin *kadm.Client) error {
		return createTopics(ctx, cfg, admin, topics)
	})
}

func createTopics(ctx context.Context, cfg Config, admin *kadm.Client, topics []events.Topic) error {
	there, err := admin.ListTopics(ctx)
	if err != nil {
		return err
	}
	brokers, err := admin.ListBrokers(ctx)
	if err != nil {
		return err
	}
	replication := int16(min(3, len(brokers)))
	var made []string
	for _, t := range topics {
		if there.Has(t.Name) {
			if n := len(there[t.Name].Partitions); n > 0 && n != int(t.Partitions) {
				cfg.Log.WarnContext(ctx, "topic has another number of partitions than it should: it stays so, because keys would move", "topic", t.Name, "partitions", n, "should", t.Partitions)
			}
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
		made = append(made, t.Name)
	}
	return awaitLeaders(ctx, admin, made)
}

// awaitLeaders returns when topics are there for every client: Kafka answers
// that a topic is created before its brokers know of it.
func awaitLeaders(ctx context.Context, admin *kadm.Client, topics []string) error {
	for len(topics) > 0 {
		there, err := admin.ListTopics(ctx, topics...)
		if err == nil {
			err = errors.Join(there.Error(), leaderless(there))
		}
		if err == nil {
			return nil
		}
		if !wait(ctx, 50*time.Millisecond) {
			return err
		}
	}
	return nil
}

func leaderless(topics kadm.TopicDetails) error {
	for name, topic := range topics {
		for _, p := range topic.Partitions {
			if p.Err != nil || p.Leader < 0 {
				return fmt.Errorf("partition %d of topic %s has no leader yet", p.Partition, name)
			}
		}
	}
	return nil
}

const (
	patienceTry = 20 * time.Second       // for one try
	patienceMin = 250 * time.Millisecond // between tries
	patienceMax = 2 * time.Second
	patienceLog = 15 * time.Second // between two lines that say the same
)

// patiently does something with Kafka until it succeeds or ctx ends. It says
// what it waits for, and why, rarely.
func patiently(ctx context.Context, cfg Config, what string, do func(context.Context, *kadm.Client) error) error {
	return withAdmin(cfg, func(cfg Config, admin *kadm.Client) error {
		rare := &rareLog{every: patienceLog}
		for pause := patienceMin; ; pause = min(2*pause, patienceMax) {
			try, cancel := context.WithTimeout(ctx, patienceTry)
			err := do(try, admin)
			cancel()
			if err == nil {
				return nil
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if rare.allow(time.Now()) {
				cfg.Log.WarnContext(ctx, "waiting for Kafka "+what, "brokers", cfg.Brokers, "error", err)
			}
			if !wait(ctx, pause) {
				return ctx.Err()
			}
		}
	})
}

// withAdmin lends a client for administration.
func withAdmin(cfg Config, do func(Config, *kadm.Client) error) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(clientOptions(cfg)...)
	if err != nil {
		return fmt.Errorf("kafka client: %w", err)
	}
	defer client.Close()
	return do(cfg, kadm.NewClient(client))
}
