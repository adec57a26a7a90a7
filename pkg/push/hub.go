package push

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/httpapi"
)

// Source is where a hub's facts come from.
type Source interface {
	// Start returns the topics' ids and, for each partition, where to begin:
	// some way before its end, so that tokens from before a restart still work.
	Start(ctx context.Context, topics []string, before int64) (ids map[string][16]byte, from bus.Positions, err error)
	// Tail calls fn for each record from the given positions on, until ctx ends.
	Tail(ctx context.Context, topics []string, from bus.Positions, fn func(bus.Record) error) error
}

// Config of a hub.
type Config struct {
	Source     Source
	Topics     []string
	LatestWins []string // topics of which only the newest of a key counts
	Origins    []string // allowed besides the host that serves the hub
	Log        *slog.Logger

	Ring  int // facts kept for resuming; 8192 when 0
	Queue int // facts that may wait for one reader; 1024 when 0
}

// change is a fact as readers get it.
type change struct {
	at      place
	offset  int64
	key     string
	orderID string
	name    string
	raw     json.RawMessage
	seen    time.Time
	readers int
}

// Hub keeps a ring of facts and hands them to its readers.
type Hub struct {
	cfg      Config
	latest   map[string]bool
	upgrader websocket.Upgrader

	mu      sync.Mutex
	ready   bool
	ids     map[string][16]byte
	ring    []*change       // oldest first
	floor   map[place]int64 // the oldest offset from which the ring can go on
	next    map[place]int64
	here    map[string]*position // the newest position of topics, by their list; empty when next has moved
	readers map[*reader]bool
	waiting []*reader // for whom something has come, and who are not yet told
	closed  bool

	texts texts
}

// NewHub returns a hub; Run fills it.
func NewHub(cfg Config) *Hub {
	if cfg.Ring == 0 {
		cfg.Ring = 8192
	}
	if cfg.Queue == 0 {
		cfg.Queue = 1024
	}
	h := &Hub{cfg: cfg, latest: map[string]bool{}, readers: map[*reader]bool{}, here: map[string]*position{}, floor: map[place]int64{}, next: map[place]int64{}}
	for _, t := range cfg.LatestWins {
		h.latest[t] = true
	}
	// What a client may say is small, and what is said to it is written from a text
	// that others get too, so a connection has next to no buffers.
	h.upgrader = websocket.Upgrader{ReadBufferSize: 128, WriteBufferSize: 4096, WriteBufferPool: &sync.Pool{}, CheckOrigin: h.allowed,
		Error: func(w http.ResponseWriter, _ *http.Request, status int, reason error) {
			httpapi.WriteProblem(w, httpapi.Problem(status, "no_websocket", "open a WebSocket here, or read /api/sse: "+reason.Error()))
		}}
	return h
}

const (
	gather      = 2 * time.Millisecond // that the first fact of a burst waits for the others
	startBefore = 512                  // facts of each partition that a new hub reads again
	startRetry  = time.Second
)

// Run reads facts until ctx ends, then says good-bye to all readers.
func (h *Hub) Run(ctx context.Context) error {
	defer h.closeAll()
	for ctx.Err() == nil {
		err := h.follow(ctx)
		if ctx.Err() != nil {
			return nil
		}
		h.cfg.Log.WarnContext(ctx, "push: facts do not come; trying again", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(startRetry):
		}
	}
	return nil
}

// Ready is a health check: nil when readers are served.
func (h *Hub) Ready(context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.ready {
		return errors.New("the live view has not found its place in Kafka yet")
	}
	return nil
}

func (h *Hub) follow(ctx context.Context) error {
	h.mu.Lock()
	begun := h.ready
	from := bus.Positions{}
	for p, offset := range h.next {
		if from[p.topic] == nil {
			from[p.topic] = map[int32]int64{}
		}
		from[p.topic][p.partition] = offset
	}
	h.mu.Unlock()
	if !begun {
		ids, start, err := h.cfg.Source.Start(ctx, h.cfg.Topics, startBefore)
		if err != nil {
			return err
		}
		h.mu.Lock()
		h.ids, h.ready = ids, true
		clear(h.here)
		for topic, partitions := range start {
			for p, offset := range partitions {
				h.floor[place{topic, p}], h.next[place{topic, p}] = offset, offset
			}
		}
		h.mu.Unlock()
		from = start
	}
	return h.cfg.Source.Tail(ctx, h.cfg.Topics, from, func(r bus.Record) error {
		h.add(r)
		return nil
	})
}

// add puts a record into the ring and hands it to the readers. What is not a fact
// moves the offset only.
func (h *Hub) add(r bus.Record) {
	c := newChange(r)
	h.mu.Lock()
	defer h.mu.Unlock()
	p := place{r.Topic, r.Partition}
	if r.Offset < h.next[p] {
		return // read again after an outage
	}
	h.next[p] = r.Offset + 1
	clear(h.here)
	if c == nil {
		return
	}
	quiet := len(h.waiting) == 0
	for rd := range h.readers {
		if rd.topics[r.Topic] {
			c.readers++
			if rd.offer(c) {
				h.waiting = append(h.waiting, rd)
			}
		}
	}
	if quiet && len(h.waiting) > 0 {
		time.AfterFunc(gather, h.wake)
	}
	h.ring = append(h.ring, c)
	if len(h.ring) > h.cfg.Ring {
		old := h.ring[0]
		h.ring[0] = nil
		h.ring = h.ring[1:]
		h.floor[old.at] = max(h.floor[old.at], old.offset+1)
	}
}

// wake lets readers write what has come. A burst is one write for each of them
// then, and the same write, which is most of what a burst costs.
func (h *Hub) wake() {
	h.mu.Lock()
	waiting := h.waiting
	h.waiting = nil
	h.mu.Unlock()
	for _, rd := range waiting {
		rd.tell()
	}
}

// newChange reads a fact; nil when the record is none.
func newChange(r bus.Record) *change {
	var env events.Envelope
	if json.Unmarshal(r.Value, &env) != nil || env.ID == "" {
		return nil
	}
	orderID := env.Metadata.CorrelationID
	if !events.IsID("ord", orderID) {
		var data struct {
			OrderID string `json:"order_id"`
		}
		_ = json.Unmarshal(env.Data, &data) // a body without one is fine
		orderID = data.OrderID
	}
	raw, err := json.Marshal(struct {
		Topic     string          `json:"topic"`
		Key       string          `json:"key"`
		Version   int64           `json:"version"`
		EventType string          `json:"event_type"`
		EventID   string          `json:"event_id"`
		At        time.Time       `json:"at"`
		OrderID   string          `json:"order_id,omitempty"`
		Data      json.RawMessage `json:"data"`
	}{r.Topic, env.Metadata.AggregateID, env.Metadata.AggregateVersion, env.Type, env.ID, env.Timestamp, orderID, env.Data})
	if err != nil {
		return nil
	}
	return &change{at: place{r.Topic, r.Partition}, offset: r.Offset, key: env.Metadata.AggregateID, orderID: orderID, name: env.Type, raw: raw, seen: time.Now().UTC()}
}

// join adds a reader and gives it what it missed since its token. Its first
// message is the hello.
func (h *Hub) join(topics []string, resume string, out output) *reader {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := h.position(topics)
	rd := &reader{hub: h, output: out, topics: at.topics, at: at, writing: true, done: make(chan struct{})}
	if resume != "" {
		if t, err := decodeToken(resume); err == nil && h.covers(rd, t) {
			rd.at = rd.at.from(t)
			rd.from = t.next
			for _, c := range h.ring {
				if rd.topics[c.at.topic] {
					rd.offer(c)
				}
			}
		} else {
			rd.reset = true
		}
	}
	if h.closed {
		rd.leave()
	}
	h.readers[rd] = true
	rd.remindLater()
	go rd.work()
	return rd
}

// position is where a reader of topics is that has all that there is. It is
// called with the lock held.
func (h *Hub) position(topics []string) *position {
	list := strings.Join(topics, ",")
	if at := h.here[list]; at != nil {
		return at
	}
	at := &position{topics: map[string]bool{}, token: token{ids: map[string][16]byte{}, next: map[place]int64{}}}
	for _, t := range topics {
		at.topics[t] = true
		at.token.ids[t] = h.ids[t]
	}
	for p, offset := range h.next {
		if at.topics[p.topic] {
			at.token.next[p] = offset
		}
	}
	at.text = at.token.encode()
	h.here[list] = at
	return at
}

// covers says whether the ring still has all since t, of the same topics. A token
// may be ahead of this replica: of one that reads faster, or from before a restart
// after which this one is still reading what it starts with.
func (h *Hub) covers(rd *reader, t token) bool {
	for topic := range rd.topics {
		if t.ids[topic] != h.ids[topic] {
			return false
		}
	}
	for p := range rd.at.token.next {
		offset, ok := t.next[p]
		if !ok || offset < h.floor[p] || offset > h.next[p]+startBefore {
			return false
		}
	}
	return true
}

func (h *Hub) part(rd *reader) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.readers, rd)
}

func (h *Hub) closeAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for rd := range h.readers {
		rd.leave()
	}
}

// Readers is how many are connected.
func (h *Hub) Readers() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.readers)
}

// Push is a fact that was handed to readers.
type Push struct {
	At        time.Time
	EventType string
	Readers   int
}

// Pushed returns what was handed to readers of an order's way, as far as the ring
// reaches.
func (h *Hub) Pushed(orderID string) []Push {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []Push
	for _, c := range h.ring {
		if c.orderID == orderID && c.readers > 0 {
			out = append(out, Push{c.seen, c.name, c.readers})
		}
	}
	return out
}

// allowed checks the origin of a browser. Other clients send none.
func (h *Hub) allowed(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || slices.Contains(h.cfg.Origins, origin) {
		return true
	}
	_, host, ok := strings.Cut(origin, "://")
	return ok && strings.EqualFold(host, r.Host)
}

// wanted reads the topics that a request asks for.
func (h *Hub) wanted(r *http.Request) (topics []string, unknown string) {
	asked := r.URL.Query().Get("topics")
	if asked == "" {
		return h.cfg.Topics, ""
	}
	set := map[string]bool{}
	for t := range strings.SplitSeq(asked, ",") {
		if !slices.Contains(h.cfg.Topics, t) {
			return nil, t
		}
		set[t] = true
	}
	return slices.Sorted(maps.Keys(set)), ""
}
