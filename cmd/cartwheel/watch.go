package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// watcher learns from the shop's WebSocket when orders end. What it missed, it
// asks for.
type watcher struct {
	client *client
	cancel context.CancelFunc

	mu      sync.Mutex
	ends    map[string]string // order id → status
	waiting map[string]chan string
}

// ending statuses by the fact that says so. An order that awaits approval waits
// for a person, who is not here.
var ending = map[string]string{
	"order.completed.v1": "completed", "order.cancelled.v1": "cancelled",
	"order.rejected.v1": "rejected", "order.approval_requested.v1": "awaiting_approval",
}

func watchOrders(ctx context.Context, c *client) (*watcher, error) {
	ctx, cancel := context.WithCancel(ctx)
	w := &watcher{client: c, cancel: cancel, ends: map[string]string{}, waiting: map[string]chan string{}}
	conn, err := w.dial(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	go func() {
		for ctx.Err() == nil {
			if conn != nil {
				w.read(ctx, conn)
			}
			if !sleepUntil(ctx, time.Now().Add(500*time.Millisecond)) {
				return
			}
			conn, _ = w.dial(ctx) // again in a moment
		}
	}()
	return w, nil
}

func (w *watcher) close() { w.cancel() }

func (w *watcher) dial(ctx context.Context) (*websocket.Conn, error) {
	u := *w.client.base
	u.Scheme = strings.Replace(u.Scheme, "http", "ws", 1)
	conn, resp, err := websocket.DefaultDialer.DialContext(ctx, u.String()+"/api/ws?topics=orders", nil)
	if resp != nil {
		_ = resp.Body.Close()
	}
	if err != nil {
		return nil, errors.New("the shop at " + w.client.base.String() + " offers no live view: is it running? (" + err.Error() + ")")
	}
	return conn, nil
}

func (w *watcher) read(ctx context.Context, conn *websocket.Conn) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer conn.Close()
	for {
		_, raw, err := conn.ReadMessage()
		if err != nil {
			return
		}
		var m struct {
			Items []struct {
				EventType string `json:"event_type"`
				OrderID   string `json:"order_id"`
			} `json:"items"`
		}
		if json.Unmarshal(raw, &m) != nil {
			continue
		}
		w.mu.Lock()
		for _, item := range m.Items {
			status, ok := ending[item.EventType]
			if !ok {
				continue
			}
			if ch, ok := w.waiting[item.OrderID]; ok {
				delete(w.waiting, item.OrderID)
				ch <- status
			} else {
				w.ends[item.OrderID] = status
			}
		}
		w.mu.Unlock()
	}
}

// askAfter is how long nothing may be heard of an order before it is asked for.
const askAfter = 5 * time.Second

// ended waits until an order has ended, or waits for a person. An order that was
// there before the watcher may have done so long ago: it is asked for at once.
func (w *watcher) ended(ctx context.Context, id string, before bool) (string, error) {
	w.mu.Lock()
	if status, ok := w.ends[id]; ok {
		delete(w.ends, id)
		w.mu.Unlock()
		return status, nil
	}
	heard := make(chan string, 1)
	w.waiting[id] = heard
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		delete(w.waiting, id)
		w.mu.Unlock()
	}()
	after := askAfter
	if before {
		after = 0
	}
	for {
		timer := time.NewTimer(after)
		after = askAfter
		select {
		case status := <-heard:
			timer.Stop()
			return status, nil
		case <-ctx.Done():
			timer.Stop()
			return "", ctx.Err()
		case <-timer.C:
		}
		var o struct {
			Status string `json:"status"`
		}
		if err := w.client.do(ctx, http.MethodGet, "/api/orders/"+id, nil, &o); err != nil {
			if w.client.gone(err) {
				return "", err
			}
			continue // asked again later
		}
		switch o.Status {
		case "completed", "cancelled", "rejected", "awaiting_approval":
			return o.Status, nil
		}
	}
}
