package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"
)

// Queues by their priority.
const (
	Critical = "critical"
	Default  = "default"
	Low      = "low"
)

// weights are the shares of the workers that the queues get when all are full.
var weights = map[string]int{Critical: 6, Default: 3, Low: 1}

// Client enqueues jobs.
type Client struct {
	asynq     *asynq.Client
	inspector *asynq.Inspector
}

// NewClient connects to Redis when it is first used. Close it after use.
func NewClient(redisAddr string) *Client {
	return &Client{asynq.NewClient(redis(redisAddr)), asynq.NewInspector(redis(redisAddr))}
}

func redis(addr string) asynq.RedisClientOpt {
	return asynq.RedisClientOpt{Addr: addr, DialTimeout: 2 * time.Second, ReadTimeout: 3 * time.Second, WriteTimeout: 3 * time.Second}
}

// Job is something to do; its payload is an id.
type Job struct {
	Type    string
	ID      string // what the handler gets
	Unique  string // no two jobs of a queue with the same Unique; ID when empty
	Queue   string
	Retries int
	Timeout time.Duration // of one run
}

// Enqueue hands a job over.
func (c *Client) Enqueue(ctx context.Context, j Job) error {
	unique := j.Unique
	if unique == "" {
		unique = j.ID
	}
	_, err := c.asynq.EnqueueContext(ctx, asynq.NewTask(j.Type, []byte(j.ID)),
		asynq.TaskID(unique), asynq.Queue(j.Queue), asynq.MaxRetry(j.Retries), asynq.Timeout(j.Timeout))
	if errors.Is(err, asynq.ErrTaskIDConflict) {
		err = c.revive(j.Queue, unique)
	}
	if err != nil {
		return fmt.Errorf("enqueue %s %s: %w", j.Type, j.ID, err)
	}
	return nil
}

// revive takes a job out of the archive, if it is there.
func (c *Client) revive(queue, unique string) error {
	task, err := c.inspector.GetTaskInfo(queue, unique)
	if err == nil && task.State == asynq.TaskStateArchived {
		err = c.inspector.RunTask(queue, unique)
	}
	if errors.Is(err, asynq.ErrTaskNotFound) {
		return nil // done meanwhile
	}
	return err
}

// Close ends the connections.
func (c *Client) Close() error { return errors.Join(c.asynq.Close(), c.inspector.Close()) }

// Reachable is a health check: nil when Redis answers.
func (c *Client) Reachable() error {
	if err := c.asynq.Ping(); err != nil {
		return errors.New("Redis does not answer")
	}
	return nil
}
