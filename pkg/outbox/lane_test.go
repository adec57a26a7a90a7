package outbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
)

// moody is Kafka as its contract lets it be: it takes messages late, refuses some
// for good, and when it fails one it fails all that it holds.
type moody struct {
	mu      sync.Mutex
	random  *rand.Rand
	held    []held
	log     []string // key:payload
	refuses func(m Message) bool
	failing error // what is handed over before an error is reported does not arrive either
	stopped bool
}

type held struct {
	m      Message
	answer func(error)
}

func (k *moody) PublishAsync(_ string, messages []Message, answered func(int, error)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, m := range messages {
		if k.failing != nil {
			answered(i, k.failing)
			continue
		}
		k.held = append(k.held, held{m, func(err error) { answered(i, err) }})
	}
}

func (k *moody) Publish(string, ...*message.Message) error { return errors.New("not used") }
func (k *moody) Close() error                              { return nil }

// work takes, refuses and fails until it is stopped.
func (k *moody) work() {
	for {
		k.mu.Lock()
		if k.stopped {
			k.mu.Unlock()
			return
		}
		n := 0
		err := error(nil)
		if len(k.held) > 0 {
			n = 1 + k.random.IntN(len(k.held))
			if k.random.IntN(6) == 0 {
				err, n = errors.New("not now"), len(k.held)
			}
			if at := slices.IndexFunc(k.held[:n], func(h held) bool { return k.refuses(h.m) }); at >= 0 {
				if err, n = ErrRefused, len(k.held); at > 0 {
					err, n = nil, at
				}
			}
		}
		now := k.held[:n]
		k.held = k.held[n:]
		if err != nil {
			k.failing = errors.New("behind what failed")
		}
		if err == nil {
			for _, h := range now {
				k.log = append(k.log, string(h.m.Key)+":"+string(h.m.Payload))
			}
		}
		k.mu.Unlock()
		k.random.Shuffle(len(now), func(i, j int) { now[i], now[j] = now[j], now[i] }) // answers have no order
		for _, h := range now {
			h.answer(err)
		}
		k.mu.Lock()
		k.failing = nil
		k.mu.Unlock()
	}
}

// Whatever Kafka does, the rows of a key are sent in order, each is answered once,
// and what is refused is parked with all that comes after it under its key, and
// nothing else is.
func TestALaneKeepsTheOrder(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1))
		k := &moody{random: rand.New(rand.NewPCG(seed, 2)), refuses: func(m Message) bool { return string(m.Key) == "k3" && string(m.Payload) == "40" }}
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(k.work)
		l := newLane(ctx, "orders", k, quiet)
		var all sync.WaitGroup
		var batches []*batch
		const rows, keys = 300, 5
		next, seq := map[string]int{}, int64(0)
		for seq < rows {
			b := &batch{no: int64(len(batches)), topic: "orders", gone: func() bool { return false }, done: func(*batch) { all.Done() }}
			for range 1 + random.IntN(20) {
				seq++
				key := fmt.Sprintf("k%d", random.IntN(keys))
				next[key]++
				b.rows = append(b.rows, row{Message: Message{Key: []byte(key), Payload: fmt.Append(nil, next[key])}, seq: seq})
			}
			b.left.Store(int64(len(b.rows)))
			batches = append(batches, b)
			all.Add(1)
			l.hand(b)
		}
		all.Wait()
		k.mu.Lock()
		k.stopped = true
		k.mu.Unlock()
		wg.Wait()
		stop()

		got := map[string][]string{}
		for _, entry := range k.log {
			key, payload := entry[:2], entry[3:]
			got[key] = append(got[key], payload)
		}
		parkedRows := 0
		for _, b := range batches {
			for _, p := range b.refused {
				parkedRows++
				if key := string(p.Key); key != "k3" || len(p.Payload) < 2 || (p.reason == behindRefused) == (string(p.Payload) == "40") {
					t.Fatalf("seed %d: parked %s %s: %s", seed, key, p.Payload, p.reason)
				}
			}
		}
		for key, n := range next {
			want := n
			if key == "k3" {
				want = min(39, n)
			}
			for i, payload := range got[key] {
				if payload != fmt.Sprint(i+1) {
					t.Fatalf("seed %d: %s has %v", seed, key, got[key])
				}
			}
			if len(got[key]) != want {
				t.Fatalf("seed %d: %s has %d rows, want %d", seed, key, len(got[key]), want)
			}
		}
		if want := max(0, next["k3"]-39); parkedRows != want {
			t.Fatalf("seed %d: %d rows are parked, want %d", seed, parkedRows, want)
		}
	}
}
