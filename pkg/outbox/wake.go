package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Relays of a database tell each other of commits: a fact that is committed through
// one's DB may be of a shard that another has. The message is sent by a connection
// of its own, after the commit and for many at a time: in the business transaction
// it would take a lock that all who notify share, until the commit is on disk.

const (
	wakeChannel = "outbox"
	// tellEach is how often commits are told of at most.
	tellEach = 2 * time.Millisecond
	// listenAgain is how often a relay that is alone looks whether it still is.
	listenAgain = time.Second
)

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // whoever waits for it is about to look anyway
	}
}

// keepTelling tells other relays of commits, while there are any, until ctx ends.
// A message that is lost is made up for by polling.
func (r *Relay) keepTelling(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-r.toTell:
		case <-ctx.Done():
			return
		}
		if _, err := r.db.pool.Exec(ctx, `SELECT pg_notify($1, $2)`, wakeChannel, r.name); err != nil && ctx.Err() == nil {
			r.log.DebugContext(ctx, "other relays are not told of a commit; they will find it", "error", err)
		}
		wait(ctx, tellEach)
	}
}

// keepListening listens to other relays while there are any, until ctx ends.
func (r *Relay) keepListening(ctx context.Context) {
	for ctx.Err() == nil {
		if r.others.Load() {
			if err := r.listen(ctx); err != nil && ctx.Err() == nil {
				r.log.DebugContext(ctx, "not told of commits of other processes; they are found by polling", "error", err)
			}
		}
		wait(ctx, listenAgain)
	}
}

func (r *Relay) listen(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, r.db.pool.Config().ConnConfig)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // there is nothing to lose
	if _, err := conn.Exec(ctx, `LISTEN `+wakeChannel); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	signal(r.heard) // what was told before
	for r.others.Load() {
		patient, cancel := context.WithTimeout(ctx, 10*listenAgain)
		n, err := conn.WaitForNotification(patient)
		cancel()
		switch {
		case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		case err != nil:
			return fmt.Errorf("listen: %w", err)
		case n.Payload != r.name:
			signal(r.heard)
		}
	}
	return nil
}
