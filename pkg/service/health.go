package service

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// checkPatience bounds one health check; a dependency that takes longer counts
// as missing.
const checkPatience = 2 * time.Second

// Missing names something an order needs that is not there.
type Missing struct {
	Name   string `json:"name"`
	State  string `json:"state,omitempty"`  // one word: down, building, starting
	Detail string `json:"detail,omitempty"` // what a person wants to know
}

// Readiness is the body of /readyz.
type Readiness struct {
	Ready   bool      `json:"ready"`
	Missing []Missing `json:"missing"`
}

// Health is the set of checks behind /readyz. The zero value is ready.
type Health struct {
	mu     sync.Mutex
	checks map[string]func(context.Context) error
	gather func(context.Context) []Missing
}

// Gather sets a function that finds what others miss, for a program that stands
// in front of services.
func (h *Health) Gather(fn func(context.Context) []Missing) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gather = fn
}

// Check adds or replaces a check. fn must honour its context.
func (h *Health) Check(name string, fn func(context.Context) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.checks == nil {
		h.checks = map[string]func(context.Context) error{}
	}
	h.checks[name] = fn
}

// Ready runs all checks at once and reports what is missing, by name.
func (h *Health) Ready(ctx context.Context) Readiness {
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()

	h.mu.Lock()
	var wg sync.WaitGroup
	var mu sync.Mutex
	missing := []Missing{}
	for name, check := range h.checks {
		wg.Go(func() {
			if err := check(ctx); err != nil {
				mu.Lock()
				missing = append(missing, Missing{Name: name, State: "down", Detail: err.Error()})
				mu.Unlock()
			}
		})
	}
	if gather := h.gather; gather != nil {
		wg.Go(func() {
			found := gather(ctx)
			mu.Lock()
			missing = append(missing, found...)
			mu.Unlock()
		})
	}
	h.mu.Unlock()
	wg.Wait()
	slices.SortFunc(missing, func(a, b Missing) int { return strings.Compare(a.Name, b.Name) })
	return Readiness{Ready: len(missing) == 0, Missing: missing}
}

func (h *Health) serveReady(w http.ResponseWriter, r *http.Request) {
	ready := h.Ready(r.Context())
	w.Header().Set("Content-Type", "application/json")
	if !ready.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(ready) // the client may have gone
}

func serveAlive(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte("{\"alive\":true}\n"))
}
