package web

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"

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
	slices.SortStableFunc(t.Items, func(a, b service.TrailItem) int {
		if c := a.At.Compare(b.At); c != 0 {
			return c
		}
		return strings.Compare(a.Kind+a.Name, b.Kind+b.Name)
	})
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(t) // the client may have gone
}
