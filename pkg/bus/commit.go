package bus

import (
	"context"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cartwheel-shop/cartwheel/pkg/fault"
)

const (
	commitEvery = time.Second
	finishFor   = 800 * time.Millisecond // to commit at the end
)

// committer commits the offsets that a member of a group has marked: every
// second, when partitions go, and at the end.
type committer struct {
	client *kgo.Client
	group  string
	faults *fault.Points
	log    *slog.Logger
}

func newCommitter(client *kgo.Client, cfg Config, group string) *committer {
	return &committer{client, group, cfg.Faults, cfg.Log.With("group", group)}
}

// run commits until ctx ends.
func (c *committer) run(ctx context.Context) {
	rare := &rareLog{every: 15 * time.Second}
	for wait(ctx, commitEvery) {
		if err := c.try(ctx, 10*commitEvery); err != nil && ctx.Err() == nil && rare.allow(time.Now()) {
			c.log.WarnContext(ctx, "offsets not committed; trying again", "error", err)
		}
	}
}

// last commits for the last time before partitions go.
func (c *committer) last(ctx context.Context, when string) {
	if err := c.try(ctx, finishFor); err != nil {
		c.log.WarnContext(ctx, "offsets not committed "+when+"; their messages come again", "error", err)
	}
}

func (c *committer) try(ctx context.Context, within time.Duration) error {
	if len(c.client.MarkedOffsets()) == 0 {
		return nil
	}
	if err := c.faults.At(ctx, fault.AckBefore, c.group); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := c.client.CommitMarkedOffsets(ctx); err != nil {
		return err
	}
	return c.faults.At(ctx, fault.AckAfter, c.group)
}
