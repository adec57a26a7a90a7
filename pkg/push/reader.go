package push

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cartwheel-shop/cartwheel/pkg/httpapi"
)

const (
	coalesce     = 64 // facts in one message
	writeTimeout = 10 * time.Second
	pingEvery    = 25 * time.Second
	pongTimeout  = 60 * time.Second
	maxMessage   = 4096 // bytes that a client may send: it has nothing to say
)

// reader is one connection: what waits for it, and where it is.
type reader struct {
	hub    *Hub
	topics map[string]bool
	from   map[place]int64 // what it has, when it resumes
	reset  bool
	wake   chan struct{}
	gone   chan struct{}
	once   sync.Once

	mu    sync.Mutex
	queue []*change
	full  bool
	at    token // after what was written; the writer's own
}

// offer queues a change that the reader does not have. When the queue is full the
// reader is cut off: it gets what waits and nothing more, even when there is place
// again, so that it can resume with its token and miss nothing. It is called under
// the hub's lock and never blocks.
func (rd *reader) offer(c *change) {
	if c.offset < rd.from[c.at] {
		return
	}
	rd.mu.Lock()
	defer rd.mu.Unlock()
	if rd.full {
		return
	}
	if rd.hub.latest[c.at.topic] {
		for i, waiting := range rd.queue {
			if waiting.at == c.at && waiting.key == c.key {
				rd.queue = append(rd.queue[:i:i], rd.queue[i+1:]...)
				break
			}
		}
	}
	if len(rd.queue) >= rd.hub.cfg.Queue+rd.hub.cfg.Ring { // a resume may fill it with the ring
		rd.full = true
		rd.leave()
		return
	}
	rd.queue = append(rd.queue, c)
	select {
	case rd.wake <- struct{}{}:
	default:
	}
}

// cutOff says that the queue was full.
func (rd *reader) cutOff() bool {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	return rd.full
}

// leave ends the connection.
func (rd *reader) leave() { rd.once.Do(func() { close(rd.gone) }) }

// take removes what is next, a message's worth.
func (rd *reader) take() []*change {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	n := min(len(rd.queue), coalesce)
	list := rd.queue[:n:n]
	rd.queue = rd.queue[n:]
	return list
}

func (rd *reader) hello() []byte {
	return fmt.Appendf(nil, `{"type":"hello","token":"%s","reset":%t}`, rd.at.encode(), rd.reset)
}

// message writes changes as one text and moves the token past them.
func (rd *reader) message(list []*change) (text []byte, token string) {
	var b bytes.Buffer
	for _, c := range list {
		rd.at.next[c.at] = max(rd.at.next[c.at], c.offset+1)
	}
	token = rd.at.encode()
	b.WriteString(`{"type":"changes","token":"` + token + `","items":[`)
	for i, c := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(c.raw)
	}
	b.WriteString(`]}`)
	return b.Bytes(), token
}

// run hands messages to write until the connection ends.
func (rd *reader) run(ctx context.Context, write func(text []byte, token string) error, ping func() error) {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	if write(rd.hello(), rd.at.encode()) != nil {
		return
	}
	for {
		list := rd.take()
		if len(list) > 0 {
			if write(rd.message(list)) != nil {
				return
			}
			continue
		}
		select {
		case <-rd.wake:
		case <-tick.C:
			if ping() != nil {
				return
			}
		case <-rd.gone:
			return
		case <-ctx.Done():
			return
		}
	}
}

// ServeWS serves a WebSocket.
func (h *Hub) ServeWS(w http.ResponseWriter, r *http.Request) {
	topics, ok := h.admit(w, r)
	if !ok {
		return
	}
	conn, err := h.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the upgrader has answered
	}
	defer conn.Close()
	rd := h.join(topics, r.URL.Query().Get("resume"))
	defer h.part(rd)

	conn.SetReadLimit(maxMessage)
	alive := func(string) error { return conn.SetReadDeadline(time.Now().Add(pongTimeout)) }
	conn.SetPongHandler(alive)
	_ = alive("")
	go func() {
		defer rd.leave()
		for {
			if _, _, err := conn.NextReader(); err != nil {
				return
			}
		}
	}()
	rd.run(r.Context(), func(text []byte, _ string) error {
		_ = conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		return conn.WriteMessage(websocket.TextMessage, text)
	}, func() error {
		return conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeTimeout))
	})
	code, reason := websocket.CloseGoingAway, "the server stops; resume in a moment"
	if rd.cutOff() {
		code, reason = websocket.CloseTryAgainLater, "you read too slowly; resume with your token"
	}
	_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(time.Second))
}

// ServeSSE serves server-sent events, for browsers that a WebSocket does not
// reach.
func (h *Hub) ServeSSE(w http.ResponseWriter, r *http.Request) {
	topics, ok := h.admit(w, r)
	if !ok {
		return
	}
	resume := r.Header.Get("Last-Event-ID")
	if resume == "" {
		resume = r.URL.Query().Get("resume")
	}
	rd := h.join(topics, resume)
	defer h.part(rd)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	control := http.NewResponseController(w)
	send := func(format string, args ...any) error {
		_ = control.SetWriteDeadline(time.Now().Add(writeTimeout)) // not every writer has one
		if _, err := fmt.Fprintf(w, format, args...); err != nil {
			return err
		}
		return control.Flush()
	}
	rd.run(r.Context(), func(text []byte, token string) error { return send("id: %s\ndata: %s\n\n", token, text) },
		func() error { return send(": still here\n\n") })
}

// admit refuses what cannot be served.
func (h *Hub) admit(w http.ResponseWriter, r *http.Request) ([]string, bool) {
	topics, unknown := h.wanted(r)
	h.mu.Lock()
	ready := h.ready && !h.closed
	h.mu.Unlock()
	switch {
	case unknown != "":
		httpapi.WriteProblem(w, httpapi.Problem(http.StatusUnprocessableEntity, "unknown_topic", fmt.Sprintf("there is no topic %.40q to watch", unknown)))
	case !h.allowed(r):
		httpapi.WriteProblem(w, httpapi.Problem(http.StatusForbidden, "origin_refused", "pages of this origin may not watch the shop"))
	case !ready:
		httpapi.WriteProblem(w, httpapi.Problem(http.StatusServiceUnavailable, "push_unavailable", "the live view is starting; try again in a moment").RetryAfter(time.Second))
	default:
		return topics, true
	}
	return nil, false
}
