package httpapi

import (
	"encoding/base64"
	"net/http"
	"strings"
)

// Page is the paging part of a list operation's input.
type Page struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"items per page"`
	Cursor string `query:"cursor" doc:"next_cursor of the page before; opaque"`
}

// EncodeCursor makes an opaque cursor of the values that a page ends with. No
// value may contain a line break.
func EncodeCursor(values ...string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strings.Join(values, "\n")))
}

// DecodeCursor undoes [EncodeCursor]; n is the number of values expected. An
// empty cursor gives nil, the first page.
func DecodeCursor(cursor string, n int) ([]string, error) {
	if cursor == "" {
		return nil, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	values := strings.Split(string(raw), "\n")
	if err != nil || len(values) != n || !isText(string(raw)) {
		return nil, BadCursor()
	}
	return values, nil
}

// BadCursor is the problem of a cursor that some list may have made, and not this
// one.
func BadCursor() *ProblemError {
	return Problem(http.StatusUnprocessableEntity, "invalid", "cursor is not one of ours: take next_cursor from the page before, or leave it out",
		FieldError{Pointer: "cursor", Detail: "is not a cursor of this list"})
}
