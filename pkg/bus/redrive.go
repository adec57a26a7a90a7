package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// maxRedrives is the loop guard: what came back this often is redriven only
	// by force.
	maxRedrives = 3
	redriveRate = 100 // a second
	// redriveChunk is how many letters are under way at a time at most, and
	// redriveChunks how many times a second letters are sent at least.
	redriveChunk  = 500
	redriveChunks = 10
	// redrivePatience is how long Kafka may take to accept a chunk.
	redrivePatience = 20 * time.Second
)

// RedriveOptions say how to redrive.
type RedriveOptions struct {
	DryRun bool
	Rate   int  // messages per second; 0: 100
	Limit  int  // the most letters to send; 0: all
	Force  bool // past the loop guard, and letters that were redriven already
	// Discard gives letters up for good: they count as redriven and are not handled.
	// Of an InOrder consumer, what waits behind them goes on without them.
	Discard bool
}

// Redriven is what became of one letter.
type Redriven struct {
	ID      string `json:"id"`
	Outcome string `json:"outcome"`
	Detail  string `json:"detail,omitempty"` // why not
}

// Outcomes of a redrive.
const (
	OutcomeRedriven     = "redriven"
	OutcomeWouldRedrive = "would_redrive"
	OutcomeDiscarded    = "discarded"
	OutcomeWouldDiscard = "would_discard"
	OutcomeAlready      = "already_redriven"
	OutcomeCameBack     = "came_back" // the loop guard
	OutcomeNotWhole     = "not_whole" // the letter was cut
	OutcomeWaits        = "waits"     // it follows the letter that it waits behind by itself
	OutcomeNotFound     = "not_found"
)

// Report is what a redrive did. Letters that were redriven before are in it only
// when they were asked for by id.
type Report struct {
	Items []Redriven `json:"items"`
	More  bool       `json:"more"` // Limit was reached, and there are others
}

// Redrive hands the letters that match back to the group that gave them up,
// oldest first, and to no other. A letter is redriven when its group's redrive
// topic has the message; nothing else says so. So a call that ended in the
// middle, by kill -9 too, is made anew and goes on where it stopped. Of what was
// under way at that moment, a tenth of a second's worth, the broker may still
// take some that the new call sends as well; the inbox absorbs that.
//
// What arrives in the dead letters meanwhile is left for another call. When ctx
// ends, the report says how far it came. Redrives of one Admin wait for each
// other.
func (a *Admin) Redrive(ctx context.Context, f Filter, opts RedriveOptions) (Report, error) {
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return Report{Items: []Redriven{}}, ctx.Err()
	}
	if opts.Rate <= 0 {
		opts.Rate = redriveRate
	}
	r := &redrive{
		admin: a, opts: opts, missing: slices.Clone(f.IDs), seen: map[identity]bool{},
		report: Report{Items: []Redriven{}}, start: time.Now(),
		chunk: min(max(opts.Rate/redriveChunks, 1), redriveChunk),
	}
	err := a.each(ctx, f, func(d DeadLetter) error {
		if !f.matches(d) {
			return nil
		}
		return r.take(ctx, d, len(f.IDs) > 0)
	})
	if errors.Is(err, errEnough) {
		r.report.More, err = true, nil
	}
	if err == nil {
		err = r.flush(ctx)
	}
	if err != nil {
		return r.report, fmt.Errorf("redrive: %w", err)
	}
	for _, id := range r.missing {
		if !r.report.More {
			r.report.Items = append(r.report.Items, Redriven{id, OutcomeNotFound, ErrNoDeadLetter.Error()})
		}
	}
	return r.report, nil
}

// errEnough says that the limit is reached.
var errEnough = errors.New("limit reached")

// redrive is one call of Redrive.
type redrive struct {
	admin   *Admin
	opts    RedriveOptions
	chunk   int
	missing []string          // ids that were not found yet
	seen    map[identity]bool // a crash may have left two letters of one message
	pending []DeadLetter
	start   time.Time
	sent    int
	report  Report
}

// take decides about a letter, and sends those that are due.
func (r *redrive) take(ctx context.Context, d DeadLetter, byID bool) error {
	r.missing = slices.DeleteFunc(r.missing, func(id string) bool { return id == d.ID })
	item := judge(d, r.opts)
	would := item.Outcome == OutcomeWouldRedrive || item.Outcome == OutcomeWouldDiscard
	sends := item.Outcome == OutcomeRedriven || item.Outcome == OutcomeDiscarded
	if r.seen[d.identity()] && (sends || would) {
		item, sends, would = Redriven{d.ID, OutcomeAlready, "another letter of the same message is redriven"}, false, false
	}
	switch {
	case sends:
		if r.opts.Limit > 0 && r.sent+len(r.pending) == r.opts.Limit {
			return errors.Join(r.flush(ctx), errEnough)
		}
		r.seen[d.identity()] = true
		r.pending = append(r.pending, d)
		if len(r.pending) == r.chunk {
			return r.flush(ctx)
		}
		return nil
	case would:
		r.seen[d.identity()] = true
	case item.Outcome == OutcomeAlready && !byID:
		return nil
	}
	r.report.Items = append(r.report.Items, item)
	return nil
}

// flush sends what is pending when its time has come, and returns when Kafka has
// it.
func (r *redrive) flush(ctx context.Context) error {
	if len(r.pending) == 0 {
		return nil
	}
	due := r.start.Add(time.Duration(r.sent+len(r.pending)) * time.Second / time.Duration(r.opts.Rate))
	if !wait(ctx, time.Until(due)) {
		return ctx.Err()
	}
	records := make([]*kgo.Record, len(r.pending))
	for i, d := range r.pending {
		records[i] = returning(d)
		if r.opts.Discard {
			records[i].Headers = append(records[i].Headers, kgo.RecordHeader{Key: headDiscarded, Value: []byte("true")})
		}
	}
	// Once begun it does not heed the end of ctx, only its own patience, so that
	// the report of a caller who stops is right.
	send, cancel := context.WithTimeout(context.WithoutCancel(ctx), redrivePatience)
	defer cancel()
	if err := r.admin.producer.produce(send, records); err != nil {
		return fmt.Errorf("%d letters from %s on: %w", len(records), r.pending[0].ID, err)
	}
	for _, d := range r.pending {
		r.report.Items = append(r.report.Items, judge(d, r.opts))
	}
	r.sent += len(r.pending)
	r.pending = r.pending[:0]
	return nil
}

// judge says what is to be done with a letter.
func judge(d DeadLetter, opts RedriveOptions) Redriven {
	switch {
	case d.Cut > 0 && !opts.Discard:
		return Redriven{d.ID, OutcomeNotWhole, fmt.Sprintf("the letter holds only the beginning of %d bytes; the message is in %s/%d at offset %d", d.Cut, d.Topic, d.Partition, d.Offset)}
	case d.State == StateRedriven && !opts.Force:
		return Redriven{d.ID, OutcomeAlready, "redriven at " + d.RedrivenAt.Format(time.RFC3339)}
	case d.Redrives >= maxRedrives && !opts.Force && !opts.Discard:
		return Redriven{d.ID, OutcomeCameBack, fmt.Sprintf("came back %d times: redrive it by force when the cause is mended", d.Redrives)}
	case d.Reason == Waits && !opts.Force:
		return Redriven{d.ID, OutcomeWaits, "it follows by itself: " + d.Error}
	case opts.Discard && opts.DryRun:
		return Redriven{d.ID, OutcomeWouldDiscard, ""}
	case opts.Discard:
		return Redriven{d.ID, OutcomeDiscarded, ""}
	case opts.DryRun:
		return Redriven{d.ID, OutcomeWouldRedrive, ""}
	}
	return Redriven{d.ID, OutcomeRedriven, ""}
}

// returning is the message of a letter as it was, for its group's redrive topic.
func returning(d DeadLetter) *kgo.Record {
	r := &kgo.Record{Topic: RedriveTopic(d.Group), Value: d.Raw}
	if d.hasKey {
		r.Key = []byte(d.Key)
	}
	set := func(name, value string) {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	for name, value := range d.Headers {
		set(name, value)
	}
	p := d.place()
	p.redrives++
	p.write(redrivenPlace, set)
	return r
}
