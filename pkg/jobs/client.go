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
	addr      string
	asynq     *asynq.Client
	inspector *asynq.Inspector
}

// NewClient connects to Redis when it is first used. Close it after use.
func NewClient(redisAddr string) *Client {
	return &Client{redisAddr, asynq.NewClient(redis(redisAddr)), asynq.NewInspector(redis(redisAddr))}
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
	if j.Unique == "" {
		j.Unique = j.ID
	}
	err := c.enqueue(ctx, c.asynq, j)
	if errors.Is(err, asynq.ErrQueueNotFound) {
		// Redis has lost its memory, and with it the list of queues, to which a
		// client of Asynq adds each only once.
		fresh := asynq.NewClient(redis(c.addr))
		defer fresh.Close()
		err = c.enqueue(ctx, fresh, j)
	}
	if err != nil {
		return fmt.Errorf("enqueue %s %s: %w", j.Type, j.ID, err)
	}
	return nil
}

func (c *Client) enqueue(ctx context.Context, client *asynq.Client, j Job) error {
	_, err := client.EnqueueContext(ctx, asynq.NewTask(j.Type, []byte(j.ID)),
		asynq.TaskID(j.Unique), asynq.Queue(j.Queue), asynq.MaxRetry(j.Retries), asynq.Timeout(j.Timeout))
	if errors.Is(err, asynq.ErrTaskIDConflict) {
		return c.revive(j.Queue, j.Unique)
	}
	return err
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
