package bus

import (
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Metadata of a message that was read from Kafka: where it was read. It is not
// written back when such a message is published.
const (
	topicMetadata     = "kafka_topic"
	partitionMetadata = "kafka_partition"
	offsetMetadata    = "kafka_offset"
	timestampMetadata = "kafka_timestamp"
)

// Headers that hold a message's UUID: facts have a CloudEvents id, other
// messages have what stock watermill-kafka writes.
const (
	idHeader        = "ce_id"
	typeHeader      = "ce_type"
	watermillHeader = "_watermill_message_uuid"
)

// recordsOf turns messages into Kafka records: the key from their metadata, all
// other metadata as headers. It takes few allocations, whose memory is free when
// all of the records are.
func recordsOf(topic string, messages []*message.Message) []*kgo.Record {
	headers, size := 0, 0
	for _, m := range messages {
		headers += len(m.Metadata) + 1
		size += len(m.UUID)
		for _, v := range m.Metadata {
			size += len(v)
		}
	}
	values, list := make([]byte, 0, size), make([]kgo.RecordHeader, 0, headers)
	bytesOf := func(s string) []byte {
		from := len(values)
		values = append(values, s...)
		return values[from:len(values):len(values)]
	}
	all, records := make([]kgo.Record, len(messages)), make([]*kgo.Record, len(messages))
	for i, m := range messages {
		r, from := &all[i], len(list)
		r.Topic, r.Value = topic, m.Payload
		for k, v := range m.Metadata {
			switch k {
			case KeyMetadata:
				r.Key = bytesOf(v)
			case topicMetadata, partitionMetadata, offsetMetadata, timestampMetadata, watermillHeader:
			default:
				list = append(list, kgo.RecordHeader{Key: k, Value: bytesOf(v)})
			}
		}
		if m.Metadata[idHeader] == "" && m.UUID != "" {
			list = append(list, kgo.RecordHeader{Key: watermillHeader, Value: bytesOf(m.UUID)})
		}
		r.Headers, records[i] = list[from:len(list):len(list)], r
	}
	return records
}

// newMessage turns a Kafka record into a message: headers, key and place as
// metadata. It takes any record; a record without a key has no key metadata.
func newMessage(r *kgo.Record) *message.Message {
	metadata := make(message.Metadata, len(r.Headers)+5)
	for _, h := range r.Headers {
		metadata[h.Key] = string(h.Value)
	}
	delete(metadata, KeyMetadata) // a foreign header of that name is not the key
	if r.Key != nil {
		metadata[KeyMetadata] = string(r.Key)
	}
	metadata[topicMetadata] = r.Topic
	metadata[partitionMetadata] = strconv.Itoa(int(r.Partition))
	metadata[offsetMetadata] = strconv.FormatInt(r.Offset, 10)
	metadata[timestampMetadata] = r.Timestamp.UTC().Format(time.RFC3339Nano)
	m := message.NewMessage(messageID(r), r.Value)
	m.Metadata = metadata
	return m
}

// messageID is the id that a record says it has, or "".
func messageID(r *kgo.Record) string {
	id := ""
	for _, h := range r.Headers {
		switch {
		case h.Key == idHeader && len(h.Value) > 0:
			return string(h.Value)
		case h.Key == watermillHeader:
			id = string(h.Value)
		}
	}
	return id
}

// recordSize is what a record takes at most in a batch of its own.
func recordSize(r *kgo.Record) int {
	const batch, fixed, header = 61, 32, 10 // bytes of framing
	n := batch + fixed + len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += header + len(h.Key) + len(h.Value)
	}
	return n
}
