package inbox

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"html/template"
	"net/http"
	"strconv"
)

const (
	defaultPage = 50
	maxPage     = 200
)

//go:embed pages.html
var pagesSource string

var pages = template.Must(template.New("pages").Parse(pagesSource))

// sandbox shows foreign HTML: no scripts, no forms, no requests; a link opens
// outside.
const sandbox = "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"

// NewHandler serves the box to people and programs, see the package comment.
func NewHandler(box *Box) http.Handler {
	h := handler{box}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", h.list)
	mux.HandleFunc("GET /messages/{id}", h.show)
	mux.HandleFunc("GET /messages/{id}/html", h.html)
	mux.HandleFunc("GET /api/messages", h.apiList)
	mux.HandleFunc("GET /api/messages/{id}", h.apiShow)
	mux.HandleFunc("GET /api/messages/{id}/raw", h.apiRaw)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	return mux
}

type handler struct{ box *Box }

// page reads what part of the list is asked for. One mail more than the limit
// is fetched, to know whether there is a next page.
func (h handler) page(r *http.Request) (items []Summary, next string, err error) {
	q := r.URL.Query()
	limit := defaultPage
	if s := q.Get("limit"); s != "" {
		limit, err = strconv.Atoi(s)
		if err != nil || limit < 1 || limit > maxPage {
			return nil, "", errors.New("limit is not a number from 1 to " + strconv.Itoa(maxPage))
		}
	}
	items = h.box.List(Filter{MessageID: q.Get("message_id"), To: q.Get("to"), Before: q.Get("cursor"), Limit: limit + 1})
	if len(items) > limit {
		items = items[:limit]
		next = items[limit-1].ID
	}
	return items, next, nil
}

func (h handler) message(r *http.Request) (Message, error) {
	summary, raw, err := h.box.Get(r.PathValue("id"))
	if err != nil {
		return Message{}, err
	}
	return parse(summary, raw)
}

func (h handler) apiList(w http.ResponseWriter, r *http.Request) {
	items, next, err := h.page(r)
	if err != nil {
		problem(w, http.StatusBadRequest, "bad_limit", err)
		return
	}
	writeJSON(w, http.StatusOK, struct {
		Items  []Summary `json:"items"`
		Cursor string    `json:"cursor,omitempty"`
	}{items, next})
}

func (h handler) apiShow(w http.ResponseWriter, r *http.Request) {
	m, err := h.message(r)
	if err != nil {
		failed(w, err)
		return
	}
	writeJSON(w, http.StatusOK, m)
}

func (h handler) apiRaw(w http.ResponseWriter, r *http.Request) {
	_, raw, err := h.box.Get(r.PathValue("id"))
	if err != nil {
		failed(w, err)
		return
	}
	w.Header().Set("Content-Type", "message/rfc822")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(raw)
}

func (h handler) list(w http.ResponseWriter, r *http.Request) {
	items, next, err := h.page(r)
	if err != nil {
		problem(w, http.StatusBadRequest, "bad_limit", err)
		return
	}
	if r.URL.Query().Get("message_id") != "" && len(items) == 1 {
		http.Redirect(w, r, "/messages/"+items[0].ID, http.StatusFound)
		return
	}
	render(w, "list", struct {
		Items []Summary
		Next  string
		To    string
	}{items, next, r.URL.Query().Get("to")})
}

func (h handler) show(w http.ResponseWriter, r *http.Request) {
	m, err := h.message(r)
	if err != nil {
		failed(w, err)
		return
	}
	render(w, "message", m)
}

// html serves a mail's own HTML, which is somebody else's: only in a sandbox.
func (h handler) html(w http.ResponseWriter, r *http.Request) {
	m, err := h.message(r)
	if err != nil {
		failed(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", sandbox)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write([]byte(m.HTML))
}

func render(w http.ResponseWriter, name string, data any) {
	var page bytes.Buffer
	if err := pages.ExecuteTemplate(&page, name, data); err != nil {
		failed(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(page.Bytes())
}

func failed(w http.ResponseWriter, err error) {
	if errors.Is(err, ErrNotFound) {
		problem(w, http.StatusNotFound, "not_found", err)
		return
	}
	problem(w, http.StatusInternalServerError, "internal", err)
}

func problem(w http.ResponseWriter, status int, code string, err error) {
	w.Header().Set("Content-Type", "application/problem+json")
	writeJSON(w, status, map[string]any{
		"title": http.StatusText(status), "status": status, "code": code, "detail": err.Error(),
	})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that hangs up
}
