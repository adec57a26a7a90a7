package httpapi

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/google/uuid"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
)

// MaxBody is the largest request body in bytes.
const MaxBody = 1 << 20

// Config is what an API must know of its surroundings.
type Config struct {
	OperatorToken string // the bearer token of operator calls; empty: nobody has one
	OperatorOpen  bool   // operator calls need no token
	Log           *slog.Logger
}

// API is one service's HTTP interface.
type API struct {
	huma huma.API
	mux  *http.ServeMux
	cfg  Config
}

// New returns an API without operations. Title names it in the OpenAPI document.
func New(title string, cfg Config) *API {
	useProblems()
	config := huma.DefaultConfig(title, "1")
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", ""
	config.CreateHooks = nil // no $schema members in answers
	config.Formats = map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat}
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"operator": {Type: "http", Scheme: "bearer", Description: "OPERATOR_TOKEN; not needed while only loopback can reach the shop"},
	}
	a := &API{mux: http.NewServeMux(), cfg: cfg}
	a.huma = humago.New(a.mux, config)
	a.mux.HandleFunc("/", a.notFound)
	return a
}

// Huma is the API to register typed operations with.
func (a *API) Huma() huma.API { return a.huma }

// OpenAPI is the document of the registered operations.
func (a *API) OpenAPI() *huma.OpenAPI { return a.huma.OpenAPI() }

// Handle adds a plain handler that is not part of the OpenAPI document, for
// calls between our own processes and for upgraded connections.
func (a *API) Handle(pattern string, h http.Handler) { a.mux.Handle(pattern, h) }

// HandleJSON adds a handler outside the OpenAPI document whose result is answered
// as JSON, or as a problem.
func HandleJSON[T any](a *API, pattern string, fn func(*http.Request) (T, error)) {
	a.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		v, err := fn(r)
		if err != nil {
			WriteError(r.Context(), w, a.cfg.Log, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v) // the client may have gone
	})
}

// Operator marks an operation as the operator's: it changes other people's
// orders or the system.
func (a *API) Operator(op huma.Operation) huma.Operation {
	op.Security = []map[string][]string{{"operator": {}}}
	op.Middlewares = append(op.Middlewares, func(ctx huma.Context, next func(huma.Context)) {
		if !a.allowed(ctx.Header("Authorization")) {
			p := Problem(http.StatusUnauthorized, "operator_only", "this call is the operator's: send Authorization: Bearer with the OPERATOR_TOKEN of this shop")
			for k, v := range p.GetHeaders() { // WriteErr leaves them out
				ctx.SetHeader(k, v[0])
			}
			_ = huma.WriteErr(a.huma, ctx, http.StatusUnauthorized, "", p)
			return
		}
		next(ctx)
	})
	return op
}

func (a *API) allowed(authorization string) bool {
	if a.cfg.OperatorOpen {
		return true
	}
	token, ok := strings.CutPrefix(authorization, "Bearer ")
	return ok && a.cfg.OperatorToken != "" && subtle.ConstantTimeCompare([]byte(token), []byte(a.cfg.OperatorToken)) == 1
}

// Handler is the API as a handler.
func (a *API) Handler() http.Handler {
	return a.recover(requestID(textOnly(trace(jsonOnly(WholeBody(a.mux))))))
}

// notFound answers what no operation is registered for, and says so where the
// path has others.
func (a *API) notFound(w http.ResponseWriter, r *http.Request) {
	var allow []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		if _, pattern := a.mux.Handler(&http.Request{Method: method, Host: r.Host, URL: r.URL}); pattern != "/" {
			allow = append(allow, method)
		}
	}
	if allow == nil {
		WriteProblem(w, Problem(http.StatusNotFound, "not_found", fmt.Sprintf("there is no %s %s here; /api/openapi.json lists what there is", r.Method, r.URL.Path)))
		return
	}
	w.Header().Set("Allow", strings.Join(allow, ", "))
	WriteProblem(w, Problem(http.StatusMethodNotAllowed, "method_not_allowed", fmt.Sprintf("there is no %s %s here, only %s; see /api/openapi.json", r.Method, r.URL.Path, strings.Join(allow, ", "))))
}

// WriteProblem answers with p.
func WriteProblem(w http.ResponseWriter, p *ProblemError) {
	for k, v := range p.GetHeaders() {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client may have gone
}

// WriteError answers with the problem in err, or hides err behind a 500.
func WriteError(ctx context.Context, w http.ResponseWriter, log *slog.Logger, err error) {
	var p *ProblemError
	if !errors.As(err, &p) {
		p = Internal(ctx, log, err).(*ProblemError)
	}
	WriteProblem(w, p)
}

func textOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The query as a whole: net/url and huma do not part it at the same places.
		query, err := url.QueryUnescape(r.URL.RawQuery)
		if err != nil || !isText(query) || !isText(r.URL.Path) || !isText(r.Header.Get("Idempotency-Key")) {
			WriteProblem(w, Problem(http.StatusBadRequest, "bad_request", "the address or the Idempotency-Key is not text: send UTF-8 without zero characters"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func jsonOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 && (r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch) {
			media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
			if charset, ok := params["charset"]; err != nil || media != "application/json" || ok && !strings.EqualFold(charset, "utf-8") {
				WriteProblem(w, Problem(http.StatusUnsupportedMediaType, "unsupported_media_type", "send the body as Content-Type: application/json, in UTF-8"))
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// WholeBody makes a problem of the client's of what goes wrong when next reads the
// request's body: a chunk that is none, an end before the end. It finds the problem
// in the error of Read, by errors.As.
func WholeBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 { // else there is no body, and net/http knows it by its own value
			r.Body = wholeBody{r.Body}
		}
		next.ServeHTTP(w, r)
	})
}

type wholeBody struct{ io.ReadCloser }

func (b wholeBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	var late net.Error
	switch {
	case err == nil, err == io.EOF, errors.Is(err, http.ErrBodyReadAfterClose), errors.As(err, &late) && late.Timeout():
		return n, err
	}
	return n, Problem(http.StatusBadRequest, "bad_request", "the body cannot be read to its end: send all of it, by Content-Length or in well-formed chunks")
}

func requestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("X-Request-Id")
		if id == "" || len(id) > 128 || !isText(id) {
			id = uuid.NewString()
			r.Header.Set("X-Request-Id", id)
		}
		w.Header().Set("X-Request-Id", id)
		next.ServeHTTP(w, r)
	})
}

func trace(next http.Handler) http.Handler {
	tracer := otel.Tracer("github.com/cartwheel-shop/cartwheel/pkg/httpapi")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := otel.GetTextMapPropagator().Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := tracer.Start(ctx, r.Method+" "+r.URL.Path)
		defer span.End()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

func (a *API) recover(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(p) // the handler wants the connection cut
			}
			if p != nil {
				a.cfg.Log.ErrorContext(r.Context(), "request panicked", "panic", p, "path", r.URL.Path, "stack", string(debug.Stack()))
				WriteProblem(w, Problem(http.StatusInternalServerError, "internal", "something went wrong on our side; it is logged, and trying again is safe"))
			}
		}()
		next.ServeHTTP(w, r)
	})
}
