package bus

import (
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Reason says why a message is a dead letter.
type Reason string

// The reasons.
const (
	Undecodable    Reason = "undecodable"
	UnknownVersion Reason = "unknown_version"
	Failed         Reason = "failed"
	Panicked       Reason = "panicked"
)

const (
	deadPrefix    = "dead."
	redrivePrefix = "redrive."
	// maxLetter is the largest value in bytes that topics of dead letters take.
	maxLetter = 2 << 20
)

// DeadTopic is where the dead letters of a consumer group are.
func DeadTopic(group string) string { return deadPrefix + group }

// RedriveTopic is where a consumer group, and no other, reads what is redriven.
func RedriveTopic(group string) string { return redrivePrefix + group }

// Headers of a dead letter. The headers of the message itself keep their names.
const (
	headGroup     = "dead_group"
	headTopic     = "dead_topic"
	headPartition = "dead_partition"
	headOffset    = "dead_offset"
	headTimestamp = "dead_timestamp"
	headReason    = "dead_reason"
	headError     = "dead_error"
	headAttempts  = "dead_attempts"
	headFailedAt  = "dead_failed_at"
	headRedrives  = "dead_redrives" // how often it was redriven before
	headLetter    = "dead_letter"   // of a redriven message: the letter it was
)

// newDeadLetter makes the message that is written to the dead letters: the raw
// bytes, the original key and headers, and what happened.
func newDeadLetter(group string, m *message.Message, f *failure, now time.Time) *message.Message {
	letter := message.NewMessage(m.UUID, m.Payload)
	for k, v := range m.Metadata {
		letter.Metadata[k] = v
	}
	text := f.err.Error()
	if len(text) > 4096 {
		text = text[:4096]
	}
	letter.Metadata[headGroup] = group
	letter.Metadata[headReason] = string(f.reason)
	letter.Metadata[headError] = strings.ToValidUTF8(text, "?")
	letter.Metadata[headAttempts] = strconv.Itoa(f.attempts)
	letter.Metadata[headFailedAt] = now.UTC().Format(time.RFC3339Nano)
	if m.Metadata[headTopic] == "" { // a redriven message keeps its first place
		letter.Metadata[headTopic] = m.Metadata[topicMetadata]
		letter.Metadata[headPartition] = m.Metadata[partitionMetadata]
		letter.Metadata[headOffset] = m.Metadata[offsetMetadata]
		letter.Metadata[headTimestamp] = m.Metadata[timestampMetadata]
	}
	delete(letter.Metadata, headLetter)
	return letter
}
