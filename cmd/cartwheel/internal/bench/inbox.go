package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/inbox"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
)

// effectBatch is how many events one transaction takes.
const effectBatch = 500

// inbox consumes events with an effect that happens exactly once: a row in the
// inbox, and a row of effect.
func (r *runner) inbox(ctx context.Context) error {
	n := r.number(50_000)
	topic, err := r.topic(ctx, "inbox")
	if err != nil {
		return err
	}
	facts, err := r.facts(ctx, topic, n)
	if err != nil {
		return err
	}
	pool, err := r.database(ctx, outbox.Migrations, inbox.Migrations)
	if err != nil {
		return err
	}
	defer pool.Close()
	if _, err := pool.Exec(ctx, `CREATE TABLE effects (consumer text NOT NULL, event_id text NOT NULL, key text NOT NULL, number bigint NOT NULL)`); err != nil {
		return err
	}
	e := &effects{runner: r, pool: pool, db: outbox.Open(pool, "bench"), topic: topic}
	f, err := r.rounds(ctx,
		func(ctx context.Context) (float64, error) { return e.batched(ctx, n) },
		func(ctx context.Context) (float64, error) { return e.single(ctx, r.number(10_000)) },
		func(ctx context.Context) (float64, error) { return e.inserts(ctx, facts) })
	if err != nil {
		return err
	}
	const name, what, unit = "inbox", "durable consume, batches of 500", "events/s"
	r.row(name, what, unit, f[0], "watermill-kafka, a transaction each", f[1], Goal{AtLeast: 10})
	r.row(name, what, unit, f[0], "the inserts alone", f[2], Goal{AtLeast: 0.5})
	return nil
}

// facts publishes n events of the contract and returns them.
func (r *runner) facts(ctx context.Context, topic string, n int) ([]events.Envelope, error) {
	pub, err := bus.NewPublisher(r.bus)
	if err != nil {
		return nil, err
	}
	defer pub.Close()
	facts := make([]events.Envelope, n)
	var batch []*message.Message
	for i := range facts {
		p := events.ShipmentCancelled{ShipmentID: fmt.Sprintf("shp_%021d", i%sampleKeys), OrderID: fmt.Sprintf("ord_%021d", i%sampleKeys), Reason: "a bench"}
		data, err := json.Marshal(p)
		if err != nil {
			return nil, err
		}
		facts[i] = events.Envelope{
			Type: events.Type(p), ID: events.NewEventID(), Timestamp: time.Now().UTC(), Version: "1.0", Data: data,
			Metadata: events.Metadata{Producer: "inventory", CorrelationID: p.OrderID, AggregateID: p.ShipmentID, AggregateVersion: int64(i/sampleKeys + 1)},
		}
		raw, err := json.Marshal(facts[i])
		if err != nil {
			return nil, err
		}
		m := message.NewMessage(facts[i].ID, raw)
		m.Metadata["ce_id"], m.Metadata["ce_type"], m.Metadata[outbox.KeyMetadata] = facts[i].ID, facts[i].Type, p.ShipmentID
		if batch = append(batch, m); len(batch) == 5000 || i == n-1 {
			if err := pub.Publish(topic, batch...); err != nil {
				return nil, err
			}
			batch = nil
		}
	}
	return facts, ctx.Err()
}

// effects is the sides of the inbox's bench. Each run is a consumer of its own.
type effects struct {
	*runner
	pool  *pgxpool.Pool
	db    *outbox.DB
	topic string
}

// batched is ours: one transaction and one inbox statement for each batch.
func (e *effects) batched(ctx context.Context, n int) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	meter := newMeter(max(1, n-effectBatch), cancel) // the last batch is under way when it is over
	name := "effects-" + unique()
	consumer := bus.BatchAll(name, e.db, effectBatch, []string{e.topic}, func(ctx context.Context, tx outbox.Tx, facts []events.Envelope) error {
		meter.begin()
		defer meter.add(len(facts))
		return insert(ctx, tx, name, facts)
	})
	group := e.bus.Service + "." + name
	e.topics = append(e.topics, bus.DeadTopic(group), bus.RedriveTopic(group))
	if err := bus.Run(ctx, e.bus, []bus.Consumer{consumer}); err != nil {
		return 0, err
	}
	return meter.rate()
}

// insert is the effect of a batch.
func insert(ctx context.Context, tx pgx.Tx, consumer string, facts []events.Envelope) error {
	ids, keys, numbers := make([]string, len(facts)), make([]string, len(facts)), make([]int64, len(facts))
	for i, f := range facts {
		ids[i], keys[i], numbers[i] = f.ID, f.Metadata.AggregateID, f.Metadata.AggregateVersion
	}
	_, err := tx.Exec(ctx, `INSERT INTO effects SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bigint[])`, consumer, ids, keys, numbers)
	return err
}

// single is what Watermill's drivers and Router invite to: one transaction for
// each message, as many at a time as there are partitions.
func (e *effects) single(ctx context.Context, n int) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	meter := newMeter(n, cancel)
	name := "effects-" + unique()
	sub, err := bus.NewSubscriber(stock(e.bus), "bench."+name)
	if err != nil {
		return 0, err
	}
	defer sub.Close()
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: 5 * time.Second}, watermill.NewSlogLogger(e.Log))
	if err != nil {
		return 0, err
	}
	router.AddConsumerHandler("bench", e.topic, sub, func(m *message.Message) error {
		meter.begin()
		fact, err := events.Decode(m.Payload)
		if err != nil {
			return err
		}
		// Without the router's context: a transaction that has begun may finish.
		work := context.WithoutCancel(m.Context())
		err = pgx.BeginFunc(work, e.pool, func(tx pgx.Tx) error {
			seen, err := inbox.Seen(work, tx, name, fact.ID)
			if err != nil || seen {
				return err
			}
			_, err = tx.Exec(work, `INSERT INTO effects VALUES ($1, $2, $3, $4)`, name, fact.ID, fact.Metadata.AggregateID, fact.Metadata.AggregateVersion)
			return err
		})
		if err == nil {
			meter.add(1)
		}
		return err
	})
	if err := router.Run(ctx); err != nil {
		return 0, err
	}
	return meter.rate()
}

// inserts does what the batches do in Postgres, without Kafka.
func (e *effects) inserts(ctx context.Context, facts []events.Envelope) (float64, error) {
	name := "effects-" + unique()
	began := time.Now()
	for first := 0; first < len(facts); first += effectBatch {
		batch := facts[first:min(first+effectBatch, len(facts))]
		ids := make([]string, len(batch))
		for i, f := range batch {
			ids[i] = f.ID
		}
		err := e.db.Tx(ctx, func(tx outbox.Tx) error {
			fresh, err := inbox.Fresh(ctx, tx, name, ids)
			if err != nil {
				return err
			}
			if len(fresh) != len(batch) {
				return errors.New("the inbox knows events that nobody has handled")
			}
			return insert(ctx, tx, name, batch)
		})
		if err != nil {
			return 0, err
		}
	}
	return perSecond(len(facts), time.Since(began)), nil
}
