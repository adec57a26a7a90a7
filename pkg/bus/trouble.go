package bus

import (
	"context"
	"errors"
	"net"
	"syscall"

	"github.com/nats-io/nats.go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cartwheel-shop/cartwheel/pkg/postgres"
	"github.com/cartwheel-shop/cartwheel/pkg/questions"
)

type unavailable struct{ err error }

func (u unavailable) Error() string { return "unavailable: " + u.err.Error() }
func (u unavailable) Unwrap() error { return u.err }

// Unavailable marks err as something that heals by itself: the message waits,
// for ever, and is never a dead letter.
func Unavailable(err error) error {
	if err == nil {
		return nil
	}
	return unavailable{err}
}

// IsUnavailable says whether err is marked by [Unavailable], or is a database, a
// broker or NATS being away, or a deadline that has passed.
func IsUnavailable(err error) bool {
	var marked unavailable
	var network *net.OpError
	switch {
	case err == nil:
		return false
	case errors.As(err, &marked), errors.As(err, &network),
		errors.Is(err, questions.ErrUnavailable),
		errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrNoResponders), errors.Is(err, nats.ErrTimeout), errors.Is(err, nats.ErrDisconnected), errors.Is(err, nats.ErrNoServers),
		errors.Is(err, kgo.ErrClientClosed), kerr.IsRetriable(err),
		errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, context.Canceled): // we are stopping: the message comes again
		return true
	}
	return postgres.IsUnavailable(err)
}
