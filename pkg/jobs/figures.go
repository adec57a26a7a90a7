package jobs

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/hibiken/asynq"
)

// QueueFigures is how a queue of jobs stands.
type QueueFigures struct {
	Name      string  `json:"name"`
	Pending   int     `json:"pending"`
	Active    int     `json:"active"`
	Scheduled int     `json:"scheduled"`
	Retry     int     `json:"retry"`    // failed, and waiting to be tried again
	Archived  int     `json:"archived"` // given up: the dead letters of jobs
	Processed int     `json:"processed_today"`
	Failed    int     `json:"failed_today"` // runs that failed, retried or not
	WaitSecs  float64 `json:"oldest_seconds"`
}

// Figures tells how the queues stand, the one of the greatest weight first. A queue
// that no job was ever put into stands at nothing.
func (c *Client) Figures() ([]QueueFigures, error) {
	known, err := c.inspector.Queues()
	if err != nil {
		return nil, fmt.Errorf("queues: %w", err)
	}
	out := []QueueFigures{}
	for name := range weights {
		q := &asynq.QueueInfo{Queue: name}
		if slices.Contains(known, name) {
			if q, err = c.inspector.GetQueueInfo(name); err != nil {
				return nil, fmt.Errorf("queue %s: %w", name, err)
			}
		}
		out = append(out, QueueFigures{
			Name: q.Queue, Pending: q.Pending, Active: q.Active, Scheduled: q.Scheduled, Retry: q.Retry, Archived: q.Archived,
			Processed: q.Processed, Failed: q.Failed, WaitSecs: q.Latency.Seconds(),
		})
	}
	slices.SortFunc(out, func(x, y QueueFigures) int { return cmp.Compare(weights[y.Name], weights[x.Name]) })
	return out, nil
}
