package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
)

// What cannot be sent is said in one sentence, before anything is asked of the shop.
func TestLoadIsRefused(t *testing.T) {
	url, asked := emptyShop(t)
	for args, want := range map[string]string{
		"--rate=NaN":                      "--rate must be above 0",
		"--rate=0":                        "--rate must be above 0",
		"--rate=-1":                       "--rate must be above 0",
		"--rate=1001":                     "--rate must be above 0 and at most 1000",
		"--duration=0s":                   "1 to 1000000 orders",
		"--duration=-1s":                  "1 to 1000000 orders",
		"--rate=1000 --duration=1000000h": "1 to 1000000 orders",
		"--count=5":                       "name it with --file",
		"--from=2":                        "name it with --file",
		"--skip-bad":                      "name it with --file",
		"--give-up-after=-1s":             "--give-up-after must not be negative",
		"--in-flight=0":                   "--in-flight must be at least 1",
		"--server=ftp://shop":             "--server must be http://host:port",
		"--server=127.0.0.1:8080":         "--server must be http://host:port",
	} {
		_, errs, status := cartwheel(t, append([]string{"load", "--server", url}, strings.Fields(args)...)...)
		if status != exitFailed || !strings.Contains(errs, want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("load %s: status %d, %q; want %q", args, status, errs, want)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the shop was asked %d times", n)
	}
}

// A shop that goes away in the middle, and stays away, is given up, and what
// became of the orders so far is told.
func TestLoadGivesUpOnAShopThatIsGone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "purchases.txt")
	if err := os.WriteFile(file, []byte(strings.Repeat("00001 19970101  1   11.77\n", 3)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, flags := range []string{"", "--json"} {
		out, errs, status := cartwheel(t, append([]string{"load", "--server", leavingShop(t), "--file", file, "--in-flight", "1", "--give-up-after", "1ns"}, strings.Fields(flags)...)...)
		if status != exitFailed || strings.Count(errs, "cartwheel: ") != 1 || !strings.Contains(errs, "cartwheel: given up: the shop at http://127.0.0.1:") {
			t.Errorf("load %s exits %d: %s", flags, status, errs)
		}
		var got outcome
		if flags == "" {
			if !strings.Contains(out, "sent 2 orders in ") || !strings.Contains(out, "completed          1\n") || !strings.Contains(out, "unknown            1\n") {
				t.Errorf("load prints %s", out)
			}
		} else if err := json.Unmarshal([]byte(out), &got); err != nil || got.Sent != 2 || got.Statuses["completed"] != 1 || got.Unknown != 1 || got.Failed != 0 {
			t.Errorf("load --json prints %s (%v)", out, err)
		}
	}
}

// leavingShop completes its first order, takes its second, and is gone.
func leavingShop(t *testing.T) (url string) {
	t.Helper()
	var srv *httptest.Server
	placed := 0
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/ws", func(w http.ResponseWriter, r *http.Request) {
		if conn, err := new(websocket.Upgrader).Upgrade(w, r, nil); err == nil {
			t.Cleanup(func() { _ = conn.Close() })
		}
	})
	mux.HandleFunc("POST /api/channel-orders", func(w http.ResponseWriter, _ *http.Request) {
		if placed++; placed == 2 {
			_ = srv.Listener.Close()
		}
		w.Header().Set("Idempotent-Replayed", "true") // it is asked for at once
		fmt.Fprintf(w, `{"order_id":"ord_%d"}`, placed)
	})
	mux.HandleFunc("GET /api/orders/ord_1", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"status":"completed"}`) })
	srv = httptest.NewServer(mux)
	srv.Config.SetKeepAlivesEnabled(false)
	t.Cleanup(srv.Close)
	return srv.URL
}

// A shop is given up when all has gone without an answer for long enough: each
// answer begins it anew.
func TestAnyAnswerIsASignOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin, last := time.Now(), time.Duration(0)
		c := &client{base: &url.URL{Scheme: "http", Host: "shop"}, patience: patience, http: &http.Client{Transport: roundTrip(func() (*http.Response, error) {
			if at := time.Since(begin); at > 100*time.Second || at%(patience-askAfter) != 0 {
				return nil, errors.New("connection refused")
			}
			last = time.Since(begin)
			return &http.Response{StatusCode: http.StatusServiceUnavailable, Body: io.NopCloser(strings.NewReader("{}"))}, nil
		})}}
		w := &watcher{client: c, ends: map[string]string{}, waiting: map[string]chan string{}}
		_, err := w.ended(t.Context(), "ord_1", false)
		if took := time.Since(begin); !c.gone(err) || last != 100*time.Second || took != last+askAfter+patience {
			t.Errorf("given up after %s with %v, and the last answer came after %s", took, err, last)
		}
	})
}

type roundTrip func() (*http.Response, error)

func (f roundTrip) RoundTrip(*http.Request) (*http.Response, error) { return f() }

// Nor is anything played or shown that cannot be.
func TestSensorsAndTailAreRefused(t *testing.T) {
	for args, want := range map[string]string{
		"sensors --interval=0s":             "--interval must be above 0",
		"sensors --interval=-1s":            "--interval must be above 0",
		"sensors --duration=-1s":            "--duration must not be negative",
		"sensors --speed=-1":                "--speed must not be negative",
		"sensors --speed=NaN":               "--speed must not be negative",
		"events tail --topics=orders,moons": `there is no topic "moons": choose of orders`,
	} {
		_, errs, status := cartwheel(t, strings.Fields(args)...)
		if status != exitFailed || !strings.Contains(errs, want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%s: status %d, %q; want %q", args, status, errs, want)
		}
	}
}
