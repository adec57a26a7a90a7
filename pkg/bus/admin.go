package bus

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
)

// Admin looks after dead letters, and tells how topics and groups stand.
type Admin struct {
	cfg      Config
	client   *kgo.Client
	admin    *kadm.Client
	producer *producer
	turn     chan struct{} // of redrives: one after the other, so that none sends what another does
}

// NewAdmin connects nothing yet. Close it after use.
func NewAdmin(cfg Config) (*Admin, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	p, err := newProducer(cfg, maxLetter)
	if err != nil {
		return nil, fmt.Errorf("kafka admin: %w", err)
	}
	return &Admin{cfg: cfg, client: p.client, admin: p.admin, producer: p, turn: make(chan struct{}, 1)}, nil
}

// Close ends the connection.
func (a *Admin) Close() { a.client.Close() }

// States of a dead letter.
const (
	StateDead     = "dead"     // it waits for a person
	StateRedriven = "redriven" // it went back to its group; if it failed again, that is another letter
)

// DeadLetter is a message that a consumer group gave up.
type DeadLetter struct {
	ID         string    `json:"id"` // group/partition/offset of the letter
	Group      string    `json:"group"`
	Handler    string    `json:"handler"`
	Topic      string    `json:"topic"` // where the message was read first
	Partition  int32     `json:"partition"`
	Offset     int64     `json:"offset"`
	Timestamp  time.Time `json:"timestamp"` // of the message
	EventID    string    `json:"event_id,omitempty"`
	Type       string    `json:"event_type,omitempty"`
	Key        string    `json:"key"`
	Reason     Reason    `json:"reason"`
	Error      string    `json:"error"`
	Attempts   int       `json:"attempts"`
	FailedAt   time.Time `json:"failed_at"`
	Redrives   int       `json:"redrives"` // how often it was redriven before it came here
	State      string    `json:"state"`
	RedrivenAt time.Time `json:"redriven_at,omitzero"`
	Cut        int       `json:"cut,omitempty"` // the true size, when Raw is only the beginning
	Raw        []byte    `json:"raw"`           // base64 in JSON

	Headers map[string]string `json:"headers,omitempty"` // the message's own

	hasKey bool
}

func (d DeadLetter) place() place {
	return place{d.Topic, d.Partition, d.Offset, d.Timestamp.Format(time.RFC3339Nano), d.Redrives}
}

func (d DeadLetter) identity() identity { return d.place().identity(d.Group) }

func readDeadLetter(r Record) DeadLetter {
	group := strings.TrimPrefix(r.Topic, deadPrefix)
	from := readPlace(deadPlace, r.Headers)
	d := DeadLetter{
		ID: letterID{group, r.Partition, r.Offset}.String(), Group: group, Handler: r.Headers[headHandler],
		Topic: from.topic, Partition: from.partition, Offset: from.offset, Redrives: from.redrives,
		Reason: Reason(r.Headers[headReason]), Error: r.Headers[headError], State: StateDead,
		Key: string(r.Key), Raw: r.Value, Headers: map[string]string{}, hasKey: r.Key != nil,
	}
	d.Timestamp, _ = time.Parse(time.RFC3339Nano, from.timestamp)
	d.FailedAt, _ = time.Parse(time.RFC3339Nano, r.Headers[headFailedAt])
	d.Attempts, _ = strconv.Atoi(r.Headers[headAttempts])
	d.Cut, _ = strconv.Atoi(r.Headers[headCut])
	for name, value := range r.Headers {
		if own, ok := strings.CutPrefix(name, ownPrefix); ok {
			d.Headers[own] = value
		}
	}
	d.EventID, d.Type = d.Headers[idHeader], d.Headers[typeHeader]
	var env events.Envelope
	if (d.Type == "" || d.EventID == "") && json.Unmarshal(r.Value, &env) == nil {
		d.EventID, d.Type = cmp.Or(d.EventID, env.ID), cmp.Or(d.Type, env.Type)
	}
	return d
}

// letterID names a letter by its place.
type letterID struct {
	group     string
	partition int32
	offset    int64
}

func (id letterID) String() string { return fmt.Sprintf("%s/%d/%d", id.group, id.partition, id.offset) }

func parseLetterID(s string) (letterID, error) {
	parts := strings.Split(s, "/")
	if len(parts) == 3 {
		partition, err1 := strconv.ParseInt(parts[1], 10, 32)
		offset, err2 := strconv.ParseInt(parts[2], 10, 64)
		if parts[0] != "" && err1 == nil && err2 == nil && partition >= 0 && offset >= 0 {
			return letterID{parts[0], int32(partition), offset}, nil
		}
	}
	return letterID{}, fmt.Errorf("%q is not the id of a dead letter: group/partition/offset", s)
}

// Filter selects dead letters; empty fields select all.
type Filter struct {
	IDs    []string
	Group  string
	Reason Reason
	Type   string // event type, with or without its version
	Key    string
	Text   string    // part of the error, in any case
	Since  time.Time // given up at that time or later
	Until  time.Time // given up before
	State  string

	// Of a listing only:
	Limit int    // the most letters to return; 0: all
	After string // only letters behind the one with this [DeadLetter.Cursor]
}

func (f Filter) matches(d DeadLetter) bool {
	return (len(f.IDs) == 0 || slices.Contains(f.IDs, d.ID)) &&
		(f.Group == "" || f.Group == d.Group) &&
		(f.Reason == "" || f.Reason == d.Reason) &&
		(f.Type == "" || d.Type == f.Type || strings.HasPrefix(d.Type, f.Type+".v")) &&
		(f.Key == "" || f.Key == d.Key) &&
		(f.Text == "" || strings.Contains(strings.ToLower(d.Error), strings.ToLower(f.Text))) &&
		(f.Since.IsZero() || !d.FailedAt.Before(f.Since)) &&
		(f.Until.IsZero() || d.FailedAt.Before(f.Until)) &&
		(f.State == "" || f.State == d.State)
}

// newestFirst is the order of a listing.
func newestFirst(x, y DeadLetter) int {
	if c := y.FailedAt.Compare(x.FailedAt); c != 0 {
		return c
	}
	return strings.Compare(x.ID, y.ID)
}

// DeadLetters returns the letters that match, newest first. Letters whose
// retention has ended are gone. It reads all letters of the groups in question,
// and keeps no more of them in memory than twice the limit.
func (a *Admin) DeadLetters(ctx context.Context, f Filter) ([]DeadLetter, error) {
	after, err := parseCursor(f.After)
	if err != nil {
		return nil, err
	}
	var list []DeadLetter
	trim := func(longerThan int) {
		if len(list) > longerThan {
			slices.SortFunc(list, newestFirst)
			if f.Limit > 0 {
				list = slices.Delete(list, min(f.Limit, len(list)), len(list))
			}
		}
	}
	err = a.each(ctx, f, func(d DeadLetter) error {
		if f.matches(d) && (after == nil || newestFirst(*after, d) < 0) {
			list = append(list, d)
			if f.Limit > 0 {
				trim(2 * f.Limit)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("dead letters: %w", err)
	}
	trim(0)
	return list, nil
}

// Cursor is where a letter stands in a listing: what comes behind it has it as
// Filter.After, whatever arrives or goes meanwhile.
func (d DeadLetter) Cursor() string { return d.FailedAt.Format(time.RFC3339Nano) + " " + d.ID }

// ErrBadCursor is a Filter.After that is no letter's cursor.
var ErrBadCursor = errors.New("not a cursor of a dead letter")

func parseCursor(s string) (*DeadLetter, error) {
	if s == "" {
		return nil, nil
	}
	at, id, ok := strings.Cut(s, " ")
	failedAt, err := time.Parse(time.RFC3339Nano, at)
	if !ok || err != nil {
		return nil, ErrBadCursor
	}
	return &DeadLetter{FailedAt: failedAt, ID: id}, nil
}

// ErrNoDeadLetter says that there is no such letter, or no longer.
var ErrNoDeadLetter = errors.New("there is no such dead letter, or its retention has ended")

// DeadLetter returns one letter.
func (a *Admin) DeadLetter(ctx context.Context, id string) (DeadLetter, error) {
	list, err := a.DeadLetters(ctx, Filter{IDs: []string{id}})
	if err != nil {
		return DeadLetter{}, err
	}
	if len(list) == 0 {
		return DeadLetter{}, fmt.Errorf("%s: %w", id, ErrNoDeadLetter)
	}
	return list[0], nil
}

// each calls fn for the letters that the filter's ids and group allow, oldest
// first within a group.
func (a *Admin) each(ctx context.Context, f Filter, fn func(DeadLetter) error) error {
	topics, err := a.admin.ListTopics(ctx)
	if err != nil {
		return err
	}
	groups := map[string]bool{}
	for _, s := range f.IDs {
		id, err := parseLetterID(s)
		if err != nil {
			return err
		}
		groups[id.group] = true
	}
	var dead, back []string
	for _, name := range topics.Names() {
		group, ok := strings.CutPrefix(name, deadPrefix)
		if !ok || f.Group != "" && f.Group != group || len(f.IDs) > 0 && !groups[group] {
			continue
		}
		dead = append(dead, name)
		if topics.Has(RedriveTopic(group)) {
			back = append(back, RedriveTopic(group))
		}
	}
	if len(dead) == 0 {
		return nil
	}
	returned, err := a.returned(ctx, back)
	if err != nil {
		return err
	}
	_, err = ReadToEnd(ctx, a.cfg, dead, nil, func(r Record) error {
		d := readDeadLetter(r)
		if last, ok := returned[d.identity()]; ok && last.redrives > d.Redrives {
			d.State, d.RedrivenAt = StateRedriven, last.at
		}
		return fn(d)
	})
	return err
}

// returns is how often a message went back to its group, and when it did last.
type returns struct {
	redrives int
	at       time.Time
}

// returned reads from the redrive topics themselves what went back: there is no
// second place that could say something else. Their records are kept as long as
// the letters, and are younger.
func (a *Admin) returned(ctx context.Context, topics []string) (map[identity]returns, error) {
	out := map[identity]returns{}
	if len(topics) == 0 {
		return out, nil
	}
	_, err := ReadToEnd(ctx, a.cfg, topics, nil, func(r Record) error {
		p := readPlace(redrivenPlace, r.Headers)
		id := p.identity(strings.TrimPrefix(r.Topic, redrivePrefix))
		if p.redrives >= out[id].redrives {
			out[id] = returns{p.redrives, r.Timestamp}
		}
		return nil
	})
	return out, err
}
