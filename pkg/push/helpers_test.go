package push

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
)

// The tests run in a bubble of package synctest: time passes when everybody
// waits, so an hour of pings takes no time. Connections are pipes without a
// buffer: who does not read holds up who writes, at once.

// topics of the tests; the last one is of the kind of which the latest wins.
const (
	orders    = "orders"
	payments  = "payments"
	telemetry = "telemetry"
)

// feed is a Kafka in memory. Each hub reads it by itself.
type feed struct {
	mu     sync.Mutex
	ids    map[string][16]byte
	all    []bus.Record // in the order in which they were written
	ends   map[place]int64
	grown  chan struct{}
	broken chan struct{} // closed when it does not work
}

func newFeed() *feed {
	f := &feed{ids: map[string][16]byte{}, ends: map[place]int64{}, grown: make(chan struct{}), broken: make(chan struct{})}
	for i, topic := range []string{orders, payments, telemetry} {
		f.ids[topic] = [16]byte{byte(i + 1)}
		for p := range int32(3) {
			f.ends[place{topic, p}] = 0
		}
	}
	return f
}

// put writes a value to a partition.
func (f *feed) put(topic string, partition int32, value string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := place{topic, partition}
	f.all = append(f.all, bus.Record{Topic: topic, TopicID: f.ids[topic], Partition: partition, Offset: f.ends[p], Value: []byte(value)})
	f.ends[p]++
	close(f.grown)
	f.grown = make(chan struct{})
}

// fact writes a fact about a key; n is its version, and tells it from others.
func (f *feed) fact(topic string, partition int32, key string, n int) {
	env := events.Envelope{Type: topic + ".happened.v1", ID: fmt.Sprintf("evt_%s_%s_%d", topic, key, n), Data: json.RawMessage(`{"order_id":"` + key + `"}`),
		Metadata: events.Metadata{AggregateID: key, AggregateVersion: int64(n)}}
	raw, err := json.Marshal(env)
	if err != nil {
		panic(err)
	}
	f.put(topic, partition, string(raw))
}

// breaks makes every hub lose its connection, until it mends.
func (f *feed) breaks() { f.mu.Lock(); defer f.mu.Unlock(); close(f.broken) }
func (f *feed) mends()  { f.mu.Lock(); defer f.mu.Unlock(); f.broken = make(chan struct{}) }

func (f *feed) Start(_ context.Context, topics []string, before int64) (map[string][16]byte, bus.Positions, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ids, from := map[string][16]byte{}, bus.Positions{}
	for _, topic := range topics {
		ids[topic], from[topic] = f.ids[topic], map[int32]int64{}
		for p, end := range f.ends {
			if p.topic == topic {
				from[topic][p.partition] = max(0, end-before)
			}
		}
	}
	return ids, from, nil
}

func (f *feed) Tail(ctx context.Context, _ []string, from bus.Positions, fn func(bus.Record) error) error {
	for read := 0; ; {
		f.mu.Lock()
		list, grown, broken := f.all[read:], f.grown, f.broken
		f.mu.Unlock()
		read += len(list)
		for _, r := range list {
			// It repeats itself a little, which a hub has to bear.
			if start, ok := from[r.Topic][r.Partition]; ok && r.Offset >= start-2 {
				if err := fn(r); err != nil {
					return err
				}
			}
		}
		select {
		case <-grown:
		case <-broken:
			return errors.New("Kafka is away")
		case <-ctx.Done():
			return nil
		}
	}
}

// site is a hub and the server in front of it.
type site struct {
	*Hub
	conns chan net.Conn
	done  chan struct{}
	stop  func() // of the hub
}

// open runs a hub on a source until the test ends.
func open(t *testing.T, source Source, change func(*Config)) *site {
	t.Helper()
	cfg := Config{Source: source, Topics: []string{orders, payments, telemetry}, LatestWins: []string{telemetry}, Log: slog.New(slog.DiscardHandler), Ring: 64, Queue: 16}
	if change != nil {
		change(&cfg)
	}
	s := &site{Hub: NewHub(cfg), conns: make(chan net.Conn), done: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ws", s.ServeWS)
	mux.HandleFunc("GET /sse", s.ServeSSE)
	srv := &http.Server{Handler: mux}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = srv.Serve(s) }) // ends when it is closed
	hub := make(chan struct{})
	go func() {
		defer close(hub)
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	s.stop = func() { cancel(); <-hub }
	t.Cleanup(func() { s.stop(); _ = srv.Close(); running.Wait() })
	synctest.Wait() // until the hub has read what there is
	return s
}

// Accept implements net.Listener, like its siblings.
func (s *site) Accept() (net.Conn, error) {
	select {
	case c := <-s.conns:
		return c, nil
	case <-s.done:
		return nil, net.ErrClosed
	}
}

func (s *site) Close() error   { close(s.done); return nil }
func (s *site) Addr() net.Addr { return &net.UnixAddr{Name: "hub", Net: "pipe"} }

func (s *site) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	s.conns <- server
	return client, nil
}

// item is a fact as a client gets it.
type item struct {
	Topic     string          `json:"topic"`
	Key       string          `json:"key"`
	Version   int64           `json:"version"`
	EventType string          `json:"event_type"`
	EventID   string          `json:"event_id"`
	OrderID   string          `json:"order_id"`
	Data      json.RawMessage `json:"data"`
}

// text is a message as a client gets it.
type text struct {
	Type  string `json:"type"`
	Token string `json:"token"`
	Reset bool   `json:"reset"`
	Items []item `json:"items"`
}

// client is a browser's WebSocket.
type client struct {
	t     *testing.T
	conn  *websocket.Conn
	hello text
	token string // of the newest message
}

// query is what a client asks for.
func query(topics, resume string) string {
	return "?" + url.Values{"topics": {topics}, "resume": {resume}}.Encode()
}

// connect connects and reads the hello.
func (s *site) connect(t *testing.T, topics, resume string) *client {
	t.Helper()
	dialer := websocket.Dialer{NetDialContext: s.dial, WriteBufferSize: 4 * maxMessage}
	conn, resp, err := dialer.Dial("ws://hub/ws"+query(topics, resume), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	t.Cleanup(func() { _ = conn.Close() })
	c := &client{t: t, conn: conn}
	c.hello = c.read()
	if c.hello.Type != "hello" || c.hello.Token == "" {
		t.Fatalf("the first message is %+v, want a hello", c.hello)
	}
	return c
}

// onItsWay waits until what has come is being written, as far as somebody reads.
func onItsWay() {
	<-time.After(gather)
	synctest.Wait()
}

// read reads a message.
func (c *client) read() text {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	var m text
	if err := c.conn.ReadJSON(&m); err != nil {
		c.t.Fatal(err)
	}
	c.token = m.Token
	return m
}

// items reads at least n items.
func (c *client) items(n int) (list []item) {
	c.t.Helper()
	for len(list) < n {
		m := c.read()
		if m.Type != "changes" || len(m.Items) == 0 {
			c.t.Fatalf("read %+v, want changes", m)
		}
		list = append(list, m.Items...)
	}
	return list
}

// silent says that nothing comes.
func (c *client) silent() {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(time.Second))
	if _, raw, err := c.conn.ReadMessage(); err == nil {
		c.t.Errorf("read %s, want nothing", raw)
	}
}

// closed reads on until the connection is closed, and returns the close code and
// what came before it.
func (c *client) closed() (code int, list []item) {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(time.Minute))
	for {
		var m text
		err := c.conn.ReadJSON(&m)
		var end *websocket.CloseError
		if errors.As(err, &end) {
			return end.Code, list
		}
		if err != nil {
			c.t.Fatalf("the connection ended without a word: %v", err)
		}
		c.token, list = m.Token, append(list, m.Items...)
	}
}

// versions are the versions of items, in their order.
func versions(list []item) (out []int) {
	for _, it := range list {
		out = append(out, int(it.Version))
	}
	return out
}

// upTo is from, from+1, … to.
func upTo(from, to int) (out []int) {
	for n := from; n <= to; n++ {
		out = append(out, n)
	}
	return out
}
