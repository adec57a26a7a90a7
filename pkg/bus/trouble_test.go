package bus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/nats-io/nats.go"
	"github.com/twmb/franz-go/pkg/kerr"
)

func TestIsUnavailable(t *testing.T) {
	t.Parallel()
	_, refused := net.Dial("tcp", "127.0.0.1:1")
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"nil":                  {nil, false},
		"a refusal":            {errors.New("out of stock"), false},
		"marked":               {Unavailable(errors.New("x")), true},
		"marked and wrapped":   {fmt.Errorf("a: %w", Unavailable(errors.New("x"))), true},
		"joined":               {errors.Join(errors.New("x"), Unavailable(errors.New("y"))), true},
		"connection refused":   {fmt.Errorf("dial: %w", refused), true},
		"Postgres stopping":    {&pgconn.PgError{Code: "57P01"}, true},
		"a deadlock":           {&pgconn.PgError{Code: "40P01"}, true},
		"a constraint":         {&pgconn.PgError{Code: "23514"}, false},
		"NATS away":            {nats.ErrNoResponders, true},
		"Kafka not ready":      {kerr.NotLeaderForPartition, true},
		"Kafka refuses":        {kerr.MessageTooLarge, false},
		"out of time":          {context.DeadlineExceeded, true},
		"cancelled underneath": {context.Canceled, true},
	} {
		if got := IsUnavailable(c.err); got != c.want {
			t.Errorf("%s: got %t, want %t", name, got, c.want)
		}
	}
	if Unavailable(nil) != nil {
		t.Error("Unavailable(nil) is an error")
	}
}
