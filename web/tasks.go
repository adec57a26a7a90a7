package web

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/httpapi"
	"github.com/cartwheel-shop/cartwheel/pkg/service"
)

// task is a parked message as a task: one for each key, named after the oldest
// fact of it.
type task struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind"`
	OrderID   string    `json:"order_id"`
	Detail    string    `json:"detail"`
	State     string    `json:"state"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// tasksPage is a page of tasks; those of the order service pass through as they
// are.
type tasksPage struct {
	Items      []json.RawMessage `json:"items"`
	NextCursor string            `json:"next_cursor,omitempty"`
}

const (
	parkedTask = "parked."         // in front of the ids of parked messages
	mostParked = 200               // facts of a service that are looked at
	parkedPage = "parked messages" // marks a cursor within them
)

// serveTasks answers with what waits for a person: parked messages of all services,
// and then the tasks of the order service, page by page.
func (e *Edge) serveTasks(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	place, err := httpapi.DecodeCursor(query.Get("cursor"), 2)
	within := err == nil && place != nil && place[0] == parkedPage
	limit, err := strconv.Atoi(cmp.Or(query.Get("limit"), "50"))
	if query.Get("cursor") != "" && !within || err != nil || limit < 1 || limit > 200 {
		e.proxy("order").ServeHTTP(w, r) // which also says what is wrong
		return
	}
	skip := 0
	if within {
		if skip, err = strconv.Atoi(place[1]); err != nil || skip < 0 {
			httpapi.WriteProblem(w, httpapi.BadCursor())
			return
		}
	}
	// The order service says whether the caller may see any of it.
	query.Del("cursor")
	page, ok := e.orderTasks(w, r, query)
	if !ok {
		return
	}
	parked := e.parked(r, query.Get("state"))
	parked = parked[min(skip, len(parked)):]
	out := tasksPage{Items: []json.RawMessage{}}
	for _, t := range parked[:min(limit, len(parked))] {
		raw, err := json.Marshal(t)
		if err != nil {
			continue // it has nothing that cannot be encoded
		}
		out.Items = append(out.Items, raw)
	}
	switch rest := limit - len(out.Items); {
	case len(parked) >= limit && len(page.Items)+len(parked) > limit:
		out.NextCursor = httpapi.EncodeCursor(parkedPage, strconv.Itoa(skip+limit))
	case len(page.Items) > rest:
		query.Set("limit", strconv.Itoa(rest))
		if page, ok = e.orderTasks(w, r, query); !ok {
			return
		}
		fallthrough
	default:
		out.Items, out.NextCursor = append(out.Items, page.Items...), page.NextCursor
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out) // the client may have gone
}

// orderTasks reads a page of the order service. When there is none, its answer is
// passed on, and ok is false.
func (e *Edge) orderTasks(w http.ResponseWriter, r *http.Request, query url.Values) (page tasksPage, ok bool) {
	resp, err := e.ask(r, "order", "/api/tasks", query)
	if err != nil {
		e.log.WarnContext(r.Context(), "service does not answer", "service", "order", "error", err)
		httpapi.WriteProblem(w, httpapi.Problem(http.StatusServiceUnavailable, "service_unavailable",
			"the order service does not answer at the moment; send the same request again").RetryAfter(time.Second))
		return page, false
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		if err := json.NewDecoder(resp.Body).Decode(&page); err != nil {
			httpapi.WriteProblem(w, httpapi.Problem(http.StatusBadGateway, "service_answer", "the order service broke off its answer; send the same request again"))
			return page, false
		}
		return page, true
	}
	for k, v := range resp.Header {
		w.Header()[k] = v
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body) // the client may have gone
	return page, false
}

// ask asks a service for what the caller may see.
func (e *Edge) ask(r *http.Request, name, path string, query url.Values) (*http.Response, error) {
	u := e.services[name].JoinPath(path)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header["Authorization"] = r.Header["Authorization"]
	return e.client.Do(req)
}

// parked lists the parked messages of all services, newest first. A service that
// does not answer has none for now.
func (e *Edge) parked(r *http.Request, state string) []task {
	byKey := map[string]task{}
	var mu sync.Mutex
	e.each(func(name string) {
		var page struct {
			Items []service.ParkedFact `json:"items"`
		}
		resp, err := e.ask(r, name, "/api/outbox/"+name+"/parked", url.Values{"limit": {strconv.Itoa(mostParked)}})
		if err == nil {
			defer resp.Body.Close()
			err = json.NewDecoder(resp.Body).Decode(&page)
		}
		if err != nil {
			e.log.WarnContext(r.Context(), "parked messages are not shown", "service", name, "error", err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for _, p := range page.Items {
			key := name + " " + p.Topic + " " + p.Key
			t, seen := byKey[key]
			if !seen {
				t = task{
					ID: parkedTask + name + "." + strconv.FormatInt(p.Seq, 10), Kind: "parked_message", State: "open", CreatedAt: p.ParkedAt,
					Detail: fmt.Sprintf("%s of %s, from %s to %s, was refused by Kafka: %s; retry sends it, done forgets it", p.EventType, p.Key, name, p.Topic, p.Reason),
				}
				if strings.HasPrefix(p.Key, "ord_") {
					t.OrderID = p.Key
				}
			}
			t.UpdatedAt = p.ParkedAt
			if p.Released {
				t.State = "retrying"
			}
			byKey[key] = t
		}
	})
	out := []task{}
	for _, t := range byKey {
		if state == "" || state == t.State {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(a, b task) int { return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.ID, a.ID)) })
	return out
}

// decideTask hands a decision about a parked message to its service, and any other
// to the order service.
func (e *Edge) decideTask(w http.ResponseWriter, r *http.Request) {
	id, parked := strings.CutPrefix(r.PathValue("id"), parkedTask)
	if !parked {
		e.proxy("order").ServeHTTP(w, r)
		return
	}
	name, seq, _ := strings.Cut(id, ".")
	do := map[string]string{"retry": "release", "done": "discard"}[r.PathValue("decision")]
	if e.services[name] == nil || do == "" {
		httpapi.WriteProblem(w, httpapi.Problem(http.StatusNotFound, "not_found", "there is no such task, or no such decision about one: retry sends a parked message, done forgets it"))
		return
	}
	r.URL = &url.URL{Path: "/api/outbox/" + name + "/parked/" + seq + "/" + do}
	e.proxy(name).ServeHTTP(w, r)
}
