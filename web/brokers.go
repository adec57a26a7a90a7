package web

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Brokers is how everything stands that messages go through.
type Brokers struct {
	At         time.Time   `json:"at"`
	Topics     []Topic     `json:"topics" nullable:"false" doc:"of Kafka"`
	Groups     []Group     `json:"groups" nullable:"false" doc:"consumer groups of Kafka"`
	TaskQueues []TaskQueue `json:"task_queues" nullable:"false" doc:"of the saga engine, Temporal"`
	JobQueues  []JobQueue  `json:"job_queues" nullable:"false" doc:"of mails, in Redis"`
	Mails      *Mails      `json:"mails,omitempty" doc:"the mails themselves, which the database knows of"`
	Streams    []Stream    `json:"streams" nullable:"false" doc:"of JetStream"`
	Missing    []string    `json:"missing" nullable:"false" doc:"what could not be asked: a broker, or the service that asks it"`
}

// Topic of Kafka.
type Topic struct {
	Name       string  `json:"name"`
	Partitions int     `json:"partitions"`
	Records    int64   `json:"records" doc:"kept at this moment"`
	End        int64   `json:"end" doc:"ever written"`
	PerSecond  float64 `json:"per_second" doc:"written, on average over the last 10 s"`
}

// Group is a consumer group of Kafka.
type Group struct {
	Group   string `json:"group"`
	State   string `json:"state"`
	Members int    `json:"members"`
	Lag     int64  `json:"lag" doc:"written and not read yet"`
	Topics  []Lag  `json:"topics" nullable:"false"`
}

// Lag of a group in one topic.
type Lag struct {
	Topic string `json:"topic"`
	Lag   int64  `json:"lag"`
}

// TaskQueue of Temporal.
type TaskQueue struct {
	Name       string  `json:"name"`
	Kind       string  `json:"kind" enum:"workflow,activity"`
	Pollers    int     `json:"pollers"`
	Backlog    int64   `json:"backlog"`
	OldestSecs float64 `json:"oldest_seconds" doc:"how long the oldest task waits"`
	AddedPerS  float64 `json:"added_per_second"`
	DonePerS   float64 `json:"dispatched_per_second"`
}

// JobQueue of Asynq.
type JobQueue struct {
	Name      string  `json:"name"`
	Pending   int     `json:"pending"`
	Active    int     `json:"active"`
	Scheduled int     `json:"scheduled"`
	Retry     int     `json:"retry" doc:"failed, and waiting to be tried again"`
	Archived  int     `json:"archived" doc:"given up: the dead letters of jobs"`
	Processed int     `json:"processed_today"`
	Failed    int     `json:"failed_today"`
	WaitSecs  float64 `json:"oldest_seconds"`
}

// Mails by how they stand.
type Mails struct {
	Queued   int `json:"queued"`
	Retrying int `json:"retrying" doc:"tried, and waiting for another attempt"`
	Sending  int `json:"sending"`
	Sent     int `json:"sent"`
	Failed   int `json:"failed"`
}

// Stream of JetStream.
type Stream struct {
	Name     string `json:"name"`
	Messages uint64 `json:"messages"`
	Bytes    uint64 `json:"bytes"`
	LastSeq  uint64 `json:"last_seq"`
}

// brokers joins what the services say of the brokers that they use. Who does not
// answer is named, and costs the rest nothing.
func (e *Edge) brokers(ctx context.Context) Brokers {
	out := Brokers{
		At: time.Now().UTC(), Topics: []Topic{}, Groups: []Group{}, TaskQueues: []TaskQueue{}, JobQueues: []JobQueue{}, Streams: []Stream{}, Missing: []string{},
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, name := range []string{"analytics", "notification", "order"} {
		wg.Go(func() {
			var part Brokers
			err := e.get(ctx, name, "/internal/brokers", &part)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				part.Missing = append(part.Missing, name)
			}
			out.Topics = append(out.Topics, part.Topics...)
			out.Groups = append(out.Groups, part.Groups...)
			out.TaskQueues = append(out.TaskQueues, part.TaskQueues...)
			out.JobQueues = append(out.JobQueues, part.JobQueues...)
			out.Streams = append(out.Streams, part.Streams...)
			out.Missing = append(out.Missing, part.Missing...)
			if part.Mails != nil {
				out.Mails = part.Mails
			}
		})
	}
	wg.Wait()
	slices.Sort(out.Missing)
	return out
}
