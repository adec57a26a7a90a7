package outbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/ThreeDotsLabs/watermill/message"
)

// KeyMetadata is the message metadata that becomes the Kafka key.
const KeyMetadata = "partition_key"

// Message is a fact on its way to a topic.
type Message struct {
	Key     []byte
	Headers []Header
	Payload []byte
}

// Header is a header of a message.
type Header struct {
	Name  string
	Value []byte
}

// ErrRefused is the error, or in the chain of the error, of a message that Kafka
// can never take. Any other error of a publisher is about now.
var ErrRefused = errors.New("refused for good")

// AsyncPublisher is what a publisher may offer beyond Watermill's interface: to
// take messages while earlier ones are under way. The relay then reads, sends and
// waits at the same time.
type AsyncPublisher interface {
	message.Publisher
	// PublishAsync takes messages and returns. For each of them it calls answered
	// once, from any goroutine, perhaps before it returns: with nil when Kafka has
	// it, with an error when Kafka does not. Messages of a key arrive in the order
	// in which they were handed over; when one fails, those of its key that were
	// handed over before answered has returned do not arrive either. It never waits
	// for an answer.
	PublishAsync(topic string, messages []Message, answered func(i int, err error))
}

// Header returns the value of a header, or "".
func (m *Message) Header(name string) string {
	for _, h := range m.Headers {
		if h.Name == name {
			return string(h.Value)
		}
	}
	return ""
}

// watermill returns the message as Watermill's publishers take it.
func (m *Message) watermill() *message.Message {
	out := message.NewMessage(m.Header("ce_id"), m.Payload)
	for _, h := range m.Headers {
		out.Metadata[h.Name] = string(h.Value)
	}
	out.Metadata[KeyMetadata] = string(m.Key)
	return out
}

// headerReader reads headers from their column. Names are few and come again
// with every row, so they are kept.
type headerReader struct{ names map[string]string }

// read appends the headers in raw, a JSON object of strings, to list. Values lie
// in raw, as they mostly do there without an escape.
func (r *headerReader) read(list []Header, raw []byte) ([]Header, error) {
	rest, plain := bytes.TrimSpace(raw), true
	next := func(open string) (text []byte) {
		var found bool
		if rest, found = bytes.CutPrefix(rest, []byte(open)); !found {
			plain = false
			return nil
		}
		end := bytes.IndexByte(rest, '"')
		if end < 0 {
			plain = false
			return nil
		}
		text, rest = rest[:end], rest[end+1:]
		return text
	}
	if bytes.IndexByte(rest, '\\') >= 0 {
		return r.decode(list, raw)
	}
	if string(rest) == "{}" {
		return list, nil
	}
	// As jsonb is printed: {"a": "b", "c": "d"}.
	out := list
	for open := `{"`; plain && string(rest) != "}"; open = `, "` {
		name := next(open)
		value := next(`: "`)
		out = append(out, Header{r.name(name), value})
	}
	if !plain {
		return r.decode(list, raw)
	}
	return out, nil
}

func (r *headerReader) name(raw []byte) string {
	if name, ok := r.names[string(raw)]; ok {
		return name
	}
	const most = 1000 // that somebody makes names up must not fill the memory
	if r.names == nil || len(r.names) > most {
		r.names = map[string]string{}
	}
	name := string(raw)
	r.names[name] = name
	return name
}

// decode reads any JSON object of strings.
func (r *headerReader) decode(list []Header, raw []byte) ([]Header, error) {
	var object map[string]string
	if err := json.Unmarshal(raw, &object); err != nil {
		return nil, fmt.Errorf("headers %.100q: %w", raw, err)
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		list = append(list, Header{name, []byte(object[name])})
	}
	return list, nil
}
