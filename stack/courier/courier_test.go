package courier

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/cartwheel-shop/cartwheel/stack/journal"
)

const delay = 2 * time.Second

// depot is a courier that can be started again on its journal. Its clock is
// synctest's: it stands still but for what is waited for.
type depot struct {
	*Server
	file string
	stop func()
}

func open(t *testing.T) *depot {
	t.Helper()
	d := &depot{file: filepath.Join(t.TempDir(), "parcels"), stop: func() {}}
	d.restart(t)
	return d
}

func (d *depot) restart(t interface{ Fatal(...any) }) {
	d.stop()
	var err error
	if d.Server, err = New(Config{Journal: d.file, Delay: delay, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s, ended := d.Server, make(chan struct{})
	go func() { defer close(ended); s.deliver(ctx) }()
	d.stop = func() { cancel(); <-ended; _ = s.journal.Close() }
}

func (d *depot) call(method, path, key, body string) (int, string) {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Idempotency-Key", key)
	w := httptest.NewRecorder()
	d.Handler().ServeHTTP(w, r)
	return w.Code, strings.TrimSpace(w.Body.String())
}

// told are the deliveries after a number.
func (d *depot) told(t interface{ Fatalf(string, ...any) }, after int, wait time.Duration) []Delivery {
	status, answer := d.call(http.MethodGet, fmt.Sprintf("/deliveries?after=%d&wait=%s", after, wait), "", "")
	var list struct{ Items []Delivery }
	if err := json.Unmarshal([]byte(answer), &list); err != nil || status != http.StatusOK || list.Items == nil {
		t.Fatalf("deliveries after %d: %d %s", after, status, answer)
	}
	return list.Items
}

func TestTakingAParcel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t)
		defer func() { d.stop() }()
		label := func(n int) string {
			return fmt.Sprintf(`{"carrier":"Cartwheel Courier","tracking":"CW%09d"}`, n)
		}
		for _, c := range []struct {
			key, body string
			status    int
			want      string
		}{
			{"a", `{"reference":"1","country":"DE"}`, 200, label(1)},
			{"a", `{"reference":"1","country":"DE","name":"spelt in another way"}`, 200, label(1)},
			{"a", `{"reference":"2","country":"DE"}`, 409, "key_reused"},
			{"a", `{"reference":"1","country":"ZZ"}`, 409, "key_reused"},
			{"b", `{"reference":"2","country":"ZZ"}`, 422, "refused"},
			{"b", `{"reference":"2","country":"ZZ"}`, 422, "refused"},
			{"b", `{"reference":"2","country":"FR","key":"a","tracking":"mine","taken_at":"1970-01-01T00:00:00Z"}`, 200, label(2)},
			{"", `{"reference":"3","country":"DE"}`, 400, "key_required"},
			{"c", `{"country":"DE"}`, 400, "bad_request"},
			{"c", `{"reference":3}`, 400, "bad_request"},
			{"c", ``, 400, "bad_request"},
			{"c", `{"reference":"` + strings.Repeat("3", 1<<16) + `"}`, 400, "bad_request"},
			{"restart", "", 0, ""},
			{"a", `{"reference":"1","country":"DE"}`, 200, label(1)},
			{"d", `{"reference":"4","country":"DE"}`, 200, label(3)},
		} {
			if c.key == "restart" {
				d.restart(t)
				continue
			}
			if status, answer := d.call(http.MethodPost, "/parcels", c.key, c.body); status != c.status || !strings.Contains(answer, c.want) {
				t.Errorf("%s %.99s: %d %s, want %d %s", c.key, c.body, status, answer, c.status, c.want)
			}
		}
		time.Sleep(2 * delay)
		if got := d.told(t, 0, 0); len(got) != 3 {
			t.Errorf("of 3 parcels came %v", got)
		}
		for _, q := range []string{"", "?after=0", "?wait=1s", "?after=-1&wait=1s", "?after=x&wait=1s", "?after=0&wait=61s", "?after=0&wait=1"} {
			if status, answer := d.call(http.MethodGet, "/deliveries"+q, "", ""); status != http.StatusBadRequest {
				t.Errorf("deliveries%s: %d %s", q, status, answer)
			}
		}
	})
}

func TestAReaderIsToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t)
		defer func() { d.stop() }()
		start := time.Now()
		go func() { // after the reader began to wait, and the courier to idle
			time.Sleep(time.Second)
			d.call(http.MethodPost, "/parcels", "a", `{"reference":"1"}`)
			time.Sleep(time.Second)
			d.call(http.MethodPost, "/parcels", "b", `{"reference":"2"}`)
		}()
		for _, c := range []struct {
			after int
			wait  time.Duration
			at    time.Duration // of the answer, from the start
			want  string
		}{
			{0, 20 * time.Second, time.Second + delay, "[1 1]"},
			{0, 20 * time.Second, time.Second + delay, "[1 1]"}, // it is not forgotten by being told
			{1, 20 * time.Second, 2*time.Second + delay, "[2 2]"},
			{0, 0, 2*time.Second + delay, "[1 1 2 2]"},
			{2, time.Second, 3*time.Second + delay, "[]"},
			{3, time.Second, 4*time.Second + delay, "[]"}, // a reader of another courier's numbers
		} {
			var got []any
			for _, x := range d.told(t, c.after, c.wait) {
				got = append(got, x.Number, x.Reference)
			}
			if at := time.Since(start); fmt.Sprint(got) != c.want || at != c.at {
				t.Errorf("after %d: %v at %s, want %s at %s", c.after, got, at, c.want, c.at)
			}
		}
		// A reader who was long away reads on in parts.
		d.mu.Lock()
		d.deliveries = make([]Delivery, 501)
		d.mu.Unlock()
		if a, b := len(d.told(t, 0, 0)), len(d.told(t, 500, 0)); a != 500 || b != 1 {
			t.Errorf("%d and %d, want 500 and 1", a, b)
		}
	})
}

// Every parcel that was taken is delivered once, in its turn, however often the
// courier is started again.
func TestNoParcelIsForgotten(t *testing.T) {
	type step struct {
		kind, key, reference string
		ms                   int
	}
	steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		return step{rapid.SampledFrom([]string{"take", "take", "wait", "restart"}).Draw(t, "kind"), rapid.StringMatching(`[a-h]`).Draw(t, "key"),
			rapid.StringMatching(`[12]`).Draw(t, "reference"), rapid.IntRange(1, 3000).Draw(t, "ms")}
	}), 1, 15)
	dir := t.TempDir()
	rapid.Check(t, func(r *rapid.T) {
		todo, wrong := steps.Draw(r, "steps"), ""
		f, err := os.CreateTemp(dir, "parcels")
		if err != nil {
			r.Fatal(err)
		}
		_ = f.Close()
		synctest.Test(t, func(t *testing.T) {
			d := &depot{file: f.Name(), stop: func() {}}
			d.restart(t)
			defer func() { d.stop() }()
			type parcel struct {
				reference string
				at        time.Time
			}
			var taken []parcel
			keys := map[string]bool{}
			for _, s := range todo {
				switch s.kind {
				case "take":
					d.call(http.MethodPost, "/parcels", s.key, fmt.Sprintf(`{"reference":%q}`, s.reference))
					if !keys[s.key] {
						keys[s.key], taken = true, append(taken, parcel{s.reference, time.Now()})
					}
					time.Sleep(time.Millisecond) // of two at one instant none is the older
				case "wait":
					time.Sleep(time.Duration(s.ms) * time.Millisecond)
				case "restart":
					d.restart(t)
				}
			}
			time.Sleep(2 * delay)
			d.restart(t)
			time.Sleep(2 * delay) // none comes twice
			got := d.told(t, 0, 0)
			ok := len(got) == len(taken)
			for i := 0; ok && i < len(got); i++ {
				ok = got[i].Number == int64(i)+1 && got[i].Reference == taken[i].reference && !got[i].DeliveredAt.Before(taken[i].at.Add(delay))
			}
			if !ok {
				wrong = fmt.Sprintf("taken %v, delivered %v", taken, got)
			}
		})
		if wrong != "" {
			r.Fatal(wrong)
		}
	})
}

// What is not on disk did not happen: no label, no delivery.
func TestAJournalThatCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t)
		defer func() { d.stop() }()
		d.call(http.MethodPost, "/parcels", "a", `{"reference":"1"}`)
		if err := d.journal.Close(); err != nil {
			t.Fatal(err)
		}
		if status, answer := d.call(http.MethodPost, "/parcels", "b", `{"reference":"2"}`); status != http.StatusInternalServerError {
			t.Errorf("taken: %d %s", status, answer)
		}
		if got := d.told(t, 0, 2*delay); len(got) > 0 {
			t.Errorf("delivered: %v", got)
		}
		again, err := journal.Open(d.file, func(entry) {})
		if err != nil {
			t.Fatal(err)
		}
		d.mu.Lock()
		d.journal = again
		d.mu.Unlock()
		if got := d.told(t, 0, 2*delay); len(got) != 1 || got[0].Reference != "1" || got[0].Number != 1 {
			t.Errorf("delivered when it can be written again: %v, want the first", got)
		}
	})
}
