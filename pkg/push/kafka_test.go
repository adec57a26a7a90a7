package push

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
	"github.com/cartwheel-shop/cartwheel/pkg/bus/bustest"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
)

// What one replica has shown of a Kafka, another one goes on from, by the token;
// facts of a key come in order, once.
func TestReplicasFollowKafka(t *testing.T) {
	brokers := bustest.Brokers(t)
	cfg := bus.Config{Brokers: brokers, Service: "push"}
	if err := bus.EnsureTopics(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	replica := func() string {
		hub := NewHub(Config{Source: Kafka{cfg}, Topics: []string{events.TopicOrders}, Log: slog.New(slog.DiscardHandler), Ring: 1000, Queue: 1000})
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- hub.Run(ctx) }()
		srv := httptest.NewServer(http.HandlerFunc(hub.ServeWS))
		t.Cleanup(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			srv.Close()
		})
		bustest.Await(t, func() bool { return hub.Ready(t.Context()) == nil }, "a replica to be ready")
		return "ws" + strings.TrimPrefix(srv.URL, "http")
	}
	key := bustest.Unique("ord")
	write := func(from, to int64) {
		for v := from; v <= to; v++ {
			env := bustest.Event(t, events.OrderConfirmed{OrderID: key, Channel: "web"}, v)
			bustest.Write(t, brokers, bustest.Record(t, events.TopicOrders, env))
		}
	}
	connect := func(url, token string) *client {
		conn, resp, err := websocket.DefaultDialer.Dial(url+query("orders", token), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		t.Cleanup(func() { _ = conn.Close() })
		c := &client{t: t, conn: conn}
		c.hello = c.read()
		return c
	}
	// ours reads until n facts of our key have come; others may write too.
	ours := func(c *client, n int) (list []item) {
		for deadline := time.Now().Add(bustest.Patience); len(list) < n; {
			if time.Now().After(deadline) {
				t.Fatalf("%d facts have come, want %d", len(list), n)
			}
			for _, it := range c.read().Items {
				if it.Key == key {
					list = append(list, it)
				}
			}
		}
		return list
	}
	first, second := replica(), replica()
	a := connect(first, "")
	write(1, 20)
	got := ours(a, 20)
	_ = a.conn.Close()
	write(21, 40)
	b := connect(second, a.token)
	if b.hello.Reset {
		t.Error("the other replica does not know the token")
	}
	got = append(got, ours(b, 20)...)
	if v := versions(got); len(v) != 40 || v[0] != 1 || v[39] != 40 || !isSorted(v) {
		t.Errorf("versions %v came, want 1 to 40", v)
	}
}

func isSorted(v []int) bool {
	for i := range v[1:] {
		if v[i+1] != v[i]+1 {
			return false
		}
	}
	return true
}
