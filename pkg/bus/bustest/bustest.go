// Package bustest helps to test what speaks Kafka: a broker in the test's own
// process, records written and read without a group, and waiting for conditions
// instead of for time.
package bustest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
)

// Patience is how long anything here is waited for.
const Patience = 2 * time.Minute

// Brokers returns the addresses of a Kafka: those of KAFKA_BROKERS, where other
// tests leave their records too, or those of a new, empty one that ends with
// the test.
func Brokers(t testing.TB) []string {
	t.Helper()
	if env := os.Getenv("KAFKA_BROKERS"); env != "" {
		return strings.Split(env, ",")
	}
	return Fake(t).ListenAddrs()
}

// Fake returns a new broker in this process, for tests that make it misbehave.
func Fake(t testing.TB, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster
}

// Unique returns a name that no other test uses, for topics and groups on a
// broker that tests share.
func Unique(prefix string) string { return prefix + "-" + events.NewEventID()[24:] }

// Topic creates a topic with some partitions and returns its unique name.
func Topic(t testing.TB, brokers []string, prefix string, partitions int32) string {
	t.Helper()
	name := Unique(prefix)
	admin := kadm.NewClient(client(t, brokers))
	bytes := strconv.Itoa(1<<20 + 1<<16)
	if _, err := admin.CreateTopic(t.Context(), partitions, 1, map[string]*string{"max.message.bytes": &bytes}, name); err != nil {
		t.Fatalf("create topic %s: %v", name, err)
	}
	Await(t, func() bool { // Kafka's brokers learn of it a little later
		topics, err := admin.ListTopics(t.Context(), name)
		if err != nil || topics.Error() != nil {
			return false
		}
		for _, p := range topics[name].Partitions {
			if p.Leader < 0 {
				return false
			}
		}
		return len(topics[name].Partitions) == int(partitions)
	}, "topic %s to be there", name)
	return name
}

func client(t testing.TB, brokers []string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(brokers...), kgo.MetadataMinAge(100 * time.Millisecond), kgo.UnknownTopicRetries(-1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// Write produces records, in their order.
func Write(t testing.TB, brokers []string, records ...*kgo.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	if err := client(t, brokers).ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatalf("produce: %v", err)
	}
}

// Read returns n records of a topic, from its start. It fails the test when
// there are not so many in time.
func Read(t testing.TB, brokers []string, topic string, n int) []*kgo.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	cl := client(t, brokers, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	var out []*kgo.Record
	for len(out) < n {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("topic %s has %d records, want %d", topic, len(out), n)
		}
		out = append(out, fetches.Records()...)
	}
	return out
}

// Event encodes a fact as it stands in Kafka.
func Event(t testing.TB, p events.Payload, aggregateVersion int64) events.Envelope {
	t.Helper()
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return events.Envelope{
		Type: events.Type(p), ID: events.NewEventID(), Timestamp: time.Now().UTC(), Version: strconv.Itoa(p.EventVersion()) + ".0", Data: data,
		Metadata: events.Metadata{Producer: "test", CorrelationID: p.AggregateID(), AggregateID: p.AggregateID(), AggregateVersion: aggregateVersion},
	}
}

// Record makes the record of a fact, with its key and the headers that the
// outbox gives it.
func Record(t testing.TB, topic string, env events.Envelope) *kgo.Record {
	t.Helper()
	raw, err := json.Marshal(env)
	if err != nil {
		t.Fatal(err)
	}
	return &kgo.Record{Topic: topic, Key: []byte(env.Metadata.AggregateID), Value: raw, Headers: []kgo.RecordHeader{
		{Key: "ce_id", Value: []byte(env.ID)}, {Key: "ce_type", Value: []byte(env.Type)}, {Key: "content-type", Value: []byte("application/json")},
	}}
}

// Await waits until cond holds and fails the test when it does not in time.
// The description says what was waited for.
func Await(t testing.TB, cond func() bool, format string, args ...any) {
	t.Helper()
	deadline := time.After(Patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited %s in vain for: %s", Patience, fmt.Sprintf(format, args...))
		}
	}
}
