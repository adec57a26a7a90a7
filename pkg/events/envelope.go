package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Payload is the typed body of an event.
type Payload interface {
	EventName() string   // the type without its version: "order.created"
	EventVersion() int   // the version of this Go type
	AggregateID() string // the Kafka key
}

// Type is a payload's full type, "order.created.v2".
func Type(p Payload) string { return p.EventName() + ".v" + strconv.Itoa(p.EventVersion()) }

// Metadata says where an event comes from and what it belongs to.
type Metadata struct {
	Producer         string `json:"producer"`       // the service that published it
	TraceID          string `json:"trace_id"`       // W3C trace id, 32 hex digits; empty when not traced
	CorrelationID    string `json:"correlation_id"` // the order on whose way it happened, where there is one
	CausationID      string `json:"causation_id"`   // the event that led to it; empty for a first cause
	AggregateID      string `json:"aggregate_id"`   // the key
	AggregateVersion int64  `json:"aggregate_version"`
}

// Envelope is an event as it stands in Kafka, its body not yet decoded.
type Envelope struct {
	Type      string          `json:"event_type"`
	ID        string          `json:"event_id"`
	Timestamp time.Time       `json:"timestamp"`
	Version   string          `json:"version"`
	Data      json.RawMessage `json:"data"`
	Metadata  Metadata        `json:"metadata"`

	Source Source `json:"-"` // where it was read; zero before that
}

// Source is the place of a record in Kafka.
type Source struct {
	Topic     string
	Partition int32
	Offset    int64
}

// Of is a decoded event, lifted to T's version.
type Of[T Payload] struct {
	ID        string
	Type      string // as published, before upcasting
	Timestamp time.Time
	Metadata  Metadata
	Data      T
	Source    Source
}

// ErrUndecodable says that bytes are not an event of the contract. They go to
// the dead letters: no retry makes them decodable.
var ErrUndecodable = errors.New("undecodable event")

// UnknownType is an event of a name that this build has never heard of: skip it
// and count it.
type UnknownType struct{ Type string }

func (e *UnknownType) Error() string { return "unknown event type " + e.Type }

// UnknownVersion is a known event in a version that this build cannot read. It
// goes to the dead letters, from where a newer build takes it.
type UnknownVersion struct {
	Type   string
	Newest int // the newest version that this build reads
}

func (e *UnknownVersion) Error() string {
	return fmt.Sprintf("event type %s is not known here: the newest version this build reads is v%d", e.Type, e.Newest)
}

var typePattern = regexp.MustCompile(`^([a-z][a-z0-9_]*\.[a-z][a-z0-9_]*)\.v([1-9][0-9]*)$`)

// ParseType splits "order.created.v2" into its name and version.
func ParseType(s string) (name string, version int, err error) {
	if r, ok := byType[s]; ok {
		return r.payload.EventName(), r.payload.EventVersion(), nil
	}
	m := typePattern.FindStringSubmatch(s)
	if m == nil {
		return "", 0, fmt.Errorf("%w: event_type %.80q is not entity.action.vN", ErrUndecodable, s)
	}
	version, err = strconv.Atoi(m[2])
	if err != nil {
		return "", 0, fmt.Errorf("%w: event_type %.80q: %w", ErrUndecodable, s, err)
	}
	return m[1], version, nil
}

// Decode reads an envelope. Its error is ErrUndecodable, *UnknownType or
// *UnknownVersion; the body itself is decoded by As.
func Decode(raw []byte) (Envelope, error) {
	var env Envelope
	if err := json.Unmarshal(raw, &env); err != nil {
		return env, fmt.Errorf("%w: %w", ErrUndecodable, err)
	}
	name, version, err := ParseType(env.Type)
	if err != nil {
		return env, err
	}
	known, ok := newest[name]
	if !ok {
		return env, &UnknownType{env.Type}
	}
	if version > known {
		return env, &UnknownVersion{Type: env.Type, Newest: known}
	}
	if want := strconv.Itoa(version) + ".0"; env.Version != want {
		return env, fmt.Errorf("%w: version is %q, and event_type %s needs %q", ErrUndecodable, env.Version, env.Type, want)
	}
	switch {
	case env.ID == "":
		return env, fmt.Errorf("%w: event_id is missing", ErrUndecodable)
	case env.Timestamp.IsZero():
		return env, fmt.Errorf("%w: timestamp is missing", ErrUndecodable)
	case !bytes.HasPrefix(bytes.TrimLeft(env.Data, " \t\r\n"), []byte("{")):
		return env, fmt.Errorf("%w: data is not an object", ErrUndecodable)
	case env.Metadata.AggregateID == "" || env.Metadata.AggregateVersion < 1:
		return env, fmt.Errorf("%w: metadata needs an aggregate_id and an aggregate_version from 1", ErrUndecodable)
	}
	return env, nil
}

// As decodes an envelope's body into T, through the upcasters when it was
// published in an older version. Its error is ErrUndecodable.
func As[T Payload](env Envelope) (Of[T], error) {
	of := Of[T]{ID: env.ID, Type: env.Type, Timestamp: env.Timestamp, Metadata: env.Metadata, Source: env.Source}
	name, version, err := ParseType(env.Type)
	if err != nil {
		return of, err
	}
	if want := of.Data.EventName(); name != want {
		return of, fmt.Errorf("%w: a %s is not a %s", ErrUndecodable, env.Type, want)
	}
	data, err := upcast(name, version, of.Data.EventVersion(), env.Data)
	if err != nil {
		return of, err
	}
	if err := json.Unmarshal(data, &of.Data); err != nil {
		return of, fmt.Errorf("%w: data of %s: %w", ErrUndecodable, env.Type, err)
	}
	return of, nil
}

// Matches says whether an envelope is of payload type T, in any version.
func Matches[T Payload](env Envelope) bool {
	var p T
	return strings.HasPrefix(env.Type, p.EventName()+".v")
}

// Check decodes an envelope's body as the type that is registered for it, for
// readers that keep events without looking into them. Its error is
// ErrUndecodable.
func Check(env Envelope) error {
	r, ok := byType[env.Type]
	if !ok {
		_, _, err := ParseType(env.Type)
		return err
	}
	if err := json.Unmarshal(env.Data, reflect.New(reflect.TypeOf(r.payload)).Interface()); err != nil {
		return fmt.Errorf("%w: data of %s: %w", ErrUndecodable, env.Type, err)
	}
	return nil
}
