package service

import (
	"net"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// form is what the tag form demands of a variable that is set, beyond what its Go
// type does; of each element, when the variable is a list. Without it a service
// would wait for ever for a server whose address cannot be one.
type form struct {
	like string // as in "must be …"
	ok   func(string) bool
}

var forms = map[string]form{
	"address":  {"host:port", isAddress},
	"http":     {"http://host:port", func(s string) bool { return isURL(s, "http", "https") }},
	"nats":     {"nats://host:port", func(s string) bool { return isURL(s, "nats", "tls", "ws", "wss") }},
	"postgres": {"postgres://user:password@host:port/database", func(s string) bool { _, err := pgconn.ParseConfig(s); return err == nil }},
	"driver":   {"franz or watermill-kafka", func(s string) bool { return s == "franz" || s == "watermill-kafka" }},
	"count":    {"a whole number above 0", func(s string) bool { n, err := strconv.Atoi(s); return err == nil && n > 0 }},
}

func isAddress(s string) bool {
	_, port, err := net.SplitHostPort(s)
	n, notANumber := strconv.ParseUint(port, 10, 16)
	return err == nil && notANumber == nil && strconv.FormatUint(n, 10) == port && !strings.ContainsAny(s, " /")
}

func isURL(s string, schemes ...string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Hostname() != "" && slices.Contains(schemes, u.Scheme)
}

// holds says whether a value has the form.
func (f form) holds(value string, list bool) bool {
	if !list {
		return f.ok(value)
	}
	for item := range strings.SplitSeq(value, ",") {
		if !f.ok(item) {
			return false
		}
	}
	return true
}

// likeOf says in a person's words what a Go type is written like.
func likeOf(t reflect.Type) string {
	if t == reflect.TypeFor[time.Duration]() {
		return "a duration like 500ms, 90s or 2h"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int32, reflect.Int64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	}
	return "a valid " + t.String()
}
