package outbox

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// counting is a Kafka that takes everything at once and counts it.
type counting chan int

func (c counting) PublishAsync(_ string, messages []Message, answered func(int, error)) {
	for i := range messages {
		answered(i, nil)
	}
	c <- len(messages)
}
func (counting) Publish(string, ...*message.Message) error { panic("not used") }
func (counting) Close() error                              { return nil }

// Relays that poll once an hour send, at once, what is committed through the other
// one's DB into shards of theirs.
func TestRelaysTellEachOtherOfCommits(t *testing.T) {
	first, _ := database(t, 0)
	second := Open(named(t, first.pool, "second"), "test")
	sent := make(counting, 1000)
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	for _, db := range []*DB{first, second} {
		r := NewRelay(db, sent, quiet, WithLease(400*time.Millisecond))
		r.idleMin, r.idleMax = time.Hour, time.Hour
		go func() { ended <- r.Run(ctx) }()
	}
	number := func(sql string) (n int) {
		if err := first.pool.QueryRow(t.Context(), sql).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	until(t, "both relays have their shards", func() bool {
		return number(`SELECT count(*) FROM (SELECT FROM outbox_cursors GROUP BY owner HAVING count(*) = 32) o`) == 2
	})
	until(t, "both listen", func() bool {
		return number(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query = 'LISTEN outbox'`) == 2
	})
	total, patience := 0, time.After(20*time.Second)
	for round := range 5 {
		db := []*DB{first, second}[round%2]
		err := db.Tx(t.Context(), func(tx Tx) error {
			for i := range 100 { // keys of both
				tx.Publish(payload(topicKey{"orders", fmt.Sprint(i)}, "cus_1"))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for total < 100*(round+1) {
			select {
			case n := <-sent:
				total += n
			case <-patience:
				t.Fatalf("%d of %d facts are sent", total, 100*(round+1))
			}
		}
	}
	end()
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
