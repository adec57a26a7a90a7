// Package courier is the test courier: an HTTP server of its own that takes
// parcels and delivers them after a while.
//
//	POST /parcels {reference, country, …}      takes a parcel; 422 refuses for good
//	GET  /deliveries?after=N&wait=20s          what was delivered since, in order
//
// POST /parcels needs an Idempotency-Key: the same key is the same parcel. The
// fictional country ZZ is refused. Deliveries are numbered from 1; a reader keeps
// the last number it has seen and asks for what is after it, and the answer comes
// as soon as there is something, or empty after wait.
//
// Parcels are in a journal that is on disk before an answer leaves, so that none
// is forgotten by a crash.
package courier

import (
	"container/heap"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/cartwheel-shop/cartwheel/stack/journal"
)

// Carrier is the courier's name on parcels.
const Carrier = "Cartwheel Courier"

// Config of the courier.
type Config struct {
	Journal string        // file of the parcels
	Delay   time.Duration // from a parcel to its delivery
	Log     *slog.Logger
}

// Parcel as it is taken.
type Parcel struct {
	Key       string    `json:"key"`
	Reference string    `json:"reference"` // the sender's own number
	Country   string    `json:"country"`
	Tracking  string    `json:"tracking"`
	TakenAt   time.Time `json:"taken_at"`
}

// Delivery is a parcel that arrived.
type Delivery struct {
	Number      int64     `json:"number"`
	Reference   string    `json:"reference"`
	DeliveredAt time.Time `json:"delivered_at"`
}

// entry is a line of the journal: a parcel, or its delivery.
type entry struct {
	Parcel    *Parcel   `json:"parcel,omitempty"`
	Delivered *Delivery `json:"delivered,omitempty"`
}

// Server is the courier.
type Server struct {
	cfg     Config
	journal *journal.Journal[entry]

	mu         sync.Mutex
	parcels    map[string]Parcel // by key
	under      due               // not delivered yet
	deliveries []Delivery
	news       chan struct{} // closed when something was delivered
	taken      chan struct{} // a parcel was taken
}

// New reads the parcels of earlier runs.
func New(cfg Config) (*Server, error) {
	s := &Server{cfg: cfg, parcels: map[string]Parcel{}, news: make(chan struct{}), taken: make(chan struct{}, 1)}
	var taken []Parcel
	delivered := map[string]int{} // by reference, which two parcels may share
	var err error
	s.journal, err = journal.Open(cfg.Journal, func(e entry) {
		if e.Parcel != nil {
			s.parcels[e.Parcel.Key] = *e.Parcel
			taken = append(taken, *e.Parcel)
		}
		if e.Delivered != nil {
			s.deliveries = append(s.deliveries, *e.Delivered)
			delivered[e.Delivered.Reference]++
		}
	})
	if err != nil {
		return nil, fmt.Errorf("courier: %w", err)
	}
	for _, p := range taken { // the oldest is delivered first
		if delivered[p.Reference] > 0 {
			delivered[p.Reference]--
		} else {
			heap.Push(&s.under, p)
		}
	}
	return s, nil
}

// Serve takes parcels on ln and delivers them until ctx ends.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	srv := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() }) // long polls would hold a graceful end
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	delivering := make(chan struct{})
	go func() { defer close(delivering); s.deliver(ctx) }()
	err := srv.Serve(ln)
	cancel()
	<-delivering
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return errors.Join(err, s.journal.Close())
}

// Handler is the courier's HTTP interface.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /parcels", s.take)
	mux.HandleFunc("GET /deliveries", s.tell)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, map[string]bool{"alive": true}) })
	return mux
}

func (s *Server) take(w http.ResponseWriter, r *http.Request) {
	var p Parcel
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&p); err != nil || p.Reference == "" {
		answer(w, http.StatusBadRequest, map[string]string{"code": "bad_request", "detail": "send JSON with a reference"})
		return
	}
	p.Key = r.Header.Get("Idempotency-Key")
	if p.Key == "" {
		answer(w, http.StatusBadRequest, map[string]string{"code": "key_required", "detail": "send an Idempotency-Key"})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	earlier, ok := s.parcels[p.Key]
	switch {
	case ok && (earlier.Reference != p.Reference || earlier.Country != p.Country):
		answer(w, http.StatusConflict, map[string]string{"code": "key_reused", "detail": "this key was used for another parcel"})
		return
	case p.Country == "ZZ":
		answer(w, http.StatusUnprocessableEntity, map[string]string{"code": "refused", "detail": "we do not deliver to this country"})
		return
	case !ok:
		p.TakenAt = time.Now().UTC()
		p.Tracking = fmt.Sprintf("CW%09d", len(s.parcels)+1)
		if err := s.journal.Append(entry{Parcel: &p}); err != nil {
			s.cfg.Log.Error("parcel not written down", "error", err)
			answer(w, http.StatusInternalServerError, map[string]string{"code": "internal", "detail": "ask again"})
			return
		}
		s.parcels[p.Key] = p
		heap.Push(&s.under, p)
		earlier = p
		select {
		case s.taken <- struct{}{}:
		default:
		}
	}
	answer(w, http.StatusOK, map[string]string{"carrier": Carrier, "tracking": earlier.Tracking})
}

// deliver hands parcels over when they are due, the oldest first.
func (s *Server) deliver(ctx context.Context) {
	for ctx.Err() == nil {
		s.mu.Lock()
		wait := time.Hour
		if len(s.under) > 0 {
			wait = time.Until(s.under[0].TakenAt.Add(s.cfg.Delay))
		}
		if wait <= 0 {
			p := heap.Pop(&s.under).(Parcel)
			d := Delivery{Number: int64(len(s.deliveries)) + 1, Reference: p.Reference, DeliveredAt: time.Now().UTC()}
			if err := s.journal.Append(entry{Delivered: &d}); err != nil {
				s.cfg.Log.Error("delivery not written down", "error", err)
				heap.Push(&s.under, p)
				wait = time.Second
			} else {
				s.deliveries = append(s.deliveries, d)
				close(s.news)
				s.news = make(chan struct{})
			}
		}
		s.mu.Unlock()
		if wait <= 0 {
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-s.taken:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// tell answers deliveries after a number, at most 500 of them.
func (s *Server) tell(w http.ResponseWriter, r *http.Request) {
	after, err := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64)
	wait, waitErr := time.ParseDuration(r.URL.Query().Get("wait"))
	if err != nil || waitErr != nil || after < 0 || wait > time.Minute {
		answer(w, http.StatusBadRequest, map[string]string{"code": "bad_request", "detail": "ask for ?after=0&wait=20s"})
		return
	}
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	for {
		s.mu.Lock()
		list := []Delivery{}
		if n := int64(len(s.deliveries)); after < n {
			list = append(list, s.deliveries[after:min(n, after+500)]...)
		}
		news := s.news
		s.mu.Unlock()
		if len(list) > 0 {
			answer(w, http.StatusOK, map[string]any{"items": list})
			return
		}
		select {
		case <-news:
		case <-timeout.C:
			answer(w, http.StatusOK, map[string]any{"items": list})
			return
		case <-r.Context().Done():
			return
		}
	}
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller may have gone
}

// due is a heap of parcels, the oldest first.
type due []Parcel

func (d due) Len() int           { return len(d) }
func (d due) Less(i, j int) bool { return d[i].TakenAt.Before(d[j].TakenAt) }
func (d due) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }

// Push implements heap.Interface.
func (d *due) Push(x any) { *d = append(*d, x.(Parcel)) }

// Pop implements heap.Interface.
func (d *due) Pop() any {
	last := (*d)[len(*d)-1]
	*d = (*d)[:len(*d)-1]
	return last
}
