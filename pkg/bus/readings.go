package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/cartwheel-shop/cartwheel/pkg/inbox"
)

// Fact is an event at its place in Kafka.
type Fact struct {
	EventID   string    `json:"event_id"`
	Type      string    `json:"type"`
	Topic     string    `json:"topic"`
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	At        time.Time `json:"at"`
}

// States of a [Reading].
const (
	Done    = "done"     // it took effect: its id is in the inbox
	Past    = "read"     // its offset is committed, by a consumer that keeps no record of its own
	NotYet  = "waiting"  // its offset is not committed
	GivenUp = "given_up" // its offset is committed, and it took no effect: there is a dead letter
)

// Reading is what became of a fact in a consumer group.
type Reading struct {
	Group   string    `json:"group"`
	EventID string    `json:"event_id"`
	State   string    `json:"state"`
	At      time.Time `json:"at,omitzero"` // when it took effect
}

// Readings says what became of facts in the groups of consumers that handle them.
// A fact that is older than what inboxes remember is taken for read.
func (a *Admin) Readings(ctx context.Context, consumers []Consumer, facts []Fact) ([]Reading, error) {
	list := []Reading{}
	for i, group := range groupsOf(a.cfg, consumers) {
		c := consumers[i]
		var mine []Fact
		for _, f := range facts {
			if slices.Contains(c.topics, f.Topic) && c.wants(f.Type) {
				mine = append(mine, f)
			}
		}
		if len(mine) == 0 {
			continue
		}
		readings, err := a.readingsOf(ctx, group, c, mine)
		if err != nil {
			return nil, fmt.Errorf("readings of %s: %w", group, err)
		}
		list = append(list, readings...)
	}
	return list, nil
}

func (a *Admin) readingsOf(ctx context.Context, group string, c Consumer, facts []Fact) ([]Reading, error) {
	done := map[string]time.Time{}
	db := c.database()
	if db != nil {
		ids := make([]string, len(facts))
		for i, f := range facts {
			ids[i] = f.EventID
		}
		var err error
		if done, err = inbox.Times(ctx, db, c.name, ids); err != nil {
			return nil, err
		}
	}
	// Kafka is asked only for what the inbox does not know.
	var past func(Fact) bool
	list := make([]Reading, len(facts))
	for i, f := range facts {
		list[i] = Reading{Group: group, EventID: f.EventID, State: Done}
		if at, ok := done[f.EventID]; ok {
			list[i].At = at
			continue
		}
		if past == nil {
			var err error
			if past, err = a.committed(ctx, group, c.topics); err != nil {
				return nil, err
			}
		}
		switch {
		case !past(f):
			list[i].State = NotYet
		case db == nil || time.Since(f.At) > inbox.Retention:
			list[i].State = Past
		default:
			list[i].State = GivenUp
		}
	}
	return list, nil
}

// committed says whether a group has committed the offset of a fact.
func (a *Admin) committed(ctx context.Context, group string, topics []string) (func(Fact) bool, error) {
	offsets, err := a.admin.FetchOffsetsForTopics(ctx, group, topics...)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // which nobody has joined yet
		return nil, fmt.Errorf("committed offsets: %w", err)
	}
	return func(f Fact) bool {
		o, ok := offsets.Lookup(f.Topic, f.Partition)
		return ok && o.Err == nil && o.At > f.Offset
	}, nil
}

// database is where the consumer notes what took effect; nil when it does not.
func (c Consumer) database() *pgxpool.Pool {
	switch {
	case c.once != nil:
		return c.once.db.Pool()
	case c.batch != nil:
		return c.batch.db.Pool()
	}
	return nil
}

// ReadingsAnswer answers an order's timeline.
type ReadingsAnswer struct {
	Items []Reading `json:"items"`
}

const mostFacts = 1 << 20 // bytes of a question

// AnswerReadings reads facts from a request, {"facts": […]}, and says what became
// of them. What cannot be said in time is left out.
func (a *Admin) AnswerReadings(r *http.Request, consumers []Consumer) (ReadingsAnswer, error) {
	var q struct {
		Facts []Fact `json:"facts"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(nil, r.Body, mostFacts)).Decode(&q); err != nil {
		return ReadingsAnswer{}, fmt.Errorf("read the question: %w", err)
	}
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	list, err := a.Readings(ctx, consumers, q.Facts)
	return ReadingsAnswer{list}, err
}
