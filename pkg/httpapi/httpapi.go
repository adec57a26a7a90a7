package httpapi

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"mime"
	"net/http"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"unicode/utf8"

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
	a.mux.HandleFunc("/", notFound)
	return a
}

// Huma is the API to register typed operations with.
func (a *API) Huma() huma.API { return a.huma }

// OpenAPI is the document of the registered operations.
func (a *API) OpenAPI() *huma.OpenAPI { return a.huma.OpenAPI() }

// Handle adds a plain handler that is not part of the OpenAPI document, for
// calls between our own processes and for upgraded connections.
func (a *API) Handle(pattern string, h http.Handler) { a.mux.Handle(pattern, h) }

// HandleJSON adds a GET handler outside the OpenAPI document whose result is
// answered as JSON, or as a problem.
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

// Body documents T as the operation's request body. The handler takes RawBody
// []byte and decodes it by [Decode], so that it can name wrong fields of all
// kinds in one answer.
func Body[T any](a *API, op huma.Operation) huma.Operation {
	schema := a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[T](), true, "")
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: schema}}}
	op.SkipValidateBody = true    // Decode validates
	op.MaxBodyBytes = MaxBody + 1 // huma refuses at the limit, not above it
	op.Errors = append(op.Errors, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity)
	return op
}

// Decode reads a request body into a T. Fields that do not fit T's schema are
// returned by pointer; T then holds what could be read, so that the caller can
// check the rest and name everything that is wrong at once. The error is a
// problem: the body is not JSON at all.
func Decode[T any](a *API, raw []byte) (T, []FieldError, error) {
	var v T
	var parsed any
	if err := json.Unmarshal(raw, &parsed); err != nil {
		return v, nil, Problem(http.StatusBadRequest, "not_json", "the body is not JSON: "+err.Error())
	}
	registry := a.huma.OpenAPI().Components.Schemas
	schema := registry.Schema(reflect.TypeFor[T](), true, "")
	res := &huma.ValidateResult{}
	huma.Validate(registry, schema, huma.NewPathBuffer([]byte("body"), 4), huma.ModeWriteToServer, parsed, res)
	var fields []FieldError
	for _, err := range res.Errors {
		if d, ok := err.(*huma.ErrorDetail); ok {
			fields = append(fields, field(d))
		}
	}
	// T gets what was validated and no more: of members with one name the last.
	exact := json.NewDecoder(bytes.NewReader(raw))
	exact.UseNumber()
	if err := exact.Decode(&parsed); err != nil {
		return v, nil, err
	}
	clean, err := json.Marshal(tidy(parsed, "", &fields))
	if err != nil {
		return v, nil, err
	}
	if err := json.Unmarshal(clean, &v); err != nil && len(fields) == 0 {
		return v, []FieldError{{Detail: err.Error()}}, nil
	}
	return v, fields, nil
}

// tidy makes whole numbers of 1.0 and 1e2, which the schema calls whole and Go
// does not, and names strings that Postgres would refuse.
func tidy(v any, at string, fields *[]FieldError) any {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			v[k] = tidy(v[k], at+"/"+escape.Replace(k), fields)
		}
	case []any:
		for i := range v {
			v[i] = tidy(v[i], fmt.Sprint(at, "/", i), fields)
		}
	case string:
		if !isText(v) {
			*fields = append(*fields, FieldError{Pointer: at, Detail: "expected text without a zero character"})
		}
	case json.Number:
		if f, err := v.Float64(); err == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			return int64(f)
		}
	}
	return v
}

// Invalid is the problem of a request with wrong fields.
func Invalid(fields []FieldError) error {
	return Problem(http.StatusUnprocessableEntity, "invalid", "correct the fields named in errors and send the request again", fields...)
}

// Handler is the API as a handler.
func (a *API) Handler() http.Handler {
	return a.recover(requestID(textOnly(trace(jsonOnly(a.mux)))))
}

func notFound(w http.ResponseWriter, r *http.Request) {
	WriteProblem(w, Problem(http.StatusNotFound, "not_found", fmt.Sprintf("there is no %s %s here; /api/openapi.json lists what there is", r.Method, r.URL.Path)))
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

// isText says whether Postgres would take s: it is UTF-8 without a zero byte.
func isText(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

func textOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ok := isText(r.URL.Path) && isText(r.Header.Get("Idempotency-Key"))
		for _, values := range r.URL.Query() {
			ok = ok && !slices.ContainsFunc(values, func(v string) bool { return !isText(v) })
		}
		if !ok {
			WriteProblem(w, Problem(http.StatusBadRequest, "bad_request", "the address or the Idempotency-Key is not text: send UTF-8 without zero characters"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func jsonOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 && (r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch) {
			if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
				WriteProblem(w, Problem(http.StatusUnsupportedMediaType, "unsupported_media_type", "send the body as Content-Type: application/json"))
				return
			}
		}
		next.ServeHTTP(w, r)
	})
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
