package bus

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/cartwheel-shop/cartwheel/pkg/bus/bustest"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
)

// Messages that are handed over without waiting arrive in order; behind one that
// is too large nothing of its call is sent.
func TestPublishAsync(t *testing.T) {
	t.Parallel()
	brokers := bustest.Brokers(t)
	topic := bustest.Topic(t, brokers, "async", 1)
	pub := franzPublisherFor(t, brokers, nil).(outbox.AsyncPublisher)
	var wg sync.WaitGroup
	hand := func(answers []error, payloads ...[]byte) {
		messages := make([]outbox.Message, len(payloads))
		for i, p := range payloads {
			messages[i] = outbox.Message{Key: []byte("k"), Headers: []outbox.Header{{Name: "ce_id", Value: []byte("id")}}, Payload: p}
		}
		wg.Add(len(payloads))
		pub.PublishAsync(topic, messages, func(i int, err error) {
			answers[i] = err
			wg.Done()
		})
	}
	const calls = 50
	answers := make([][2]error, calls)
	for n := range calls {
		hand(answers[n][:], fmt.Append(nil, 2*n), fmt.Append(nil, 2*n+1))
	}
	var behind [3]error
	hand(behind[:], []byte("before"), make([]byte, 3*MaxMessage), []byte("behind"))
	wg.Wait()
	for n, a := range answers {
		if a[0] != nil || a[1] != nil {
			t.Fatalf("call %d: %v", n, a)
		}
	}
	if behind[0] != nil || !errors.Is(behind[1], outbox.ErrRefused) || behind[2] == nil || errors.Is(behind[2], outbox.ErrRefused) {
		t.Errorf("got %v; want sent, refused, and not sent for now", behind)
	}
	for i, r := range bustest.Read(t, brokers, topic, 2*calls+1) {
		want := fmt.Sprint(i)
		if i == 2*calls {
			want = "before"
		}
		if got := string(r.Value); got != want || string(r.Headers[0].Value) != "id" {
			t.Fatalf("record %d is %s with %v, want %s", i, got, r.Headers, want)
		}
	}

	_ = pub.Close()
	var late [1]error
	hand(late[:], []byte("late"))
	wg.Wait()
	if !errors.Is(late[0], errClosed) {
		t.Errorf("after the end: %v", late[0])
	}
}
