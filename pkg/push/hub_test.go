package push

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/gorilla/websocket"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
)

func TestWhatAClientGets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed()
		s := open(t, f, nil)
		c := s.connect(t, orders, "")
		if c.hello.Reset {
			t.Error("a client without a token is told to read everything anew")
		}
		f.fact(payments, 0, "pay_1", 1) // not asked for
		f.put(orders, 0, "not a fact")
		f.put(orders, 0, `{"no": "fact"}`)
		f.fact(orders, 0, "ord_1", 7)
		got := c.items(1)
		want := item{Topic: orders, Key: "ord_1", Version: 7, EventType: "orders.happened.v1", EventID: "evt_orders_ord_1_7", OrderID: "ord_1"}
		if data := string(got[0].Data); data != `{"order_id":"ord_1"}` {
			t.Errorf("data %s", data)
		}
		if got[0].Data = nil; len(got) != 1 || fmt.Sprint(got[0]) != fmt.Sprint(want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		pushed := s.Pushed("ord_1")
		if len(pushed) != 1 || pushed[0].EventType != "orders.happened.v1" || pushed[0].Readers != 1 {
			t.Errorf("Pushed = %+v, want one fact to one reader", pushed)
		}
		if list := s.Pushed("pay_1"); len(list) != 0 {
			t.Errorf("Pushed = %+v of what nobody watched", list)
		}
	})
}

// A client comes and goes, at one replica or the other, while facts are written:
// it gets each once, those of a partition in order.
func TestResumingMissesNothing(t *testing.T) {
	seed := rand.Uint64()
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(seed, 0))
		f := newFeed()
		big := func(c *Config) { c.Ring, c.Queue = 5000, 5000 }
		replicas := []*site{open(t, f, big), open(t, f, big)}
		written, next := 0, map[place]int{}
		write := func(n int) {
			for range n {
				p := place{[]string{orders, payments}[random.IntN(2)], int32(random.IntN(3))}
				next[p]++
				f.fact(p.topic, p.partition, fmt.Sprintf("%s-%d", p.topic, p.partition), next[p])
				written++
			}
			if random.IntN(4) == 0 {
				f.put(orders, 0, "not a fact")
			}
		}
		token := replicas[0].connect(t, "orders,payments", "").hello.Token
		got, seen := 0, map[string]int{}
		for range 40 {
			write(random.IntN(150))
			c := replicas[random.IntN(2)].connect(t, "orders,payments", token)
			if c.hello.Reset {
				t.Fatalf("seed %d: a token is not honoured", seed)
			}
			write(random.IntN(20))
			token = c.hello.Token
			for stay := random.IntN(200); stay > 0 && got < written; {
				list := c.items(1)
				stay, got, token = stay-len(list), got+len(list), c.token
				for _, it := range list {
					if seen[it.Key]++; int(it.Version) != seen[it.Key] {
						t.Fatalf("seed %d: version %d of %s came where %d was next", seed, it.Version, it.Key, seen[it.Key])
					}
				}
			}
			_ = c.conn.Close()
		}
		c := replicas[0].connect(t, "orders,payments", token)
		if got += len(c.items(written - got)); got != written {
			t.Errorf("seed %d: %d facts came, of %d", seed, got, written)
		}
	})
}

// A token that cannot be honoured is said so, and what comes from then on comes.
func TestReset(t *testing.T) {
	for _, tc := range []struct {
		name  string
		token func(t *testing.T, f *feed) string // made before more is written
		more  int                                // facts written since; the ring holds 64
		reset bool
	}{
		{"the newest token", current(orders), 0, false},
		{"as old as the ring", current(orders), 64, false},
		{"older than the ring", current(orders), 65, true},
		{"of more topics than asked for", current("orders,payments"), 1, false},
		{"of other topics", current(payments), 1, true},
		{"not a token", fixed("not a token!"), 1, true},
		{"somebody else's", fixed("c29tZWJvZHkgZWxzZSdz"), 1, true},
		{"cut off", func(t *testing.T, f *feed) string { return current(orders)(t, f)[:20] }, 1, true},
		{"of a topic that was made anew", func(t *testing.T, f *feed) string {
			f.ids[orders] = [16]byte{99}
			defer func() { f.ids[orders] = [16]byte{1} }()
			return current(orders)(t, f)
		}, 1, true},
		{"of a future that will not come", func(t *testing.T, f *feed) string {
			token, err := decodeToken(current(orders)(t, f))
			if err != nil {
				t.Fatal(err)
			}
			token.next[place{orders, 0}] += 100_000
			return token.encode()
		}, 1, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFeed()
				f.fact(orders, 0, "ord_0", 1)
				s := open(t, f, nil)
				token := tc.token(t, f)
				for n := range tc.more {
					f.fact(orders, 0, "ord_1", n+1)
				}
				synctest.Wait()
				c := s.connect(t, orders, token)
				if c.hello.Reset != tc.reset {
					t.Errorf("reset is %v, want %v", c.hello.Reset, tc.reset)
				}
				want := tc.more + 1
				if tc.reset {
					want = 1
				}
				f.fact(orders, 0, "ord_1", tc.more+1)
				if got := versions(c.items(want)); !slices.Equal(got, upTo(tc.more+2-want, tc.more+1)) {
					t.Errorf("got %v, want %d up to %d", got, want, tc.more+1)
				}
			})
		})
	}
}

// current makes the token of now, of a hub of its own.
func current(topics string) func(*testing.T, *feed) string {
	return func(t *testing.T, f *feed) string {
		t.Helper()
		return open(t, f, nil).connect(t, topics, "").hello.Token
	}
}

func fixed(token string) func(*testing.T, *feed) string {
	return func(*testing.T, *feed) string { return token }
}

// slowSource is a source whose facts do not come yet.
type slowSource struct {
	*feed
	come chan struct{}
}

func (s slowSource) Tail(ctx context.Context, topics []string, from bus.Positions, fn func(bus.Record) error) error {
	select {
	case <-s.come:
	case <-ctx.Done():
	}
	return s.feed.Tail(ctx, topics, from, fn)
}

// A token of a replica that reads faster, or of the time before this one was
// started, is as good as any: nothing comes twice, and nothing is missed.
func TestATokenMayBeAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed()
		for n := range 40 {
			f.fact(orders, 0, "ord_1", n+1)
		}
		token := current(orders)(t, f)
		slow := slowSource{f, make(chan struct{})}
		c := open(t, slow, nil).connect(t, orders, token)
		if c.hello.Reset {
			t.Fatal("told to read everything anew")
		}
		f.fact(orders, 0, "ord_1", 41)
		close(slow.come)
		if got := versions(c.items(1)); !slices.Equal(got, []int{41}) {
			t.Errorf("got %v, want what came after the token, 41", got)
		}
		f.fact(orders, 0, "ord_1", 42)
		if got := versions(c.items(1)); !slices.Equal(got, []int{42}) {
			t.Errorf("got %v, want 42", got)
		}
	})
}

// A hub is started anew, as with a new version of the program: clients go on where
// they were, as long as what they missed is among what it reads again.
func TestResumingAcrossARestart(t *testing.T) {
	for _, tc := range []struct {
		name  string
		away  int // facts written while no hub was there
		reset bool
	}{
		{"at once", 0, false},
		{"after some facts", 100, false},
		{"after as many as a hub reads again", startBefore, false},
		{"after more", startBefore + 1, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFeed()
				big := func(c *Config) { c.Ring = 2 * startBefore }
				s := open(t, f, big)
				c := s.connect(t, orders, "")
				f.fact(orders, 0, "ord_1", 1)
				c.items(1)
				token := c.token
				s.stop()
				if code, _ := c.closed(); code != websocket.CloseGoingAway {
					t.Errorf("closed with %d, want %d", code, websocket.CloseGoingAway)
				}
				for n := range tc.away {
					f.fact(orders, 0, "ord_1", n+2)
				}
				c = open(t, f, big).connect(t, orders, token)
				if c.hello.Reset != tc.reset {
					t.Errorf("reset is %v, want %v", c.hello.Reset, tc.reset)
				}
				f.fact(orders, 0, "ord_1", tc.away+2)
				first := 2
				if tc.reset {
					first = tc.away + 2
				}
				if got := versions(c.items(tc.away + 3 - first)); !slices.Equal(got, upTo(first, tc.away+2)) {
					t.Errorf("got %v, want %d up to %d", got, first, tc.away+2)
				}
			})
		})
	}
}

// Kafka goes away and comes back: the hub goes on where it was.
func TestTheHubGoesOnAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed()
		s := open(t, f, nil)
		c := s.connect(t, orders, "")
		f.fact(orders, 0, "ord_1", 1)
		if got := versions(c.items(1)); !slices.Equal(got, []int{1}) {
			t.Errorf("got %v, want 1", got)
		}
		f.breaks()
		synctest.Wait()
		f.fact(orders, 0, "ord_1", 2)
		f.mends()
		f.fact(orders, 0, "ord_1", 3)
		if got := versions(c.items(2)); !slices.Equal(got, []int{2, 3}) {
			t.Errorf("got %v, want 2 and 3, once", got)
		}
	})
}

// Many clients get the same, and are told when the server stops.
func TestManyConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many, facts = 2000, 40
		f := newFeed()
		s := open(t, f, nil)
		var clients []*client
		for range many {
			clients = append(clients, s.connect(t, orders, ""))
		}
		if n := s.Readers(); n != many {
			t.Errorf("%d readers, want %d", n, many)
		}
		var wg sync.WaitGroup
		for _, c := range clients {
			wg.Go(func() {
				code, list := c.closed()
				if got := versions(list); code != websocket.CloseGoingAway || !slices.Equal(got, upTo(1, facts)) {
					t.Errorf("got %v and was closed with %d, want 1 up to %d and %d", got, code, facts, websocket.CloseGoingAway)
				}
			})
		}
		for n := range facts {
			f.fact(orders, 0, "ord_1", n+1)
		}
		synctest.Wait()
		s.stop()
		wg.Wait()
		synctest.Wait()
		if n := s.Readers(); n != 0 {
			t.Errorf("%d readers are left", n)
		}
	})
}

// Who may watch, and what.
func TestWhoIsRefused(t *testing.T) {
	starting := NewHub(Config{Topics: []string{orders}})
	ready := NewHub(Config{Topics: []string{orders}, Origins: []string{"https://console.example"}})
	ready.ready = true
	stopped := NewHub(Config{Topics: []string{orders}})
	stopped.ready = true
	stopped.closeAll()
	for _, tc := range []struct {
		name   string
		hub    *Hub
		query  string
		origin string
		status int
	}{
		{"a page of another site", ready, "", "https://evil.example", http.StatusForbidden},
		{"a page whose host only looks like ours", ready, "", "https://shop.example.evil.example", http.StatusForbidden},
		{"a page without a site", ready, "", "null", http.StatusForbidden},
		{"the shop's own page", ready, "", "https://shop.example", http.StatusOK},
		{"a page of an allowed site", ready, "", "https://console.example", http.StatusOK},
		{"an allowed site without encryption", ready, "", "http://console.example", http.StatusForbidden},
		{"no browser", ready, "", "", http.StatusOK},
		{"a topic that there is not", ready, "?topics=orders,secrets", "", http.StatusUnprocessableEntity},
		{"a hub that is starting", starting, "", "", http.StatusServiceUnavailable},
		{"a hub that stops", stopped, "", "", http.StatusServiceUnavailable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for path, serve := range map[string]http.HandlerFunc{"/ws": tc.hub.ServeWS, "/sse": tc.hub.ServeSSE} {
				ctx, cancel := context.WithCancel(t.Context())
				cancel() // who is let in leaves at once
				r := httptest.NewRequestWithContext(ctx, http.MethodGet, "https://shop.example"+path+tc.query, nil)
				if tc.origin != "" {
					r.Header.Set("Origin", tc.origin)
				}
				w := httptest.NewRecorder()
				serve(w, r)
				want := tc.status
				if path == "/ws" && want == http.StatusOK {
					want = http.StatusBadRequest // it was let in, and is no WebSocket
				}
				if problem := w.Header().Get("Content-Type") == "application/problem+json"; w.Code != want || problem != (want >= 400) {
					t.Errorf("%s: status %d, want %d: %s", path, w.Code, want, w.Body)
				}
			}
		})
	}
}
