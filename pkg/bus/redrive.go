package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// stateTopic remembers, compacted by a letter's id, what was redriven.
	stateTopic = "dead.state"
	// maxRedrives is the loop guard: what came back this often is redriven only
	// by force.
	maxRedrives = 3
	redriveRate = 100 // a second
	// redrivePatience is how long Kafka may take to accept one letter.
	redrivePatience = 20 * time.Second
)

// RedriveOptions say how to redrive.
type RedriveOptions struct {
	DryRun bool
	Rate   int  // messages per second; 0: 100
	Force  bool // past the loop guard, and letters that were redriven already
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
	OutcomeAlready      = "already_redriven"
	OutcomeCameBack     = "came_back" // the loop guard
	OutcomeNotWhole     = "not_whole" // the letter was cut
	OutcomeNotFound     = "not_found"
)

// Redrive hands the letters that match back to the group that gave them up,
// oldest first, and to no other. A letter is noted as redriven only after Kafka
// has the message, and the next is taken after that: a crash redrives at most
// one again, which the inbox absorbs, and the same call made anew goes on where
// it stopped. What arrives in the dead letters meanwhile is left for another
// call. When ctx ends, the report says how far it came.
func (a *Admin) Redrive(ctx context.Context, f Filter, opts RedriveOptions) ([]Redriven, error) {
	report := []Redriven{}
	if opts.Rate <= 0 {
		opts.Rate = redriveRate
	}
	if !opts.DryRun {
		if err := a.ensureState(ctx); err != nil {
			return report, err
		}
	}
	pace := time.NewTicker(max(time.Second/time.Duration(opts.Rate), 1))
	defer pace.Stop()
	missing := slices.Clone(f.IDs)
	err := a.each(ctx, f, func(d DeadLetter) error {
		if !f.matches(d) {
			return nil
		}
		missing = slices.DeleteFunc(missing, func(id string) bool { return id == d.ID })
		outcome := judge(d, opts)
		if outcome.Outcome == OutcomeRedriven {
			select {
			case <-pace.C:
			case <-ctx.Done():
				return ctx.Err()
			}
			if err := a.sendBack(ctx, d); err != nil {
				return err
			}
		}
		report = append(report, outcome)
		return nil
	})
	if err != nil {
		return report, fmt.Errorf("redrive: %w", err)
	}
	for _, id := range missing {
		report = append(report, Redriven{id, OutcomeNotFound, ErrNoDeadLetter.Error()})
	}
	return report, nil
}

// judge says what is to be done with a letter.
func judge(d DeadLetter, opts RedriveOptions) Redriven {
	switch {
	case d.Cut > 0:
		return Redriven{d.ID, OutcomeNotWhole, fmt.Sprintf("the letter holds only the beginning of %d bytes; the message is in %s/%d at offset %d", d.Cut, d.Topic, d.Partition, d.Offset)}
	case d.State == StateRedriven && !opts.Force:
		return Redriven{d.ID, OutcomeAlready, "redriven at " + d.RedrivenAt.Format(time.RFC3339)}
	case d.Redrives >= maxRedrives && !opts.Force:
		return Redriven{d.ID, OutcomeCameBack, fmt.Sprintf("came back %d times: redrive it by force when the cause is mended", d.Redrives)}
	case opts.DryRun:
		return Redriven{d.ID, OutcomeWouldRedrive, ""}
	}
	return Redriven{d.ID, OutcomeRedriven, ""}
}

// sendBack writes the message as it was to its group's redrive topic, and then
// notes that it did. Once begun it does not heed the end of ctx, only its own
// patience, so that a caller who stops does not make it do things by halves.
func (a *Admin) sendBack(ctx context.Context, d DeadLetter) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), redrivePatience)
	defer cancel()
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
	place{d.Topic, d.Partition, d.Offset, d.Timestamp.Format(time.RFC3339Nano), d.Redrives + 1}.write(redrivenPlace, set)
	if err := a.producer.produce(ctx, []*kgo.Record{r}); err != nil {
		return fmt.Errorf("%s: %w", d.ID, err)
	}
	note, err := json.Marshal(redriveNote{time.Now().UTC()})
	if err != nil {
		return fmt.Errorf("%s: %w", d.ID, err)
	}
	if err := a.producer.produce(ctx, []*kgo.Record{{Topic: stateTopic, Key: []byte(d.ID), Value: note}}); err != nil {
		return fmt.Errorf("%s is redriven, but that is not noted: %w", d.ID, err)
	}
	return nil
}

// redriveNote is what the state topic says of a letter.
type redriveNote struct {
	RedrivenAt time.Time `json:"redriven_at"`
}

// redriven reads which letters were redriven, and when.
func (a *Admin) redriven(ctx context.Context, any bool) (map[string]time.Time, error) {
	out := map[string]time.Time{}
	if !any {
		return out, nil
	}
	_, err := ReadToEnd(ctx, a.cfg, []string{stateTopic}, nil, func(r Record) error {
		var note redriveNote
		if err := json.Unmarshal(r.Value, &note); err != nil {
			return fmt.Errorf("%s at offset %d: %w", stateTopic, r.Offset, err)
		}
		out[string(r.Key)] = note.RedrivenAt
		return nil
	})
	return out, err
}

// ensureState creates the state topic. It keeps a note a little longer than the
// letter that it is about.
func (a *Admin) ensureState(ctx context.Context) error {
	topics, err := a.admin.ListTopics(ctx, stateTopic)
	if err != nil {
		return fmt.Errorf("redrive: %w", err)
	}
	if topics.Has(stateTopic) {
		return nil
	}
	brokers, err := a.admin.ListBrokers(ctx)
	if err != nil {
		return fmt.Errorf("redrive: %w", err)
	}
	_, err = a.admin.CreateTopic(ctx, 1, int16(min(3, len(brokers))), map[string]*string{
		"cleanup.policy": kadm.StringPtr("compact,delete"),
		"retention.ms":   kadm.StringPtr(strconv.FormatInt((deadRetention + 24*time.Hour).Milliseconds(), 10)),
	}, stateTopic)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("redrive: create %s: %w", stateTopic, err)
	}
	return nil
}
