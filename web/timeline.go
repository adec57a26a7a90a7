package web

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
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
	e.addReadings(r.Context(), &t)
	slices.Sort(t.Missing)
	order(t.Items)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(t) // the client may have gone
}

// readers are the services that consume facts.
var readers = []string{"analytics", "notification", "order"}

// addReadings adds to each event what became of it in the groups that handle it,
// as "consumers". What a service cannot say at the moment is left out.
func (e *Edge) addReadings(ctx context.Context, t *Timeline) {
	facts := factsOf(t.Items)
	if len(facts) == 0 {
		return
	}
	var all []bus.Reading
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, name := range readers {
		wg.Go(func() {
			var a bus.ReadingsAnswer
			if err := e.post(ctx, name, "/internal/readings", map[string]any{"facts": facts}, &a); err != nil {
				e.log.DebugContext(ctx, "readings are not shown", "service", name, "error", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, a.Items...)
		})
	}
	wg.Wait()
	join(t.Items, all)
}

// factsOf are the facts of a timeline, where they are in Kafka.
func factsOf(items []service.TrailItem) []bus.Fact {
	var facts []bus.Fact
	for _, it := range items {
		// As JSON has them.
		id, _ := it.Detail["event_id"].(string)
		topic, _ := it.Detail["topic"].(string)
		partition, ok1 := it.Detail["partition"].(float64)
		offset, ok2 := it.Detail["offset"].(float64)
		if it.Kind == service.TrailEvent && id != "" && topic != "" && ok1 && ok2 {
			facts = append(facts, bus.Fact{EventID: id, Type: it.Name, Topic: topic, Partition: int32(partition), Offset: int64(offset), At: it.At})
		}
	}
	return facts
}

// join hangs the readings on their events, in the order in which they happened.
func join(items []service.TrailItem, readings []bus.Reading) {
	byEvent := map[string][]bus.Reading{}
	for _, r := range readings {
		byEvent[r.EventID] = append(byEvent[r.EventID], r)
	}
	for i, it := range items {
		id, _ := it.Detail["event_id"].(string)
		if list := byEvent[id]; it.Kind == service.TrailEvent && len(list) > 0 {
			slices.SortFunc(list, func(a, b bus.Reading) int {
				if a.At.IsZero() != b.At.IsZero() { // what is not known, last
					return cmp.Compare(b.At.Unix(), a.At.Unix())
				}
				return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Group, b.Group))
			})
			items[i].Detail["consumers"] = list
		}
	}
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
