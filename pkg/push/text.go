package push

import (
	"bytes"
	"maps"
	"slices"
	"sync"

	"github.com/gorilla/websocket"
)

// position is where a reader is: what it watches, and a token. It never changes,
// and those who are at the same place share it.
type position struct {
	topics map[string]bool
	token  token
	text   string // of the token
}

// from is the position of a token that covers the topics.
func (p *position) from(t token) *position {
	return p.move(func(next map[place]int64) {
		for at := range next {
			next[at] = t.next[at]
		}
	})
}

// after is the position past some changes.
func (p *position) after(list []*change) *position {
	return p.move(func(next map[place]int64) {
		for _, c := range list {
			next[c.at] = max(next[c.at], c.offset+1)
		}
	})
}

func (p *position) move(by func(next map[place]int64)) *position {
	to := &position{topics: p.topics, token: token{ids: p.token.ids, next: maps.Clone(p.token.next)}}
	by(to.token.next)
	to.text = to.token.encode()
	return to
}

// message is a text for readers. Those who are at the same place share it.
type message struct {
	json  []byte
	token string // to resume with after it

	once     sync.Once
	prepared *websocket.PreparedMessage
	err      error
}

// frame is the message as it goes over a WebSocket, made once for all.
func (m *message) frame() (*websocket.PreparedMessage, error) {
	m.once.Do(func() { m.prepared, m.err = websocket.NewPreparedMessage(websocket.TextMessage, m.json) })
	return m.prepared, m.err
}

// texts keeps the newest messages: readers that keep up get the same changes at
// the same place, so what is written for one is right for most.
type texts struct {
	mu     sync.Mutex
	newest [16]*step
	oldest int
}

// step is a message, from a position to the next.
type step struct {
	from *position
	list []*change

	once    sync.Once
	message *message
	to      *position
}

// after returns the message that shows changes to a reader, and where it is then.
func (t *texts) after(at *position, list []*change) (*message, *position) {
	s := t.step(at, list)
	s.once.Do(func() {
		s.to = at.after(list)
		s.message = changes(list, s.to.text)
	})
	return s.message, s.to
}

// step finds the one of a position and changes, or makes it.
func (t *texts) step(at *position, list []*change) *step {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.newest {
		if s != nil && s.from.text == at.text && slices.Equal(s.list, list) {
			return s
		}
	}
	s := &step{from: at, list: list}
	t.newest[t.oldest] = s
	t.oldest = (t.oldest + 1) % len(t.newest)
	return s
}

// changes writes changes as one text.
func changes(list []*change, token string) *message {
	var b bytes.Buffer
	b.WriteString(`{"type":"changes","token":"` + token + `","items":[`)
	for i, c := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(c.raw)
	}
	b.WriteString(`]}`)
	return &message{json: b.Bytes(), token: token}
}
