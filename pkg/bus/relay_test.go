package bus

import (
	"fmt"
	"testing"

	"github.com/cartwheel-shop/cartwheel/pkg/bus/bustest"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox/outboxtest"
)

// The relay publishes through either driver: through ours without waiting for
// answers, through stock watermill-kafka batch by batch.
func TestTheRelayPublishesThroughEachDriver(t *testing.T) {
	for _, driver := range []string{DriverFranz, DriverWatermill} {
		t.Run(driver, func(t *testing.T) {
			brokers := bustest.Fake(t).ListenAddrs()
			cfg := Config{Brokers: brokers, Service: "order", Driver: driver}
			if err := EnsureTopics(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			pub, err := NewPublisher(cfg)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = pub.Close() })
			db := database(t)
			const facts, keys = 200, 7
			for i := range facts {
				if i == facts/2 { // a backlog, and then facts as they come
					outboxtest.RunPublisher(t, db, pub)
				}
				err := db.Tx(t.Context(), func(tx outbox.Tx) error {
					tx.Publish(events.OrderConfirmed{OrderID: fmt.Sprintf("ord_%d", i%keys), CustomerID: "cus_1", Channel: "web", Total: events.Money{Amount: 1, Currency: "EUR"}})
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			newest := map[string]int64{}
			for _, r := range bustest.Read(t, brokers, events.TopicOrders, facts) {
				env, err := events.Decode(r.Value)
				if err != nil {
					t.Fatal(err)
				}
				key, version := string(r.Key), env.Metadata.AggregateVersion
				if version != newest[key]+1 {
					t.Fatalf("version %d of %s after %d", version, key, newest[key])
				}
				newest[key] = version
				if id := messageID(r); id != env.ID {
					t.Fatalf("header ce_id is %q, want %q", id, env.ID)
				}
			}
		})
	}
}
