package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/push"
)

// burst is how many facts come at once.
const burst = 100

// push shows bursts of facts to many browsers: by the hub, and by what a first
// version of it would be, a goroutine for each connection that calls WriteJSON for
// each message.
func (r *runner) push(ctx context.Context) error {
	hub, simple := &pushed{name: "the hub", make: newHubSite}, &pushed{name: "the reference", make: newSimpleSite}
	f, err := r.rounds(ctx, r.bursts(hub), r.bursts(simple))
	if err != nil {
		return err
	}
	const reference = "one WriteJSON each"
	what := fmt.Sprintf("%d connections, bursts of %d", r.Connections, burst)
	r.row("push", what, "frames/s", f[0], reference, f[1], Goal{AtLeast: 8})
	r.row("push", "memory of a connection", "kB", hub.memory[1:], reference, simple.memory[1:], Goal{AtMost: 0.5})
	return nil
}

// site is a server of pushes that runs.
type site struct {
	http.Handler
	watching func() int // connections that get what comes from now on
	stop     func()
}

// pushed is one side.
type pushed struct {
	name   string
	make   func(ctx context.Context, facts <-chan []bus.Record) site
	memory []float64 // of a connection, in kB, for each run
}

// bursts serves connections on loopback and returns how many facts a second they
// got, all together.
func (r *runner) bursts(p *pushed) side {
	return func(ctx context.Context) (_ float64, err error) {
		facts := make(chan []bus.Record)
		served := p.make(ctx, facts)
		defer served.stop()
		ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		srv := &http.Server{Handler: served, ReadHeaderTimeout: time.Minute}
		go func() { _ = srv.Serve(ln) }() // ends with Close
		defer srv.Close()
		before := live()
		browsers := make([]*browser, r.Connections)
		for i := range browsers {
			if browsers[i], err = open(ctx, ln.Addr().String()); err != nil {
				return 0, err
			}
			defer browsers[i].conn.Close()
		}
		// A server may have answered before it has noted who has come.
		if err := until(ctx, func() (bool, error) { return served.watching() == len(browsers), nil }); err != nil {
			return 0, err
		}
		offset := int64(0)
		one := func() error {
			list, last := burstOf(offset)
			offset += burst
			facts <- list
			if err := see(ctx, browsers, last); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			return nil
		}
		if err := one(); err != nil { // buffers have grown, and stacks
			return 0, err
		}
		p.memory = append(p.memory, (live()-before)/float64(len(browsers))/1000)
		n, began := 0, time.Now()
		for time.Since(began) < r.For {
			if err := one(); err != nil {
				return 0, err
			}
			n += burst * len(browsers)
		}
		return perSecond(n, time.Since(began)), nil
	}
}

// live is the memory of what is in use, in bytes: the heap and the stacks.
func live() float64 {
	var m runtime.MemStats
	for range 3 { // stacks shrink, and pools empty, by and by
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse)
}

// burstOf makes facts and the mark by which the last of them is known.
func burstOf(offset int64) ([]bus.Record, []byte) {
	list := make([]bus.Record, burst)
	var last string
	for i := range list {
		n := offset + int64(i)
		id := fmt.Sprintf("ord_%021d", n%sampleKeys)
		data, _ := json.Marshal(events.OrderConfirmed{OrderID: id, CustomerID: "cus_1"}) // plain texts
		last = "evt_" + strconv.FormatInt(n, 10)
		value, _ := json.Marshal(events.Envelope{
			Type: "order.confirmed.v1", ID: last, Timestamp: time.Now().UTC(), Version: "1.0", Data: data,
			Metadata: events.Metadata{Producer: "order", CorrelationID: id, AggregateID: id, AggregateVersion: n/sampleKeys + 1},
		})
		list[i] = bus.Record{Topic: events.TopicOrders, Partition: int32(n % partitions), Offset: n / partitions, Value: value}
	}
	return list, []byte(`"event_id":"` + last + `"`)
}

// browser is a client that costs as little as can be: it reads bytes until they
// end with the last fact of a burst.
type browser struct {
	conn net.Conn
	end  [1 << 10]byte // of what was read; the last fact is within it
	kept int
}

func open(ctx context.Context, addr string) (*browser, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(conn, "GET /?topics=%s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", events.TopicOrders, addr)
	if err != nil {
		return nil, err
	}
	// A small buffer, so that nothing is read ahead: what follows is the bench's.
	answer := bufio.NewReaderSize(oneByte{conn}, 16)
	resp, err := http.ReadResponse(answer, nil)
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return nil, fmt.Errorf("the server answers %s to a WebSocket", resp.Status)
	}
	return &browser{conn: conn}, nil
}

// oneByte reads byte by byte.
type oneByte struct{ net.Conn }

func (c oneByte) Read(p []byte) (int, error) { return c.Conn.Read(p[:min(1, len(p))]) }

// see waits until every browser has seen a mark.
func see(ctx context.Context, browsers []*browser, mark []byte) error {
	errs := make(chan error, len(browsers))
	buffers := sync.Pool{New: func() any { return new([32 << 10]byte) }}
	for _, b := range browsers {
		go func() {
			buf := buffers.Get().(*[32 << 10]byte)
			defer buffers.Put(buf)
			errs <- b.see(ctx, buf[:], mark)
		}()
	}
	var failed error
	for range browsers {
		failed = errors.Join(failed, <-errs)
	}
	return failed
}

func (b *browser) see(ctx context.Context, buf, mark []byte) error {
	if err := b.conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	for ctx.Err() == nil {
		kept := copy(buf, b.end[:b.kept])
		n, err := b.conn.Read(buf[kept:])
		if err != nil {
			return fmt.Errorf("a browser did not see all of a burst: %w", errors.Join(errLost, err))
		}
		text := buf[:kept+n]
		text = text[max(0, len(text)-len(b.end)):]
		b.kept = copy(b.end[:], text)
		if bytes.Contains(text, mark) {
			return nil
		}
	}
	return ctx.Err()
}

// newHubSite is ours: a hub on facts from a channel.
func newHubSite(ctx context.Context, facts <-chan []bus.Record) site {
	hub := push.NewHub(push.Config{Source: channel(facts), Topics: []string{events.TopicOrders}})
	stop := background(ctx, hub.Run, func() {})
	_ = until(ctx, func() (bool, error) { return hub.Ready(ctx) == nil, nil })
	return site{http.HandlerFunc(hub.ServeWS), hub.Readers, stop}
}

// channel is a source of facts that come in bursts.
type channel <-chan []bus.Record

// Start implements push.Source.
func (channel) Start(context.Context, []string, int64) (map[string][16]byte, bus.Positions, error) {
	from := map[int32]int64{}
	for p := range int32(partitions) {
		from[p] = 0
	}
	return map[string][16]byte{events.TopicOrders: {1}}, bus.Positions{events.TopicOrders: from}, nil
}

// Tail implements push.Source.
func (c channel) Tail(ctx context.Context, _ []string, _ bus.Positions, fn func(bus.Record) error) error {
	for {
		select {
		case list := <-c:
			for _, record := range list {
				if err := fn(record); err != nil {
					return err
				}
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// newSimpleSite is the reference.
func newSimpleSite(ctx context.Context, facts <-chan []bus.Record) site {
	s := &simpleSite{conns: map[chan *shown]bool{}}
	stop := background(ctx, func(ctx context.Context) error { return channel(facts).Tail(ctx, nil, nil, s.show) }, func() {})
	return site{s, s.watching, stop}
}

// shown is a fact in the form that the hub gives it.
type shown struct {
	Topic     string          `json:"topic"`
	Key       string          `json:"key"`
	Version   int64           `json:"version"`
	EventType string          `json:"event_type"`
	EventID   string          `json:"event_id"`
	At        time.Time       `json:"at"`
	OrderID   string          `json:"order_id,omitempty"`
	Data      json.RawMessage `json:"data"`
}

type simpleSite struct {
	mu    sync.Mutex
	conns map[chan *shown]bool
}

func (s *simpleSite) watching() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

func (s *simpleSite) show(r bus.Record) error {
	env, err := events.Decode(r.Value)
	if err != nil {
		return err
	}
	m := &shown{r.Topic, env.Metadata.AggregateID, env.Metadata.AggregateVersion, env.Type, env.ID, env.Timestamp, env.Metadata.CorrelationID, env.Data}
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c <- m
	}
	return nil
}

// ServeHTTP serves a connection: one goroutine reads, this one writes.
func (s *simpleSite) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	conn, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
	if err != nil {
		return // it has answered
	}
	defer conn.Close()
	queue, gone := make(chan *shown, 256), make(chan struct{})
	s.mu.Lock()
	s.conns[queue] = true
	s.mu.Unlock()
	go func() {
		defer close(gone)
		for {
			if _, _, err := conn.ReadMessage(); err != nil {
				return
			}
		}
	}()
	for {
		select {
		case m := <-queue:
			_ = conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
			if err := conn.WriteJSON(m); err != nil {
				return
			}
		case <-gone:
			s.mu.Lock()
			delete(s.conns, queue)
			s.mu.Unlock()
			return
		}
	}
}
