package web

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/httpapi"
	"github.com/cartwheel-shop/cartwheel/pkg/service"
)

// Timeline is an order's way through the whole system, oldest first.
type Timeline struct {
	Items   []service.TrailItem `json:"items"`
	Missing []string            `json:"missing,omitempty"` // services that did not answer
}

func (e *Edge) serveTimeline(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	t := Timeline{Items: []service.TrailItem{}}
	var known bool
	var mu sync.Mutex
	e.each(func(name string) {
		var trail service.Trail
		err := e.get(r.Context(), name, "/internal/trail/"+id, &trail)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			t.Missing = append(t.Missing, name)
			return
		}
		known = known || name == "order" && len(trail.Items) > 0
		t.Items = append(t.Items, trail.Items...)
	})
	if !known && !slices.Contains(t.Missing, "order") {
		httpapi.WriteProblem(w, httpapi.Problem(http.StatusNotFound, "order_not_found", "there is no order "+id))
		return
	}
	slices.Sort(t.Missing)
	order(t.Items)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(t) // the client may have gone
}

// ranks is the order of what has the same time.
var ranks = map[string]int{
	service.TrailHTTP: 0, service.TrailCommand: 1, service.TrailOutbox: 2, service.TrailEvent: 3, service.TrailPush: 4, service.TrailEmail: 5,
}

// order sorts by time. An event's time is that of its making; it is shown after
// its outbox row, which was written a moment later.
func order(items []service.TrailItem) {
	written := map[any]time.Time{}
	for _, it := range items {
		if it.Kind == service.TrailOutbox {
			written[it.Detail["event_id"]] = it.At
		}
	}
	for i, it := range items {
		if row, ok := written[it.Detail["event_id"]]; ok && it.Kind == service.TrailEvent && it.At.Before(row) {
			items[i].At = row
		}
	}
	slices.SortStableFunc(items, func(a, b service.TrailItem) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(ranks[a.Kind], ranks[b.Kind]), cmp.Compare(a.Name, b.Name))
	})
}
