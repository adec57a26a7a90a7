//go:build real

package chaos

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
)

var (
	long = flag.Duration("long", 0, "how long the random schedule takes; 0: it is left out")
	seed = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the random schedule")
)

// step is a fault; it returns when that is over.
type step struct {
	name string
	do   func(*plant)
}

// kill ends the broker as a crash does; it is started again on its data.
func kill() step {
	return step{"kill -9 of the broker", func(p *plant) { p.signal(syscall.SIGKILL) }}
}

func pause(d time.Duration) step {
	return step{fmt.Sprintf("broker paused for %s", d), func(p *plant) {
		p.signal(syscall.SIGSTOP)
		time.Sleep(d)
		p.signal(syscall.SIGCONT)
	}}
}

func reset() step {
	return step{"connections reset", func(p *plant) { p.proxy.reset() }}
}

func delay(d, of time.Duration) step {
	return step{fmt.Sprintf("connections delayed by %s for %s", d, of), func(p *plant) {
		p.proxy.delay.Store(int64(d))
		time.Sleep(of)
		p.proxy.delay.Store(0)
	}}
}

// restart stops one of the plant's parts and starts it again.
func restart(i int) step {
	return step{fmt.Sprintf("part %d restarted", i+1), func(p *plant) {
		p.parts[i].stop()
		p.resume(p.parts[i])
	}}
}

// A broker that is killed, paused and cut off, and a relay and a consumer that
// are stopped meanwhile: what was committed is in Kafka and took effect once, in
// the order of its key.
func TestBrokerFaults(t *testing.T) {
	run(t, 1, []step{
		delay(50*time.Millisecond, 2*time.Second), reset(), kill(), restart(0), reset(), pause(10 * time.Second), restart(2), reset(), kill(), restart(3), reset(),
	})
}

// The same by a random schedule. Its seed is printed.
func TestBrokerFaultsAtRandom(t *testing.T) {
	if *long == 0 {
		t.Skip("only with -long, as make test-long says it")
	}
	t.Logf("-long=%s -seed=%d", *long, *seed)
	random := rand.New(rand.NewPCG(*seed, 0))
	var steps []step
	for left := *long; left > 0; {
		var s step
		took := 3 * time.Second // until facts flow again
		switch random.IntN(6) {
		case 0:
			s, took = kill(), 10*time.Second
		case 1:
			d := time.Duration(1+random.IntN(40)) * time.Second
			s, took = pause(d), took+d
		case 2:
			s, took = delay(time.Duration(random.IntN(300))*time.Millisecond, 5*time.Second), took+5*time.Second
		case 3:
			s = restart(random.IntN(4))
		default:
			s = reset()
		}
		steps, left = append(steps, s), left-took
	}
	run(t, *seed, steps)
}

// run goes through the faults while facts flow; between two of them it waits until
// facts that were committed after the first have arrived.
func run(t *testing.T, seed uint64, steps []step) {
	p := build(t)
	p.write(seed)
	log := p.follow()
	log.awaitNew()
	for _, s := range steps {
		t.Log(s.name)
		s.do(p)
		log.awaitNew()
	}
	want := p.finish()
	log.await("all committed facts to be in Kafka", func() bool { return log.distinct() >= want })
	for _, consumer := range []string{"one", "many"} {
		log.await("all facts to have their effect on "+consumer, func() bool { return p.effects(consumer) >= want })
	}
	for _, x := range p.parts {
		x.stop()
	}
	records := log.finish()
	t.Logf("%d facts were committed, Kafka has %d records of them", want, len(records))
	p.wantInKafka(records)
	p.wantEffects("one")
	p.wantEffects("many")
}

// record is a fact as it stands in Kafka.
type record struct {
	id, key, reason string
	version         int64
}

// wantInKafka: every committed fact at least once, none that was rolled back, and
// the versions of a key appear in order, without a gap.
func (p *plant) wantInKafka(records []record) {
	p.t.Helper()
	newest, seen := map[string]int64{}, map[string]bool{}
	for _, r := range records {
		if r.reason != kept {
			p.t.Errorf("version %d of %s was %s, and is in Kafka", r.version, r.key, r.reason)
		}
		if seen[r.id] {
			continue
		}
		seen[r.id] = true
		if r.version != newest[r.key]+1 {
			p.t.Errorf("version %d of %s appears after %d", r.version, r.key, newest[r.key])
		}
		newest[r.key] = r.version
	}
	for key, n := range p.committed {
		if newest[key] != n {
			p.t.Errorf("%d facts of %s were committed, the newest in Kafka is %d", n, key, newest[key])
		}
	}
}

// wantEffects: every committed fact once, in the order of its key.
func (p *plant) wantEffects(consumer string) {
	p.t.Helper()
	rows, err := p.pool.Query(p.t.Context(), `SELECT key, array_agg(version ORDER BY seq), bool_and(reason = $2) FROM effects WHERE consumer = $1 GROUP BY key`, consumer, kept)
	if err != nil {
		p.t.Fatal(err)
	}
	defer rows.Close()
	found := map[string]bool{}
	for rows.Next() {
		var key string
		var versions []int64
		var allKept bool
		if err := rows.Scan(&key, &versions, &allKept); err != nil {
			p.t.Fatal(err)
		}
		found[key] = true
		for i, v := range versions {
			if v != int64(i)+1 {
				p.t.Errorf("%s, %s: effect %d is of version %d", consumer, key, i+1, v)
				break
			}
		}
		if n := p.committed[key]; int64(len(versions)) != n || !allKept {
			p.t.Errorf("%s, %s: %d effects of %d facts; only of committed ones: %t", consumer, key, len(versions), n, allKept)
		}
	}
	if err := rows.Err(); err != nil || len(found) != len(p.committed) {
		p.t.Errorf("%s: effects of %d keys, want %d: %v", consumer, len(found), len(p.committed), err)
	}
}

func (p *plant) effects(consumer string) (n int) {
	p.t.Helper()
	if err := p.pool.QueryRow(p.t.Context(), `SELECT count(*) FROM effects WHERE consumer = $1`, consumer).Scan(&n); err != nil {
		p.t.Fatal(err)
	}
	return n
}

// follower reads the topic as any client does.
type follower struct {
	p       *plant
	arrived chan record
	stop    context.CancelFunc
	ended   chan struct{}

	records []record
	seen    map[string]bool
}

func (p *plant) follow() *follower {
	c, err := kgo.NewClient(kgo.SeedBrokers(p.cfg.Brokers...), kgo.ConsumeTopics(events.TopicOrders), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DialTimeout(2*time.Second), kgo.MetadataMinAge(250*time.Millisecond))
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	f := &follower{p: p, arrived: make(chan record, 1<<16), stop: cancel, ended: make(chan struct{}), seen: map[string]bool{}}
	go func() {
		defer close(f.ended)
		defer c.Close()
		for ctx.Err() == nil {
			c.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
				env, err := events.Decode(r.Value)
				var data events.OrderCancelled
				if err == nil {
					err = json.Unmarshal(env.Data, &data)
				}
				if err != nil || string(r.Key) != env.Metadata.AggregateID {
					p.t.Errorf("key %s, value %s: %v", r.Key, r.Value, err)
				}
				select {
				case f.arrived <- record{env.ID, string(r.Key), data.Reason, env.Metadata.AggregateVersion}:
				case <-ctx.Done():
				}
			})
		}
	}()
	p.t.Cleanup(func() { cancel(); <-f.ended })
	return f
}

// look takes in what has arrived.
func (f *follower) look() {
	for {
		select {
		case r := <-f.arrived:
			f.records, f.seen[r.id] = append(f.records, r), true
		default:
			return
		}
	}
}

func (f *follower) distinct() int { f.look(); return len(f.seen) }

func (f *follower) await(what string, holds func() bool) {
	f.p.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !holds(); <-tick.C {
		if time.Now().After(end) {
			f.p.t.Fatalf("waited %s for %s: %s", patience, what, f.p.standing(f))
		}
	}
}

// awaitNew waits until what is committed now, and no matter how late, is in Kafka.
func (f *follower) awaitNew() {
	f.p.t.Helper()
	f.p.mu.Lock()
	want := 1
	for _, n := range f.p.committed {
		want += int(n)
	}
	f.p.mu.Unlock()
	f.await("facts to flow", func() bool { return f.distinct() >= want })
}

func (f *follower) finish() []record {
	f.stop()
	<-f.ended
	f.look()
	return f.records
}

// standing says how far everything has come.
func (p *plant) standing(f *follower) string {
	p.mu.Lock()
	n := 0
	for _, v := range p.committed {
		n += int(v)
	}
	p.mu.Unlock()
	said := []string{fmt.Sprintf("%d committed, %d in Kafka", n, f.distinct())}
	for _, c := range []string{"one", "many"} {
		said = append(said, fmt.Sprintf("%d effects of %s", p.effects(c), c))
	}
	return strings.Join(said, ", ")
}
