package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/jackc/pgx/v5/pgconn"
	"pgregory.net/rapid"
)

type line struct {
	SKU      string `json:"sku" minLength:"1"`
	Quantity int64  `json:"quantity" minimum:"1" maximum:"9007199254740993"`
	Note     string `json:"note,omitempty" maxLength:"3"`
}

type basket struct {
	Lines []line `json:"lines" minItems:"1"`
	Who   struct {
		Name string `json:"name"`
		Nick string `json:"nick,omitempty" maxLength:"3"`
	} `json:"who"`
}

const good = `{"lines":[{"sku":"a","quantity":1}],"who":{"name":"n"}}`

// shop is an API with one operation of each kind. POST /baskets answers what it
// read.
func shop(cfg Config) http.Handler {
	cfg.Log = slog.New(slog.DiscardHandler)
	a := New("shop", cfg)
	type out struct{ Body basket }
	huma.Register(a.Huma(), Body[basket](a, huma.Operation{Method: http.MethodPost, Path: "/baskets"}), func(_ context.Context, in *struct{ RawBody []byte }) (*out, error) {
		b, fields, err := Decode[basket](a, in.RawBody)
		if err == nil && fields != nil {
			err = Invalid(fields)
		}
		return &out{b}, err
	})
	huma.Register(a.Huma(), huma.Operation{Method: http.MethodGet, Path: "/baskets"}, func(_ context.Context, in *struct{ Page }) (*struct{ Body []string }, error) {
		values, err := DecodeCursor(in.Cursor, 2)
		return &struct{ Body []string }{append([]string{fmt.Sprint(in.Limit)}, values...)}, err
	})
	huma.Register(a.Huma(), a.Operator(huma.Operation{Method: http.MethodDelete, Path: "/baskets"}), func(context.Context, *struct{}) (*struct{}, error) { return nil, nil })
	HandleJSON(a, "GET /things/{name}", func(r *http.Request) (string, error) {
		switch name := r.PathValue("name"); name {
		case "secret":
			return "", errors.New("password=hunter2")
		case "panic":
			panic("password=hunter2")
		case "cut":
			panic(http.ErrAbortHandler)
		case "busy":
			return "", fmt.Errorf("look: %w", Problem(http.StatusConflict, "busy", "try later").RetryAfter(1500*time.Millisecond))
		case "away":
			return "", fmt.Errorf("query: password=hunter2: %w", &pgconn.PgError{Code: "57P03"})
		case "gone":
			return "", fmt.Errorf("query: %w", context.Canceled)
		default:
			return name, nil
		}
	})
	return a.Handler()
}

// call sends a request; header is name, value, name, value.
func call(t *testing.T, h http.Handler, method, path, body string, header ...string) (*http.Response, string, ProblemError) {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var p ProblemError
	if res := w.Result(); res.StatusCode >= 400 {
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || res.Header.Get("Content-Type") != "application/problem+json" ||
			p.Status != res.StatusCode || p.Type != "about:blank" || p.Code == "" || p.Detail == "" || strings.Contains(w.Body.String(), "hunter2") {
			t.Errorf("%s %s: %d %s is no problem for a client", method, path, res.StatusCode, w.Body)
		}
	}
	if w.Header().Get("X-Request-Id") == "" {
		t.Errorf("%s %s: no X-Request-Id", method, path)
	}
	return w.Result(), w.Body.String(), p
}

// same says whether two JSON texts are the same, however they escape.
func same(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}

func TestWhatABodyMayBe(t *testing.T) {
	h := shop(Config{})
	with := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	for _, c := range []struct {
		name, body string
		status     int
		pointers   string // of the fields that are wrong
	}{
		{"a basket", good, 200, ""},
		{"as long as may be", good + strings.Repeat(" ", MaxBody-len(good)), 200, ""},
		{"a byte longer", good + strings.Repeat(" ", MaxBody-len(good)+1), 413, ""},
		{"nothing", "", 400, ""},
		{"half of one", good[:20], 400, ""},
		{"one and a half", good + "{", 400, ""},
		{"nested without end", strings.Repeat("[", 20_000), 400, ""},
		{"null", "null", 422, "[]"},
		{"a list", "[]", 422, "[]"},
		{"a list that is null", `{"lines":null,"who":{"name":"n"}}`, 422, "[/lines]"},
		{"a field wrong in two ways", with(":1}", ":0.5}"), 422, "[/lines/0/quantity]"},
		{"all missing", "{}", 422, "[/lines /who]"},
		{"missing inside", `{"lines":[{},{"sku":"b"}],"who":{}}`, 422, "[/lines/0/quantity /lines/0/sku /lines/1/quantity /who/name]"},
		{"wrong kinds", `{"lines":[null,{"sku":1,"quantity":"1"}],"who":[]}`, 422, "[/lines/0 /lines/1/quantity /lines/1/sku /who]"},
		{"too small, too much", `{"lines":[{"sku":"","quantity":-1,"note":"long"}],"who":{"name":"n"}}`, 422, "[/lines/0/note /lines/0/quantity /lines/0/sku]"},
		{"a name that pointers escape", with(`"who"`, `"a/b~c":1,"who"`), 422, "[/a~1b~0c]"},
		{"names that are no pointers as they are", `{"a.b":1,"c[0]":{"d":1},"":1,"lines":[{"x.y":1,"sku":"a","quantity":0}],"who":{"name":"n"}}`, 422, "[/ /a.b /c[0] /lines/0/quantity /lines/0/x.y]"},
		{"beyond all numbers", with(":1}", ":1e400}"), 422, "[/lines/0/quantity]"},
		{"as far below", with(":1}", ":-1e400}"), 422, "[/lines/0/quantity]"},
		{"1.0 is a whole number", with(":1}", ":1.0}"), 200, ""},
		{"beyond what a float tells apart", with(":1}", ":9007199254740993}"), 200, ""},
		{"a little more than 1 is none", with(":1}", ":1.0000000000000000001}"), 422, "[/lines/0/quantity]"},
		{"next to nothing is none", with(":1}", ":1e-999999999}"), 422, "[/lines/0/quantity]"},
		{"1.5 is none", with(":1}", ":1.5}"), 422, "[/lines/0/quantity]"},
		{"a zero character", with(`"n"`, `"n\u0000"`), 422, "[/who/name]"},
		// Go's decoder would read these, past the schema.
		{"in capitals", with(":1}", `:1,"QUANTITY":-5}`), 422, "[/lines/0/QUANTITY]"},
		{"in capitals alone", with(`"quantity"`, `"Quantity"`), 422, "[/lines/0/Quantity /lines/0/quantity]"},
		// Go's decoder would guess what is meant by these.
		{"a member twice", with(":1}", `:1,"quantity":1}`), 400, ""},
		{"an object twice", with(`"who"`, `"who":{"nick":"long"},"who"`), 400, ""},
		{"the same name in two objects", with(`{"sku":"a","quantity":1}`, `{"sku":"a","quantity":1},{"sku":"a","quantity":1}`), 200, ""},
		{"not UTF-8", with(`"n"`, "\"\xff\""), 400, ""},
		{"half a surrogate pair", with(`"n"`, `"\ud800"`), 400, ""},
		{"the other half", with(`"n"`, `"\udc00 \ud83d"`), 400, ""},
		{"a surrogate pair", with(`"n"`, `"n","nick":"\ud83d\ude00"`), 200, ""},
		{"what only looks like one", with(`"n"`, `"\\ud800"`), 200, ""},
	} {
		res, body, p := call(t, h, http.MethodPost, "/baskets", c.body, "Content-Type", "application/json")
		var pointers []string
		for _, f := range p.Errors {
			pointers = append(pointers, f.Pointer)
		}
		slices.Sort(pointers)
		if got := fmt.Sprint(pointers); res.StatusCode != c.status || c.status != 200 && got != c.pointers && (got != "[]" || c.pointers != "") {
			t.Errorf("%s: %d %s, want %d %s", c.name, res.StatusCode, body, c.status, c.pointers)
		}
		if read := strings.TrimSpace(body); c.status == 200 && read != good && !same(read, c.body) { // no more than what was checked
			t.Errorf("%s: read as %s", c.name, body)
		}
	}
	for media, want := range map[string]int{"": 415, "text/plain": 415, "application/problem+json": 415, "application/json; charset=utf-8": 200, "application/json; charset=utf-16": 415, "Application/JSON": 200} {
		if res, _, _ := call(t, h, http.MethodPost, "/baskets", good, "Content-Type", media); res.StatusCode != want {
			t.Errorf("Content-Type %q: %d, want %d", media, res.StatusCode, want)
		}
	}
	var many []string
	for i := range 80000 {
		many = append(many, fmt.Sprintf(`"n%d":1`, i))
	}
	if _, _, p := call(t, h, http.MethodPost, "/baskets", "{"+strings.Join(many, ",")+"}", "Content-Type", "application/json"); len(p.Errors) != 80002 {
		t.Errorf("of 80000 unknown members and 2 that are missing, %d are named", len(p.Errors))
	}
	var all sync.WaitGroup // the schemas are shared
	for range 8 {
		all.Go(func() { call(t, h, http.MethodPost, "/baskets", good, "Content-Type", "application/json") })
	}
	all.Wait()
}

func TestProblems(t *testing.T) {
	h := shop(Config{OperatorToken: "tok"})
	for _, c := range []struct {
		method, path string
		status       int
		code, detail string // detail, or the parameter that is wrong
		header       string
	}{
		{"GET", "/nowhere", 404, "not_found", "", ""},
		{"PUT", "/baskets", 405, "method_not_allowed", "", "Allow: GET, HEAD, POST, DELETE"},
		{"OPTIONS", "/things/a", 405, "method_not_allowed", "", "Allow: GET, HEAD"},
		{"GET", "/baskets/", 404, "not_found", "", ""},
		{"GET", "/things/secret", 500, "internal", "", ""},
		{"GET", "/things/panic", 500, "internal", "", ""},
		{"GET", "/things/away", 503, "unavailable", "", "Retry-After: 1"},
		{"GET", "/things/gone", 499, "client_gone", "", ""},
		{"GET", "/things/busy", 409, "busy", "", "Retry-After: 2"},
		{"DELETE", "/baskets", 401, "operator_only", "", `Www-Authenticate: Bearer realm="operator"`},
		{"GET", "/baskets?limit=0", 422, "invalid", "limit", ""},
		{"GET", "/baskets?limit=201", 422, "invalid", "limit", ""},
		{"GET", "/baskets?limit=all", 422, "invalid", "limit", ""},
		{"GET", "/baskets?cursor=*", 422, "invalid", "cursor", ""},
		// Postgres refuses these, which would be a 500 that no repeat heals.
		{"GET", "/things/%00", 400, "bad_request", "", ""},
		{"GET", "/things/%ff", 400, "bad_request", "", ""},
		{"GET", "/baskets?limit=7&x=1&x=%ff", 400, "bad_request", "", ""},
		{"GET", "/baskets?x=%00;", 400, "bad_request", "", ""},
		{"GET", "/baskets?x=%zz", 400, "bad_request", "", ""},
	} {
		res, body, p := call(t, h, c.method, c.path, "")
		wrong := len(p.Errors) == 1 && p.Errors[0].Pointer == c.detail || c.detail == "" && len(p.Errors) == 0
		name, value, _ := strings.Cut(c.header, ": ")
		if res.StatusCode != c.status || p.Code != c.code || !wrong || res.Header.Get(name) != value {
			t.Errorf("%s %s: %d %v %s, want %d %s %s", c.method, c.path, res.StatusCode, res.Header, body, c.status, c.code, c.detail)
		}
	}
	srv := httptest.NewServer(h)
	defer srv.Close()
	if res, err := http.Get(srv.URL + "/things/cut"); err == nil {
		body, _ := io.ReadAll(res.Body)
		t.Errorf("a handler that wants the connection cut answers %d %s", res.StatusCode, body)
	}
}

// What net/http cannot read of a body is the client's mistake, and said so.
func TestABodyThatCannotBeRead(t *testing.T) {
	srv := httptest.NewServer(shop(Config{}))
	defer srv.Close()
	for name, rest := range map[string]string{
		"no chunk":                "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
		"no chunk behind a chunk": "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nzz\r\n",
		"a chunk too long":        "Transfer-Encoding: chunked\r\n\r\n2\r\n{}}\r\n0\r\n\r\n",
		"an early end":            "Content-Length: 3\r\n\r\n{}",
	} {
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "POST /baskets HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n", rest)
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var p ProblemError
		if err := json.NewDecoder(res.Body).Decode(&p); err != nil || res.StatusCode != http.StatusBadRequest || p.Code != "bad_request" || res.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %+v, %v; want 400 bad_request", name, res.StatusCode, p, err)
		}
	}
}

func TestWhoIsTheOperator(t *testing.T) {
	for _, c := range []struct {
		cfg           Config
		authorization string
		want          int
	}{
		{Config{OperatorToken: "tok"}, "Bearer tok", 204},
		{Config{OperatorToken: "tok"}, "Bearer to", 401},
		{Config{OperatorToken: "tok"}, "Bearer token", 401},
		{Config{OperatorToken: "tok"}, "tok", 401},
		{Config{OperatorToken: "tok"}, "Basic tok", 401},
		{Config{}, "Bearer ", 401}, // without a token nobody is
		{Config{}, "", 401},
		{Config{OperatorOpen: true}, "", 204},
	} {
		if res, _, _ := call(t, shop(c.cfg), http.MethodDelete, "/baskets", "", "Authorization", c.authorization); res.StatusCode != c.want {
			t.Errorf("%+v, %q: %d, want %d", c.cfg, c.authorization, res.StatusCode, c.want)
		}
	}
}

func TestRequestIDs(t *testing.T) {
	for id, kept := range map[string]bool{"req-1": true, strings.Repeat("x", 128): true, "": false, strings.Repeat("x", 129): false, "\xff": false} {
		if res, _, _ := call(t, shop(Config{}), http.MethodGet, "/things/a", "", "X-Request-Id", id); (res.Header.Get("X-Request-Id") == id) != kept {
			t.Errorf("%q becomes %q", id, res.Header.Get("X-Request-Id"))
		}
	}
}

// A page goes on where the one before ended, whatever its last item is called;
// what others make up is refused and never passed on.
func TestCursors(t *testing.T) {
	h := shop(Config{})
	if _, body, _ := call(t, h, http.MethodGet, "/baskets", ""); strings.TrimSpace(body) != `["50"]` {
		t.Errorf("the first page is %s", body)
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.Rune().Filter(func(r rune) bool { return r != '\n' && r != 0 }))
		want := rapid.SliceOfN(text, 2, 4).Draw(t, "values")
		cursor := EncodeCursor(want...)
		got, err := DecodeCursor(cursor, len(want))
		if err != nil || !slices.Equal(got, want) || strings.ContainsAny(cursor, "+/=?&# ") {
			t.Fatalf("%q: %q by %q, %v", want, got, cursor, err)
		}
		if got, err := DecodeCursor(cursor, len(want)+1); err == nil {
			t.Fatalf("the cursor %q of another list is taken as %q", want, got)
		}
		junk := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return EncodeCursor(string(b), "") })).Draw(t, "junk")
		if got, err := DecodeCursor(junk, 2); err == nil && !isText(strings.Join(got, "")) {
			t.Fatalf("%q is passed on as %q", junk, got)
		}
	})
}
