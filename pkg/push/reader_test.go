package push

import (
	"bufio"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
)

// A client that does not read holds up nobody, and is cut off.
func TestAReaderThatDoesNotReadIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const facts = 1000
		f := newFeed()
		s := open(t, f, nil)
		s.connect(t, orders, "") // and reads no more
		quick := s.connect(t, orders, "")
		begun := time.Now()
		for n := range facts {
			f.fact(orders, 0, "ord_1", n+1)
			if got := versions(quick.items(1)); !slices.Equal(got, []int{n + 1}) {
				t.Fatalf("got %v, want %d", got, n+1)
			}
		}
		if took := time.Since(begun); took > facts*gather {
			t.Errorf("the quick reader was held up for %s", took)
		}
		if n := s.Readers(); n != 2 {
			t.Errorf("%d readers, want 2: the slow one has its time", n)
		}
		<-time.After(writeTimeout)
		synctest.Wait()
		if n := s.Readers(); n != 1 {
			t.Errorf("%d readers, want the quick one", n)
		}
	})
}

// A client that falls behind gets what waits for it, is told to come back, and
// misses nothing by that.
func TestASlowReaderResumesWithoutAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed()
		s := open(t, f, nil)
		c := s.connect(t, orders, "")
		n := 0
		write := func(facts int) {
			for range facts {
				n++
				f.fact(orders, 0, "ord_1", n)
			}
			synctest.Wait()
		}
		write(1)
		onItsWay()
		write(99) // 16 + 64 wait, and for the rest there is no place
		got := c.items(65)
		write(10) // now there is place again, and yet there is a gap
		code, rest := c.closed()
		if code != websocket.CloseTryAgainLater {
			t.Errorf("closed with %d, want %d", code, websocket.CloseTryAgainLater)
		}
		got = append(got, rest...)
		c = s.connect(t, orders, c.token)
		if c.hello.Reset {
			t.Fatal("told to read everything anew")
		}
		if got = append(got, c.items(n-len(got))...); !slices.Equal(versions(got), upTo(1, n)) {
			t.Errorf("got %v, want 1 up to %d", versions(got), n)
		}
	})
}

// Of a topic of which the latest wins, a slow client gets the newest of each key,
// and of all others everything.
func TestTheLatestWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed()
		s := open(t, f, nil)
		c := s.connect(t, "orders,telemetry", "")
		f.fact(orders, 0, "ord_1", 1)
		onItsWay()
		for n := range 500 {
			f.fact(telemetry, 1, "dev_1", n+1)
			f.fact(telemetry, 1, "dev_2", n+1)
			if n%100 == 0 {
				f.fact(orders, 0, "ord_1", n/100+2)
			}
		}
		synctest.Wait()
		got := map[string][]int{}
		for _, it := range c.items(8) {
			got[it.Key] = append(got[it.Key], int(it.Version))
		}
		if !slices.Equal(got["ord_1"], upTo(1, 6)) || !slices.Equal(got["dev_1"], []int{500}) || !slices.Equal(got["dev_2"], []int{500}) {
			t.Errorf("got %v, want six of the order and the newest of each device", got)
		}
		again := s.connect(t, "orders,telemetry", c.token)
		if again.hello.Reset {
			t.Error("the token after it is not honoured")
		}
		again.silent()
	})
}

// What comes at once is sent together, and so is what waits while a client reads.
func TestWritesAreCoalesced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed()
		s := open(t, f, func(c *Config) { c.Queue = 1000 })
		c := s.connect(t, orders, "")
		synctest.Wait() // until nothing is being written any more
		for n := range 10 {
			f.fact(orders, 0, "ord_1", n+1)
		}
		onItsWay()
		for n := range coalesce + 5 {
			f.fact(orders, 0, "ord_1", n+11)
		}
		synctest.Wait()
		var sizes []int
		for range 3 {
			sizes = append(sizes, len(c.read().Items))
		}
		if !slices.Equal(sizes, []int{10, coalesce, 5}) {
			t.Errorf("messages of %v facts, want 10, %d and 5", sizes, coalesce)
		}
	})
}

// Clients at the same place are sent the very same message, whenever they came.
func TestClientsShareMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed()
		s := open(t, f, nil)
		token := s.connect(t, orders, "").hello.Token
		a, b := s.connect(t, orders, ""), s.connect(t, orders, token)
		other := s.connect(t, "orders,payments", "")
		for n := range 3 {
			f.fact(orders, 0, "ord_1", n+1)
			for _, c := range []*client{a, b, other} {
				if got := versions(c.items(1)); !slices.Equal(got, []int{n + 1}) {
					t.Fatalf("got %v, want %d", got, n+1)
				}
			}
			if a.token != b.token || a.token == other.token {
				t.Error("the tokens are not those of what each watches")
			}
		}
		made := 0
		for _, s := range s.texts.newest {
			if s != nil {
				made++
			}
		}
		if made != 6 {
			t.Errorf("%d messages were written, want 3 for each of two lists of topics", made)
		}
	})
}

// A client that answers pings stays; one that is gone, or only listens, does not.
func TestHalfOpenConnections(t *testing.T) {
	for _, tc := range []struct {
		name  string
		reads bool
		pongs bool
		stays bool
	}{
		{"it answers", true, true, true},
		{"it reads, and does not answer", true, false, false},
		{"it is gone without a word", false, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, newFeed(), nil)
				c := s.connect(t, orders, "")
				pings, here := 0, 0
				answer := c.conn.PingHandler()
				c.conn.SetPingHandler(func(data string) error {
					pings++
					if !tc.pongs {
						return nil
					}
					return answer(data)
				})
				_ = c.conn.SetReadDeadline(time.Time{})
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					for tc.reads {
						_, text, err := c.conn.ReadMessage()
						if err != nil {
							return
						}
						if string(text) == `{"type":"here"}` {
							here++
						}
					}
				}()
				<-time.After(pongTimeout + pingEvery)
				synctest.Wait()
				if tc.stays {
					<-time.After(time.Hour)
					synctest.Wait()
				}
				if stays := s.Readers() == 1; stays != tc.stays {
					t.Errorf("connected is %v, want %v", stays, tc.stays)
				}
				_ = c.conn.Close()
				<-ended
				if tc.reads && pings == 0 {
					t.Error("nobody asked whether it is there")
				}
				// A page hears nothing of pings, and has to know as well.
				if tc.stays && here != pings {
					t.Errorf("%d pings, and %d words that a page can hear", pings, here)
				}
			})
		})
	}
}

// A client that leaves is forgotten at once, and one that talks too much is cut
// off: it has nothing to say.
func TestLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newFeed(), nil)
		polite, rude, chatty := s.connect(t, orders, ""), s.connect(t, orders, ""), s.connect(t, orders, "")
		_ = polite.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
		_ = polite.conn.Close()
		_ = rude.conn.NetConn().Close()
		go func() { _ = chatty.conn.WriteMessage(websocket.TextMessage, make([]byte, 2*maxMessage)) }()
		if code, _ := chatty.closed(); code != websocket.CloseMessageTooBig {
			t.Errorf("who talks too much was closed with %d, want %d", code, websocket.CloseMessageTooBig)
		}
		_ = chatty.conn.Close()
		synctest.Wait()
		if n := s.Readers(); n != 0 {
			t.Errorf("%d readers are left", n)
		}
	})
}

// stream is a browser's EventSource.
type stream struct {
	t     *testing.T
	lines *bufio.Scanner
	close func()
}

func (s *site) stream(t *testing.T, lastEventID, resume string) *stream {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://hub/sse"+query(orders, resume), nil)
	if err != nil {
		t.Fatal(err)
	}
	if lastEventID != "" {
		r.Header.Set("Last-Event-ID", lastEventID)
	}
	transport := &http.Transport{DialContext: s.dial}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	c := &stream{t, bufio.NewScanner(resp.Body), func() { _ = resp.Body.Close(); transport.CloseIdleConnections() }}
	t.Cleanup(c.close)
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || got != "text/event-stream" {
		t.Fatalf("status %d, content type %s", resp.StatusCode, got)
	}
	return c
}

// next reads an event: its id, if it has one, and its text.
func (c *stream) next() (id string, m text) {
	c.t.Helper()
	for c.lines.Scan() {
		name, value, _ := strings.Cut(c.lines.Text(), ": ")
		switch name {
		case "id":
			id = value
		case "data":
			if err := json.Unmarshal([]byte(value), &m); err != nil {
				c.t.Fatal(err)
			}
		case "":
			return id, m
		}
	}
	c.t.Fatalf("the stream ended: %v", c.lines.Err())
	return
}

// A browser's EventSource comes back with the id of the last event that it saw.
func TestServerSentEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed()
		s := open(t, f, nil)
		c := s.stream(t, "", "")
		first, hello := c.next()
		if hello.Type != "hello" || hello.Reset || hello.Token != first {
			t.Fatalf("event %s: %+v, want a hello with its token as id", first, hello)
		}
		f.fact(orders, 0, "ord_1", 1)
		second, m := c.next()
		if !slices.Equal(versions(m.Items), []int{1}) || second != m.Token || second == first {
			t.Fatalf("event %s: %+v, want fact 1", second, m)
		}
		if id, m := c.next(); m.Type != "here" || id != "" {
			t.Errorf("after a while event %q: %+v, want a sign of life, and the id before to stay the last", id, m)
		}
		c.close()
		synctest.Wait()
		if n := s.Readers(); n != 0 {
			t.Errorf("%d readers are left", n)
		}
		for n := 2; n <= 5; n++ {
			f.fact(orders, 0, "ord_1", n)
		}
		synctest.Wait()
		for name, tc := range map[string]struct {
			last, resume string
			want         []int
		}{
			"Last-Event-ID":               {second, "", upTo(2, 5)},
			"resume":                      {"", second, upTo(2, 5)},
			"Last-Event-ID before resume": {second, first, upTo(2, 5)},
			"from the hello":              {first, "", upTo(1, 5)},
		} {
			c := s.stream(t, tc.last, tc.resume)
			if _, hello := c.next(); hello.Reset {
				t.Errorf("%s: told to read everything anew", name)
			}
			if _, m := c.next(); !slices.Equal(versions(m.Items), tc.want) {
				t.Errorf("%s: got %v, want %v", name, versions(m.Items), tc.want)
			}
			c.close()
		}
		c = s.stream(t, "nonsense", "")
		if _, hello := c.next(); !hello.Reset {
			t.Error("an id that is none of ours was taken")
		}
	})
}
