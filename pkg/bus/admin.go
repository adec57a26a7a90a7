package bus

import (
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

// stateTopic remembers, compacted by a letter's id, what was redriven.
const stateTopic = "dead.state"

// maxRedrives is the loop guard: what came back this often is redriven only by
// force.
const maxRedrives = 3

// DeadLetter is a message that a consumer group gave up.
type DeadLetter struct {
	ID        string    `json:"id"` // group/partition/offset of the letter
	Group     string    `json:"group"`
	Topic     string    `json:"topic"` // where the message was read first
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	EventID   string    `json:"event_id,omitempty"`
	Type      string    `json:"event_type,omitempty"`
	Key       string    `json:"key"`
	Reason    Reason    `json:"reason"`
	Error     string    `json:"error"`
	Attempts  int       `json:"attempts"`
	FailedAt  time.Time `json:"failed_at"`
	Redrives  int       `json:"redrives"` // how often it was redriven before it came here
	State     string    `json:"state"`    // dead or redriven
	Raw       []byte    `json:"raw"`      // base64 in JSON

	headers map[string]string
}

// Filter selects dead letters; empty fields select all.
type Filter struct {
	IDs    []string
	Group  string
	Reason Reason
	Type   string // event type, with or without its version
	State  string // dead or redriven
}

func (f Filter) matches(d DeadLetter) bool {
	return (len(f.IDs) == 0 || slices.Contains(f.IDs, d.ID)) &&
		(f.Group == "" || f.Group == d.Group) &&
		(f.Reason == "" || f.Reason == d.Reason) &&
		(f.Type == "" || d.Type == f.Type || strings.HasPrefix(d.Type, f.Type+".v")) &&
		(f.State == "" || f.State == d.State)
}

// Admin looks after dead letters, and tells how topics and groups stand.
type Admin struct {
	cfg    Config
	client *kgo.Client
	admin  *kadm.Client
}

// NewAdmin connects nothing yet. Close it after use.
func NewAdmin(cfg Config) (*Admin, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(clientOptions(cfg, kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerBatchMaxBytes(maxRecordBatch), kgo.ProducerLinger(0))...)
	if err != nil {
		return nil, fmt.Errorf("kafka admin: %w", err)
	}
	return &Admin{cfg, client, kadm.NewClient(client)}, nil
}

// Close ends the connection.
func (a *Admin) Close() { a.client.Close() }

// DeadLetters returns the letters that match, newest first. Letters whose
// retention has ended are gone.
func (a *Admin) DeadLetters(ctx context.Context, f Filter) ([]DeadLetter, error) {
	topics, err := a.admin.ListTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("dead letters: %w", err)
	}
	var dead []string
	for _, name := range topics.Names() {
		if strings.HasPrefix(name, deadPrefix) && name != stateTopic && (f.Group == "" || name == DeadTopic(f.Group)) {
			dead = append(dead, name)
		}
	}
	if len(dead) == 0 {
		return nil, nil
	}
	redriven := map[string]bool{}
	if topics.Has(stateTopic) {
		if _, err := ReadToEnd(ctx, a.cfg, []string{stateTopic}, nil, func(r Record) error { redriven[string(r.Key)] = true; return nil }); err != nil {
			return nil, fmt.Errorf("dead letters: %w", err)
		}
	}
	var list []DeadLetter
	_, err = ReadToEnd(ctx, a.cfg, dead, nil, func(r Record) error {
		d := readDeadLetter(r)
		d.State = "dead"
		if redriven[d.ID] {
			d.State = "redriven"
		}
		if f.matches(d) {
			list = append(list, d)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("dead letters: %w", err)
	}
	slices.SortStableFunc(list, func(x, y DeadLetter) int {
		if c := y.FailedAt.Compare(x.FailedAt); c != 0 {
			return c
		}
		return strings.Compare(x.ID, y.ID)
	})
	return list, nil
}

func readDeadLetter(r Record) DeadLetter {
	group := strings.TrimPrefix(r.Topic, deadPrefix)
	d := DeadLetter{
		ID: fmt.Sprintf("%s/%d/%d", group, r.Partition, r.Offset), Group: group,
		Topic: r.Headers[headTopic], EventID: r.Headers["ce_id"], Type: r.Headers["ce_type"], Key: string(r.Key),
		Reason: Reason(r.Headers[headReason]), Error: r.Headers[headError], Raw: r.Value, headers: r.Headers,
	}
	partition, _ := strconv.ParseInt(r.Headers[headPartition], 10, 32)
	d.Partition = int32(partition)
	d.Offset, _ = strconv.ParseInt(r.Headers[headOffset], 10, 64)
	d.Attempts, _ = strconv.Atoi(r.Headers[headAttempts])
	d.Redrives, _ = strconv.Atoi(r.Headers[headRedrives])
	d.FailedAt, _ = time.Parse(time.RFC3339Nano, r.Headers[headFailedAt])
	var env events.Envelope
	if (d.Type == "" || d.EventID == "") && json.Unmarshal(r.Value, &env) == nil {
		d.Type, d.EventID = env.Type, env.ID
	}
	return d
}

// RedriveOptions say how to redrive.
type RedriveOptions struct {
	DryRun bool
	Rate   int  // messages per second; 0: 100
	Force  bool // past the loop guard, and letters that were redriven already
}

// Redriven is what became of one letter.
type Redriven struct {
	ID      string `json:"id"`
	Outcome string `json:"outcome"` // redriven, would_redrive, or why not
}

// Redrive hands the letters that match back to the group that gave them up,
// oldest first, and to no other. A letter is noted as redriven only after Kafka
// has the message; a crash in between redrives it again, which the inbox
// absorbs. Cancelling ctx stops it between two letters.
func (a *Admin) Redrive(ctx context.Context, f Filter, opts RedriveOptions) ([]Redriven, error) {
	letters, err := a.DeadLetters(ctx, f)
	if err != nil {
		return nil, err
	}
	if !opts.DryRun && len(letters) > 0 {
		if err := a.ensureState(ctx); err != nil {
			return nil, err
		}
	}
	if opts.Rate <= 0 {
		opts.Rate = 100
	}
	tick := time.NewTicker(time.Second / time.Duration(opts.Rate))
	defer tick.Stop()
	report := []Redriven{}
	for _, d := range slices.Backward(letters) {
		switch {
		case d.State == "redriven" && !opts.Force:
			report = append(report, Redriven{d.ID, "already redriven"})
			continue
		case d.Redrives >= maxRedrives && !opts.Force:
			report = append(report, Redriven{d.ID, fmt.Sprintf("came back %d times: redrive it by force when the cause is mended", d.Redrives)})
			continue
		case opts.DryRun:
			report = append(report, Redriven{d.ID, "would_redrive"})
			continue
		}
		if err := a.redrive(ctx, d); err != nil {
			return report, err
		}
		report = append(report, Redriven{d.ID, "redriven"})
		select {
		case <-tick.C:
		case <-ctx.Done():
			return report, ctx.Err()
		}
	}
	return report, nil
}

func (a *Admin) redrive(ctx context.Context, d DeadLetter) error {
	r := &kgo.Record{Topic: RedriveTopic(d.Group), Key: []byte(d.Key), Value: d.Raw}
	for k, v := range d.headers {
		switch k {
		case headReason, headError, headAttempts, headFailedAt, headRedrives, headLetter, headGroup:
		default:
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: k, Value: []byte(v)})
		}
	}
	r.Headers = append(r.Headers,
		kgo.RecordHeader{Key: headRedrives, Value: []byte(strconv.Itoa(d.Redrives + 1))},
		kgo.RecordHeader{Key: headLetter, Value: []byte(d.ID)})
	if err := a.client.ProduceSync(ctx, r).FirstErr(); err != nil {
		return fmt.Errorf("redrive %s: %w", d.ID, err)
	}
	note, err := json.Marshal(map[string]any{"redriven_at": time.Now().UTC()})
	if err != nil {
		return err
	}
	if err := a.client.ProduceSync(ctx, &kgo.Record{Topic: stateTopic, Key: []byte(d.ID), Value: note}).FirstErr(); err != nil {
		return fmt.Errorf("note that %s is redriven: %w", d.ID, err)
	}
	return nil
}

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
	_, err = a.admin.CreateTopic(ctx, 1, int16(min(3, len(brokers))), map[string]*string{"cleanup.policy": kadm.StringPtr("compact")}, stateTopic)
	if err != nil && !strings.Contains(err.Error(), "TOPIC_ALREADY_EXISTS") {
		return fmt.Errorf("redrive: create %s: %w", stateTopic, err)
	}
	return nil
}

// TopicFigures is how a topic stands.
type TopicFigures struct {
	Name       string `json:"name"`
	Partitions int    `json:"partitions"`
	Records    int64  `json:"records"` // kept at this moment
	End        int64  `json:"end"`     // sum of end offsets: ever written
}

// GroupFigures is how far a consumer group is.
type GroupFigures struct {
	Group   string `json:"group"`
	State   string `json:"state"`
	Members int    `json:"members"`
	Lag     int64  `json:"lag"`
}

// Figures tells how topics and consumer groups stand.
func (a *Admin) Figures(ctx context.Context) ([]TopicFigures, []GroupFigures, error) {
	starts, err := a.admin.ListStartOffsets(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("kafka figures: %w", err)
	}
	ends, err := a.admin.ListEndOffsets(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("kafka figures: %w", err)
	}
	byName := map[string]*TopicFigures{}
	ends.Each(func(o kadm.ListedOffset) {
		t := byName[o.Topic]
		if t == nil {
			t = &TopicFigures{Name: o.Topic}
			byName[o.Topic] = t
		}
		t.Partitions++
		t.End += o.Offset
		if s, ok := starts.Lookup(o.Topic, o.Partition); ok {
			t.Records += o.Offset - s.Offset
		}
	})
	topics := []TopicFigures{}
	for _, t := range byName {
		topics = append(topics, *t)
	}
	slices.SortFunc(topics, func(x, y TopicFigures) int { return strings.Compare(x.Name, y.Name) })

	lags, err := a.admin.Lag(ctx)
	if err != nil {
		return topics, nil, fmt.Errorf("kafka figures: %w", err)
	}
	groups := []GroupFigures{}
	var failed error
	lags.Each(func(l kadm.DescribedGroupLag) {
		if l.Error() != nil {
			failed = errors.Join(failed, l.Error())
			return
		}
		groups = append(groups, GroupFigures{Group: l.Group, State: l.State, Members: len(l.Members), Lag: l.Lag.Total()})
	})
	slices.SortFunc(groups, func(x, y GroupFigures) int { return strings.Compare(x.Group, y.Group) })
	return topics, groups, failed
}
