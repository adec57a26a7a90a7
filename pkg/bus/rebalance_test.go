package bus

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cartwheel-shop/cartwheel/pkg/bus/bustest"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
)

// Members come and go while events flow: each event has its effect exactly
// once, in the order of its key.
func TestEffectsAreExactlyOnceAcrossRebalances(t *testing.T) {
	t.Parallel()
	const keys, n, rounds = 12, 60, 5
	for _, kind := range []string{"once", "batch"} {
		for _, driver := range drivers {
			if kind == "batch" && driver == DriverWatermill {
				continue // batches read with franz-go
			}
			t.Run(kind+"/"+driver, func(t *testing.T) {
				t.Parallel()
				s, db := newShop(t, 8), database(t)
				s.cfg.Driver = driver
				member := func() (stop func()) {
					return s.run(kinds(db, func(context.Context, events.Metadata) error { return nil })[kind])
				}
				stay := member()
				defer stay()
				all := orders(t, keys, n)
				per := len(all) / rounds
				for round := range rounds {
					leave := member()
					s.write(all[round*per : (round+1)*per]...)
					bustest.Await(t, func() bool { return count(effects(t, db)) > round*per }, "a first effect of round %d", round)
					leave()
				}
				bustest.Await(t, func() bool { return count(effects(t, db)) >= len(all) }, "%d effects", len(all))
				wantInOrder(t, effects(t, db), keys, n)
				s.letters("c", 0)
			})
		}
	}
}

// A partition whose handler waits for something that is away, or is in the middle
// of its attempts, is given up when another member comes; nobody waits for it.
func TestAWaitingPartitionCanMove(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]error{"unavailable": Unavailable(errors.New("away for this member only")), "failing": errors.New("refused by this member only")} {
		for _, kind := range []string{"each", "once", "batch"} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				s, db := newShop(t, 2), database(t)
				s.cfg.Attempts, s.cfg.Backoff = 1_000_000, 10*time.Millisecond
				left, right := keysOfTwoPartitions(t, s)
				s.write(order(t, left, 1), order(t, right, 1))
				tried := make(chan struct{})
				first := sync.OnceFunc(func() { close(tried) })
				stopFirst := s.run(kinds(db, func(context.Context, events.Metadata) error {
					first()
					return trouble
				})[kind])
				<-tried
				var got recorder
				s.run(kinds(db, func(_ context.Context, m events.Metadata) error { got.add(m); return nil })[kind])
				bustest.Await(t, func() bool { return got.count() == 1 }, "the second member to handle one partition")
				stopFirst()
				bustest.Await(t, func() bool { return s.committed("c") == 2 }, "both partitions handled")
				s.letters("c", 0)
			})
		}
	}
}

// A batch that is being handled when another member comes is ended, and made
// anew of what is still ours; all takes effect once.
func TestABatchInTheMiddleOfARebalance(t *testing.T) {
	t.Parallel()
	s, db := newShop(t, 2), database(t)
	const keys, n = 8, 5
	s.write(orders(t, keys, n)...)
	inside := make(chan struct{})
	first := sync.OnceFunc(func() { close(inside) })
	s.run(Batch("c", db, keys*n, func(ctx context.Context, tx outbox.Tx, list []confirmed) error {
		if err := apply(ctx, tx, list); err != nil {
			return err
		}
		select {
		case <-inside:
			return nil
		default:
			first()
			<-ctx.Done()
			return ctx.Err()
		}
	}))
	<-inside
	s.run(Batch("c", db, keys*n, apply))
	bustest.Await(t, func() bool { return s.committed("c") == keys*n }, "all offsets committed")
	wantInOrder(t, effects(t, db), keys, n)
	s.letters("c", 0)
}

// A batch that waits for its turn loses the records of a partition that goes
// meanwhile, also when it comes back: another member may have gone past them.
func TestABatchThatWaitsLosesWhatHasGone(t *testing.T) {
	t.Parallel()
	parts := func(n ...int32) map[string][]int32 { return map[string][]int32{"orders": n} }
	offsets := func(items []item) (out []int64) {
		for _, it := range items {
			out = append(out, it.record.Offset)
		}
		return out
	}
	b := &batches{router: &router{}, owned: map[topicPartition]*tenure{}}
	b.assigned(t.Context(), nil, parts(0, 1))
	waiting := b.claim([]*kgo.Record{
		{Topic: "orders", Partition: 0, Offset: 1}, {Topic: "orders", Partition: 1, Offset: 2},
		{Topic: "orders", Partition: 0, Offset: 3}, {Topic: "orders", Partition: 2, Offset: 4},
	})
	b.lost(t.Context(), nil, parts(0))
	b.assigned(t.Context(), nil, parts(0))
	mine, _, landed := b.takeOff(t.Context(), waiting)
	landed(nil)
	if got := offsets(mine); !slices.Equal(got, []int64{2}) {
		t.Errorf("it took off with offsets %v, want 2 only, which has stayed", got)
	}
	mine, _, landed = b.takeOff(t.Context(), b.claim([]*kgo.Record{{Topic: "orders", Partition: 0, Offset: 5}}))
	landed(nil)
	if got := offsets(mine); !slices.Equal(got, []int64{5}) {
		t.Errorf("it took off with offsets %v, want 5, which was polled after the partition came back", got)
	}
}

// A topic is deleted and made anew while events of it are handled: they are not
// marked, since the offset behind them would skip events of the new one.
func TestATopicMadeAnewIsReadFromItsStart(t *testing.T) {
	t.Parallel()
	records := map[string]*kgo.Record{"orders": {Topic: "orders", Offset: 41, Key: []byte("k")}, "payments": {Topic: "payments", Offset: 7, Key: []byte("k")}}
	anew := map[string]bool{"orders": true}
	want := map[string]map[int32]kgo.EpochOffset{"payments": {0: {Offset: 8}}}
	t.Run("each", func(t *testing.T) {
		t.Parallel()
		m, err := newMember(alone(t), "c", []string{"orders", "payments"})
		if err != nil {
			t.Fatal(err)
		}
		defer m.wait()
		defer m.stop()
		var out []*message.Message
		for topic, r := range records {
			messages := m.subscribe(t.Context(), topic)
			m.partition(topicPartition{topic, 0}).add([]*kgo.Record{r})
			out = append(out, <-messages)
		}
		m.renew(anew)
		for _, o := range out {
			o.Ack()
		}
		bustest.Await(t, func() bool { return len(m.client.MarkedOffsets()) > 0 }, "a mark")
		if got := m.client.MarkedOffsets(); !reflect.DeepEqual(got, want) {
			t.Errorf("marked %v, want %v", got, want)
		}
	})
	t.Run("batch", func(t *testing.T) {
		t.Parallel()
		b := batchesOf(t, alone(t))
		b.assigned(t.Context(), nil, map[string][]int32{"orders": {0}, "payments": {0}})
		mine, _, landed := b.takeOff(t.Context(), b.claim([]*kgo.Record{records["orders"], records["payments"]}))
		b.renew(anew)
		landed(mine)
		if got := b.client.MarkedOffsets(); !reflect.DeepEqual(got, want) {
			t.Errorf("marked %v, want %v", got, want)
		}
	})
}

// A batch that is being handled when its partition is lost ends, also when the
// partition comes back and goes for good before it does; it marks nothing.
func TestABatchOfAFormerTenure(t *testing.T) {
	t.Parallel()
	parts := map[string][]int32{"orders": {0}}
	for name, leave := range map[string]func(*batches){
		"lost":           func(b *batches) { b.lost(t.Context(), nil, parts) },
		"assigned twice": func(*batches) {}, // as of a topic that was made anew
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := alone(t)
			cfg.Drain = time.Minute
			b := batchesOf(t, cfg)
			b.assigned(t.Context(), nil, parts)
			mine, work, landed := b.takeOff(t.Context(), b.claim([]*kgo.Record{{Topic: "orders", Offset: 41}}))
			leave(b)
			b.assigned(t.Context(), nil, parts)
			revoked := make(chan struct{})
			go func() {
				defer close(revoked)
				b.revoked(t.Context(), nil, parts)
			}()
			bustest.Await(t, func() bool { return work.Err() != nil }, "the batch to be told")
			select {
			case <-revoked:
				t.Error("the revocation did not wait for the batch")
			default:
			}
			landed(mine)
			<-revoked
			if got := b.client.MarkedOffsets(); len(got) > 0 {
				t.Errorf("marked %v after the partition had gone", got)
			}
		})
	}
}

// alone configures a member that meets no broker.
func alone(t *testing.T) Config {
	t.Helper()
	cfg, err := Config{Brokers: []string{"127.0.0.1:1"}, Service: "svc", Drain: time.Second}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func batchesOf(t *testing.T, cfg Config) *batches {
	t.Helper()
	client, err := kgo.NewClient(groupOptions(cfg, "c", kgo.ConsumeTopics("orders", "payments"))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { leave(client) })
	figures, err := newInstruments(cfg.Metrics)
	if err != nil {
		t.Fatal(err)
	}
	return &batches{router: &router{cfg: cfg, log: cfg.Log, figures: figures}, owned: map[topicPartition]*tenure{}, client: client, commits: newCommitter(client, cfg, "c")}
}

// Two members that both believe they own every partition handle each event at
// the same time: it takes effect once, in order.
func TestTwoOwnersOfAPartition(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"once", "in order", "batch"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s, db := newShop(t, 2), database(t)
			const keys, n = 8, 25
			twin := *s
			twin.cfg.Service = bustest.Unique("twin") // a group of its own, so that it is given all
			member := func() Consumer {
				all := kinds(db, func(context.Context, events.Metadata) error { return nil })
				all["in order"] = all["once"].InOrder()
				all["batch"] = Batch("c", db, 7, apply)
				return all[kind]
			}
			s.run(member())
			twin.run(member())
			s.write(orders(t, keys, n)...)
			bustest.Await(t, func() bool { return s.committed("c") == keys*n && twin.committed("c") == keys*n }, "all offsets committed by both")
			wantInOrder(t, effects(t, db), keys, n)
			s.letters("c", 0)
			twin.letters("c", 0)
		})
	}
}
