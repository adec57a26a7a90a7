package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/fault"
)

// Reason says why a message is a dead letter.
type Reason string

// The reasons.
const (
	Undecodable    Reason = "undecodable"
	UnknownVersion Reason = "unknown_version"
	Failed         Reason = "failed"
	Panicked       Reason = "panicked"
	Waits          Reason = "waits" // behind another letter of its key
)

const (
	deadPrefix    = "dead."
	redrivePrefix = "redrive."
)

// DeadTopic is where the dead letters of a consumer group are.
func DeadTopic(group string) string { return deadPrefix + group }

// RedriveTopic is where a consumer group, and no other, reads what is redriven.
func RedriveTopic(group string) string { return redrivePrefix + group }

// Headers of a dead letter. The message's own headers are there too, each under
// its name with ownPrefix before it, so that they can be put back.
const (
	headGroup    = "dead_group"
	headReason   = "dead_reason"
	headError    = "dead_error"
	headHandler  = "dead_handler" // the consumer's name
	headAttempts = "dead_attempts"
	headFailedAt = "dead_failed_at"
	headCut      = "dead_cut" // the value's true size, when it was too large for a letter
	ownPrefix    = "own_"
)

// place says where a message was first read. It is written to a dead letter and,
// by the redrive, to the message that goes back, and from there to the next
// dead letter: a message keeps its first place however often it comes back.
type place struct {
	topic     string
	partition int32
	offset    int64
	timestamp string // RFC 3339
	redrives  int    // how often it has gone back
}

// Headers of a place, after the prefix deadPlace or redrivenPlace. The latter
// counts only on a redrive topic: elsewhere anybody may have written it.
const (
	deadPlace     = "dead_"
	redrivenPlace = "redrive_"
	headTopic     = "topic"
	headPartition = "partition"
	headOffset    = "offset"
	headTimestamp = "timestamp"
	headRedrives  = "redrives"
	// headSettled is in the redrive topic of what left its line without having
	// been redriven: there is nothing to be handled.
	headSettled = redrivenPlace + "settled"
	// headDiscarded is in the redrive topic of what a person has given up for good: it
	// is not handled, and its line goes on without it.
	headDiscarded = redrivenPlace + "discarded"
)

func (p place) write(prefix string, set func(name, value string)) {
	set(prefix+headTopic, p.topic)
	set(prefix+headPartition, strconv.Itoa(int(p.partition)))
	set(prefix+headOffset, strconv.FormatInt(p.offset, 10))
	set(prefix+headTimestamp, p.timestamp)
	set(prefix+headRedrives, strconv.Itoa(p.redrives))
}

func readPlace(prefix string, headers map[string]string) place {
	partition, _ := strconv.ParseInt(headers[prefix+headPartition], 10, 32)
	offset, _ := strconv.ParseInt(headers[prefix+headOffset], 10, 64)
	redrives, _ := strconv.Atoi(headers[prefix+headRedrives])
	return place{
		topic: headers[prefix+headTopic], partition: int32(partition), offset: offset,
		timestamp: headers[prefix+headTimestamp], redrives: redrives,
	}
}

// placeOf is where a message was first read.
func placeOf(m *message.Message) place {
	if isRedriven(m) {
		if p := readPlace(redrivenPlace, m.Metadata); p.topic != "" {
			return p
		}
	}
	partition, _ := strconv.ParseInt(m.Metadata[partitionMetadata], 10, 32) // our own
	offset, _ := strconv.ParseInt(m.Metadata[offsetMetadata], 10, 64)
	return place{topic: m.Metadata[topicMetadata], partition: int32(partition), offset: offset, timestamp: m.Metadata[timestampMetadata]}
}

// identity names a message by its group and first place.
type identity struct {
	group, topic string
	partition    int32
	offset       int64
}

func (p place) identity(group string) identity {
	return identity{group, p.topic, p.partition, p.offset}
}

func isRedriven(m *message.Message) bool {
	return strings.HasPrefix(m.Metadata[topicMetadata], redrivePrefix)
}

func isSettled(m *message.Message) bool { return isRedriven(m) && m.Metadata[headSettled] != "" }

func isDiscarded(m *message.Message) bool { return isRedriven(m) && m.Metadata[headDiscarded] != "" }

func sourceOf(m *message.Message) events.Source {
	p := placeOf(m)
	return events.Source{Topic: p.topic, Partition: p.partition, Offset: p.offset}
}

// errorMax keeps a handler's error from outgrowing the letter.
const errorMax = 4096

// newDeadLetter makes the record that is written to the dead letters: the raw
// bytes, the original key and headers, and what happened.
func newDeadLetter(group, handler string, m *message.Message, f *failure, now time.Time) *kgo.Record {
	letter := &kgo.Record{Topic: DeadTopic(group), Value: m.Payload}
	set := func(name, value string) {
		letter.Headers = append(letter.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	if key, ok := m.Metadata[KeyMetadata]; ok {
		letter.Key = []byte(key)
	}
	for k, v := range ownHeaders(m) {
		set(ownPrefix+k, v)
	}
	text := f.err.Error()
	if len(text) > errorMax {
		text = text[:errorMax]
	}
	set(headGroup, group)
	set(headHandler, handler)
	set(headReason, string(f.reason))
	set(headError, strings.ToValidUTF8(text, "\uFFFD"))
	set(headAttempts, strconv.Itoa(f.attempts))
	set(headFailedAt, now.UTC().Format(time.RFC3339Nano))
	placeOf(m).write(deadPlace, set)
	return letter
}

// cut makes a letter that fits: the value's beginning, without the message's own
// headers.
func cut(letter *kgo.Record) *kgo.Record {
	out := &kgo.Record{Topic: letter.Topic, Value: letter.Value[:min(len(letter.Value), maxLetter/2)]}
	if len(letter.Key) < maxLetter/4 {
		out.Key = letter.Key
	}
	for _, h := range letter.Headers {
		if !strings.HasPrefix(h.Key, ownPrefix) {
			out.Headers = append(out.Headers, h)
		}
	}
	out.Headers = append(out.Headers, kgo.RecordHeader{Key: headCut, Value: []byte(strconv.Itoa(len(letter.Value)))})
	return out
}

// bury writes a message to the dead letters and returns when Kafka has it. An
// error means that it has not: the message is not done with.
func (r *router) bury(ctx context.Context, m *message.Message, f *failure) error {
	// The producer retries for ever; that ends with the message or the router.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.stopping, func() {
		// In reach of a broker it takes milliseconds: let it finish.
		time.AfterFunc(finishFor, cancel)
	})()
	if err := r.park(ctx, m, f); err != nil {
		return err
	}
	if err := r.cfg.Faults.At(ctx, fault.DeadLetterBefore, r.group, m.Metadata[KeyMetadata]); err != nil {
		return err
	}
	letter := newDeadLetter(r.group, r.consumer.name, m, f, time.Now())
	from := placeOf(m)
	err := r.letters.produce(ctx, []*kgo.Record{letter})
	var refused *RefusedError
	if errors.As(err, &refused) {
		// Only a record that was compressed on its way here can be so large. It
		// must not block its partition for ever, and its place is known.
		r.log.ErrorContext(ctx, "dead letter does not fit and is cut; the whole message is at its place as long as its topic keeps it", "error", err)
		err = r.letters.produce(ctx, []*kgo.Record{cut(letter)})
	}
	if err != nil {
		return fmt.Errorf("dead letter of %s/%d/%d not written: %w", from.topic, from.partition, from.offset, err)
	}
	level, what := slog.LevelError, "message is a dead letter"
	if f.reason == Waits {
		level, what = slog.LevelWarn, "message waits behind a dead letter of its key"
	}
	r.log.Log(ctx, level, what, "topic", from.topic, "partition", from.partition, "offset", from.offset,
		"reason", f.reason, "attempts", f.attempts, "error", f.err)
	return r.cfg.Faults.At(ctx, fault.DeadLetterAfter, r.group, m.Metadata[KeyMetadata])
}
