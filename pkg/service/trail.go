package service

import (
	"encoding/json"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
)

// Kinds of [TrailItem].
const (
	TrailHTTP    = "http"
	TrailOutbox  = "outbox"
	TrailEvent   = "event"
	TrailCommand = "command"
	TrailEmail   = "email"
	TrailPush    = "push"
)

// TrailItem is something that a service knows of an order's way.
type TrailItem struct {
	At     time.Time      `json:"at"`
	Kind   string         `json:"kind"`
	Name   string         `json:"name"`
	Detail map[string]any `json:"detail"`
}

// Trail is what a service answers at /internal/trail/{order_id}; the edge joins
// the trails of all services into the order's timeline.
type Trail struct {
	Items []TrailItem `json:"items"`
}

// WithOutbox adds the outbox rows of a service's database.
func (t Trail) WithOutbox(service string, rows []outbox.Row) Trail {
	for _, r := range rows {
		t.Items = append(t.Items, TrailItem{At: r.CreatedAt.UTC(), Kind: TrailOutbox, Name: r.Type, Detail: map[string]any{
			"service": service, "seq": r.Seq, "topic": r.Topic, "key": r.Key, "event_id": r.EventID, "published": r.Published, "payload": payload(r.Payload),
		}})
	}
	return t
}

// payload is a record's value to read: JSON where it is, as facts are.
func payload(raw []byte) any {
	if json.Valid(raw) {
		return json.RawMessage(raw)
	}
	return string(raw)
}

// Command is the trail item of a command that a service was asked for.
func Command(service, name string, first, last time.Time, attempts int, outcome string) TrailItem {
	return TrailItem{At: first.UTC(), Kind: TrailCommand, Name: name, Detail: map[string]any{
		"service": service, "attempts": attempts, "outcome": outcome, "last_at": last.UTC(),
	}}
}
