package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// TopicFigures is how a topic stands.
type TopicFigures struct {
	Name       string  `json:"name"`
	Partitions int     `json:"partitions"`
	Records    int64   `json:"records"`    // kept at this moment
	End        int64   `json:"end"`        // sum of end offsets: ever written
	PerSecond  float64 `json:"per_second"` // written, on average over [RateOver]
}

// RateOver is the time over which rates are averaged.
const RateOver = 10 * time.Second

// GroupFigures is how far a consumer group is.
type GroupFigures struct {
	Group   string `json:"group"`
	State   string `json:"state"`
	Members int    `json:"members"`
	Lag     int64  `json:"lag"`

	Topics []LagFigures `json:"topics"` // those that the group has read
}

// LagFigures is how far a consumer group is behind the end of a topic.
type LagFigures struct {
	Topic string `json:"topic"`
	Lag   int64  `json:"lag"`
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
	recent, err := a.admin.ListOffsetsAfterMilli(ctx, time.Now().Add(-RateOver).UnixMilli())
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
		if r, ok := recent.Lookup(o.Topic, o.Partition); ok && r.Err == nil && r.Offset >= 0 {
			t.PerSecond += max(0, float64(o.Offset-r.Offset)) / RateOver.Seconds()
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
		g := GroupFigures{Group: l.Group, State: l.State, Members: len(l.Members), Lag: l.Lag.Total(), Topics: []LagFigures{}}
		for topic, t := range l.Lag.TotalByTopic() {
			g.Topics = append(g.Topics, LagFigures{topic, t.Lag})
		}
		slices.SortFunc(g.Topics, func(x, y LagFigures) int { return strings.Compare(x.Topic, y.Topic) })
		groups = append(groups, g)
	})
	slices.SortFunc(groups, func(x, y GroupFigures) int { return strings.Compare(x.Group, y.Group) })
	return topics, groups, failed
}
