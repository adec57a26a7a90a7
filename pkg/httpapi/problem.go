package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"github.com/cartwheel-shop/cartwheel/pkg/postgres"
)

// FieldError names one wrong field of a request.
type FieldError struct {
	Pointer string `json:"pointer" doc:"JSON pointer (RFC 6901) to the field in the request body, or the name of a parameter"`
	Detail  string `json:"detail" doc:"what was expected"`
}

// ProblemError is an error as every service answers it (RFC 9457).
type ProblemError struct {
	Type   string       `json:"type" doc:"about:blank; the code tells problems apart"`
	Title  string       `json:"title" doc:"the HTTP status in words"`
	Status int          `json:"status" doc:"the HTTP status"`
	Code   string       `json:"code" doc:"stable name of the problem, for programs"`
	Detail string       `json:"detail" doc:"what happened and what to do"`
	Errors []FieldError `json:"errors,omitempty" nullable:"false" doc:"every wrong field"`

	retryAfter time.Duration
}

// Problem returns an error that the API answers with status and code. Detail
// says what to do.
func Problem(status int, code, detail string, fields ...FieldError) *ProblemError {
	return &ProblemError{
		Type: "about:blank", Title: http.StatusText(status), Status: status,
		Code: code, Detail: detail, Errors: fields,
	}
}

// RetryAfter tells the client when to try again, in whole seconds.
func (p *ProblemError) RetryAfter(d time.Duration) *ProblemError {
	p.retryAfter = d
	return p
}

func (p *ProblemError) Error() string { return p.Code + ": " + p.Detail }

// GetStatus implements huma.StatusError.
func (p *ProblemError) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *ProblemError) ContentType(string) string { return "application/problem+json" }

// GetHeaders implements huma.HeadersError.
func (p *ProblemError) GetHeaders() http.Header {
	h := http.Header{}
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((p.retryAfter+time.Second-1)/time.Second)))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="operator"`)
	}
	return h
}

// useProblems makes huma's own errors ours. The hooks are variables of huma's,
// the one way it offers; they are set once for the process, always to the same.
var useProblems = sync.OnceFunc(func() {
	// encoding/json reads "QUANTITY" into quantity; huma would look at one of the two.
	huma.ValidateStrictCasing = true
	// A list that is null would pass as one without items.
	huma.DefaultArrayNullable = false
	huma.NewErrorWithContext = func(_ huma.Context, status int, msg string, errs ...error) huma.StatusError {
		return fromHuma(status, msg, errs...)
	}
	huma.NewError = fromHuma
})

// codes are the problems that huma finds by itself.
var codes = map[int]string{
	http.StatusBadRequest:            "bad_request",
	http.StatusNotFound:              "not_found",
	http.StatusRequestEntityTooLarge: "too_large",
	http.StatusUnsupportedMediaType:  "unsupported_media_type",
	http.StatusUnprocessableEntity:   "invalid",
	http.StatusRequestTimeout:        "timeout",
	http.StatusInternalServerError:   "internal",
}

func fromHuma(status int, msg string, errs ...error) huma.StatusError {
	var fields []FieldError
	for _, err := range errs {
		var p *ProblemError
		if errors.As(err, &p) {
			return p
		}
		var d *huma.ErrorDetail
		if errors.As(err, &d) {
			fields = append(fields, field(d))
		}
	}
	switch {
	case status >= http.StatusInternalServerError:
		var cause error
		if len(errs) > 0 {
			cause = errors.Join(errs...)
		}
		slog.Error("request failed", "status", status, "error", cause, "detail", msg)
		msg = "something went wrong on our side; it is logged, and trying again is safe"
	case status == http.StatusUnprocessableEntity:
		msg = "correct the fields named in errors and send the request again"
	case status == http.StatusRequestEntityTooLarge:
		msg = "a request body has at most 1 MiB; send less"
	}
	code := codes[status]
	if code == "" {
		code = strings.ReplaceAll(strings.ToLower(http.StatusText(status)), " ", "_")
	}
	return Problem(status, code, msg, fields...)
}

// field names what huma found. Of a missing member huma names the parent.
func field(d *huma.ErrorDetail) FieldError {
	at := pointer(d.Location)
	var name string
	if _, err := fmt.Sscanf(d.Message, validation.MsgExpectedRequiredProperty, &name); err == nil {
		at += "/" + escape.Replace(name)
	}
	return FieldError{Pointer: at, Detail: d.Message}
}

// escape makes a reference token of a JSON pointer.
var escape = strings.NewReplacer("~", "~0", "/", "~1")

// pointer turns huma's location (body.lines[0].sku, query.limit) into a JSON
// pointer (/lines/0/sku), or the parameter's name.
func pointer(location string) string {
	where, path, _ := strings.Cut(location, ".")
	if where != "body" {
		return path
	}
	if path == "" {
		return ""
	}
	path = escape.Replace(path)
	path = strings.NewReplacer("[", ".", "]", "").Replace(path)
	return "/" + strings.ReplaceAll(path, ".", "/")
}

// Internal logs err and returns the problem that hides it from the client: 503 when
// the database is away, so that whoever asks knows that it passes, or else 500.
func Internal(ctx context.Context, log *slog.Logger, err error) error {
	if errors.Is(err, context.Canceled) {
		return Problem(499, "client_gone", "the client closed the request")
	}
	if postgres.IsUnavailable(err) {
		log.WarnContext(ctx, "request cannot be answered", "error", err)
		return Problem(http.StatusServiceUnavailable, "unavailable", "something that is needed for this is away at the moment; send the same request again").RetryAfter(time.Second)
	}
	log.ErrorContext(ctx, "request failed", "error", err)
	return Problem(http.StatusInternalServerError, "internal", "something went wrong on our side; it is logged, and trying again is safe")
}
