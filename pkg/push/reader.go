package push

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cartwheel-shop/cartwheel/pkg/httpapi"
)

const (
	coalesce     = 128 // facts in one message
	writeTimeout = 10 * time.Second
	pingEvery    = 25 * time.Second
	pongTimeout  = 60 * time.Second
	maxMessage   = 4096 // bytes that a client may send: it has nothing to say
)

// stillHere is what is said to a reader when there is nothing to say.
var stillHere = &message{json: []byte(`{"type":"here"}`)}

// output is the connection of a reader. It is used by one goroutine at a time.
type output interface {
	send(m *message) error
	ping() error
	close(cutOff bool) // says good-bye
}

// reader is one connection: what waits for it, and where it is. While nothing
// waits it has no goroutine that writes.
type reader struct {
	hub    *Hub
	topics map[string]bool
	output output
	from   map[place]int64 // what it has, when it resumes
	reset  bool
	done   chan struct{} // closed after the end
	at     *position     // after what was written; the writer's own

	mu      sync.Mutex
	queue   []*change
	greeted bool
	full    bool
	leaving bool
	told    bool // soon, that something waits
	due     bool // a ping
	writing bool
	timer   *time.Timer
}

// offer queues a change that the reader does not have. When the queue is full the
// reader is cut off: it gets what waits and nothing more, even when there is place
// again, so that it can resume with its token and miss nothing. It is called under
// the hub's lock and never blocks, and says whether the reader must be told.
func (rd *reader) offer(c *change) bool {
	if c.offset < rd.from[c.at] {
		return false
	}
	rd.mu.Lock()
	defer rd.mu.Unlock()
	if rd.full || rd.leaving {
		return false
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
	} else {
		rd.queue = append(rd.queue, c)
	}
	if rd.writing || rd.told {
		return false
	}
	rd.told = true
	return true
}

// tell starts what offer has asked for.
func (rd *reader) tell() {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	rd.told = false
	rd.begin()
}

// leave ends the connection, after what waits.
func (rd *reader) leave() {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	rd.leaving = true
	rd.begin()
}

// remindLater pings the reader from time to time.
func (rd *reader) remindLater() {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	rd.timer = time.AfterFunc(pingEvery, func() {
		rd.mu.Lock()
		defer rd.mu.Unlock()
		rd.due = true
		rd.timer.Reset(pingEvery)
		rd.begin()
	})
}

// begin starts a writer, unless there is one. It is called with the lock held.
func (rd *reader) begin() {
	if !rd.writing {
		rd.writing = true
		go rd.work()
	}
}

// task is what a writer does next.
type task int

const (
	greet task = iota
	show
	ping
	part
	rest
)

// next takes what is to be done next off the reader, a message's worth.
func (rd *reader) next() (task, []*change) {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	switch {
	case !rd.greeted:
		rd.greeted = true
		return greet, nil
	case len(rd.queue) > 0:
		n := min(len(rd.queue), coalesce)
		list := rd.queue[:n:n]
		if rd.queue = rd.queue[n:]; len(rd.queue) == 0 {
			rd.queue = nil
		}
		return show, list
	case rd.full || rd.leaving:
		return part, nil // and stays writing: nobody writes after it
	case rd.due:
		rd.due = false
		return ping, nil
	}
	rd.writing = false
	return rest, nil
}

// work writes what waits, and ends when nothing does.
func (rd *reader) work() {
	for {
		var err error
		switch do, list := rd.next(); do {
		case greet:
			err = rd.output.send(rd.hello())
		case show:
			var m *message
			m, rd.at = rd.hub.texts.after(rd.at, list)
			err = rd.output.send(m)
		case ping:
			err = rd.output.ping()
		case part:
			rd.end()
			return
		case rest:
			return
		}
		if err != nil {
			rd.end()
			return
		}
	}
}

func (rd *reader) end() {
	rd.mu.Lock()
	rd.timer.Stop()
	full := rd.full
	rd.mu.Unlock()
	rd.output.close(full)
	rd.hub.part(rd)
	close(rd.done)
}

func (rd *reader) hello() *message {
	return &message{token: rd.at.text, json: fmt.Appendf(nil, `{"type":"hello","token":"%s","reset":%t}`, rd.at.text, rd.reset)}
}

// ServeWS serves a WebSocket. It returns when the connection is made: what a
// request holds is many times what a connection needs.
func (h *Hub) ServeWS(w http.ResponseWriter, r *http.Request) {
	topics, ok := h.admit(w, r)
	if !ok {
		return
	}
	conn, err := h.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the upgrader has answered
	}
	conn.SetReadLimit(maxMessage)
	alive := func(string) error { return conn.SetReadDeadline(time.Now().Add(pongTimeout)) }
	conn.SetPongHandler(alive)
	_ = alive("")
	rd := h.join(topics, r.URL.Query().Get("resume"), socket{conn})
	go listen(conn, rd)
}

// listen reads until the connection ends. It has nothing to hear but pongs.
func listen(conn *websocket.Conn, rd *reader) {
	defer rd.leave()
	for {
		if _, _, err := conn.NextReader(); err != nil {
			return
		}
	}
}

// socket is a WebSocket.
type socket struct{ conn *websocket.Conn }

func (s socket) send(m *message) error {
	frame, err := m.frame()
	if err != nil {
		return err
	}
	_ = s.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	return s.conn.WritePreparedMessage(frame)
}

// ping asks for a pong, and says something that a page can hear: a browser tells it
// nothing of pings.
func (s socket) ping() error {
	if err := s.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	return s.send(stillHere)
}

func (s socket) close(cutOff bool) {
	code, reason := websocket.CloseGoingAway, "the server stops; resume in a moment"
	if cutOff {
		code, reason = websocket.CloseTryAgainLater, "you read too slowly; resume with your token"
	}
	_ = s.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(time.Second))
	_ = s.conn.Close()
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
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	rd := h.join(topics, resume, eventStream{w, http.NewResponseController(w)})
	select {
	case <-rd.done:
	case <-r.Context().Done():
		rd.leave()
		<-rd.done
	}
}

// eventStream is an answer that does not end.
type eventStream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (s eventStream) send(m *message) error {
	return s.write("id: %s\ndata: %s\n\n", m.token, m.json)
}

func (s eventStream) ping() error { return s.write("data: %s\n\n", stillHere.json) }

func (s eventStream) write(format string, args ...any) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(writeTimeout)) // not every writer has one
	if _, err := fmt.Fprintf(s.w, format, args...); err != nil {
		return err
	}
	return s.control.Flush()
}

func (eventStream) close(bool) {} // it ends with its request

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
