package outbox

import (
	"fmt"
	"slices"
	"testing"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
)

// stuckTopic returns a machine with a relay that has room for six rows, and facts
// of two topics, of which Kafka has answered about one only. All of that one have
// arrived.
func stuckTopic(t *testing.T) (m *machine, db *DB) {
	t.Helper()
	const facts = 40 // of each topic
	db, conns := database(t, 2)
	m = newMachine(t, db, conns[:1], newOurs, conns[1])
	t.Cleanup(m.abandon)
	m.relay.chunk(3)
	m.relay.room(6)
	var stock []topicKey
	for i := range facts {
		order, released := m.order(fmt.Sprint(i%4)), m.stock(fmt.Sprint(i%4))
		m.publish(m.writers[0], order, released)
		if i < 4 {
			stock = append(stock, released)
		}
	}
	arrived := func() (n int) {
		for _, k := range stock {
			n += len(m.kafka.firstOf(k))
		}
		return n
	}
	for round := 0; arrived() < facts; round++ {
		m.look(m.relay)
		m.relay.wire().arrive(all, stock...)
		m.relay.wire().answer(all, stock...)
		m.store(m.relay)
		if round > 10*facts {
			t.Fatalf("%d of %d facts arrive while another topic is stuck", arrived(), facts)
		}
	}
	for key := range m.kafka.of(m.name) {
		if key.topic == events.TopicOrders {
			t.Fatalf("%v arrived though its topic is stuck", key)
		}
	}
	if held := m.relay.(*ours).relay.budget.of(events.TopicOrders).rows; held > 6+3 {
		t.Errorf("%d rows of the stuck topic are in memory", held)
	}
	return m, db
}

// A topic that Kafka does not answer about holds up no other, also when it has more
// rows than the memory, and loses, reorders and repeats nothing when it moves again.
func TestATopicThatIsStuckHoldsUpNoOther(t *testing.T) {
	m, db := stuckTopic(t)
	m.drain()
	if n, err := db.Pending(t.Context()); err != nil || n != 0 {
		t.Fatalf("%d facts wait, %v; want 0", n, err)
	}
}

// What was passed over does not count as sent, whether or not what was handed over
// before it is answered.
func TestACrashWithATopicSetAsideLosesNothing(t *testing.T) {
	for _, answered := range []bool{false, true} {
		m, _ := stuckTopic(t)
		if answered {
			m.relay.wire().arrive(all)
			m.relay.wire().answer(all)
		}
		m.store(m.relay)
		m.kafka.failed = true
		m.restart()
		m.drain()
	}
}

// A topic that has caught up before the others stays aside until they have too:
// they would come to its rows again.
func TestATopicThatCatchesUpFirstIsNotSentTwice(t *testing.T) {
	db, conns := database(t, 2)
	m := newMachine(t, db, conns[:1], newOurs, conns[1])
	defer m.abandon()
	m.relay.chunk(1)
	m.relay.room(1)
	order, other := m.order("a"), m.stock("a")
	m.publish(m.writers[0], order)
	m.look(m.relay)
	m.publish(m.writers[0], other)
	m.look(m.relay) // the order is set aside, for want of room
	if !m.relay.(*ours).setAside() {
		t.Fatal("no topic is set aside")
	}
	m.relay.room(1000)
	m.relay.wire().arrive(all)
	m.relay.wire().answer(all)
	m.publish(m.writers[0], slices.Repeat([]topicKey{other}, 300)...) // several looks, of one shard
	m.publish(m.writers[0], order)
	m.drain()
}
