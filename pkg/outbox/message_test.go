package outbox

import (
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// headersOfRow reads headers as a map.
func headersOfRow(t rapid.TB, raw string) map[string]string {
	t.Helper()
	var r headerReader
	list, err := r.read(nil, []byte(raw))
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	out := map[string]string{}
	for _, h := range list {
		out[h.Name] = string(h.Value)
	}
	return out
}

// Headers are read as encoding/json reads them, whatever they contain and however
// they are spaced.
func TestHeadersAreReadAsJSON(t *testing.T) {
	for raw, want := range map[string]map[string]string{
		`{}`:                                {},
		` {} `:                              {},
		`{"ce_id": "1", "ce_type": "a.b"}`:  {"ce_id": "1", "ce_type": "a.b"},
		`{"a":"1","b":"2"}`:                 {"a": "1", "b": "2"},
		`{"a": ""}`:                         {"a": ""},
		`{"a": "x, \"y\": \"z"}`:            {"a": `x, "y": "z`},
		`{"a": "}", "b": ", "}`:             {"a": "}", "b": ", "},
		`{"tracestate": "k=v,é=\u00e9"}`:    {"tracestate": "k=v,é=é"},
		"{\n \"a\": \"1\",\n \"b\": \"2\"}": {"a": "1", "b": "2"},
	} {
		if got := headersOfRow(t, raw); !maps.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", raw, got, want)
		}
	}
	for _, raw := range []string{``, `{`, `{"a"`, `{"a": "b"`, `{"a": 1}`, `[]`, `{"a": "b"} x`} {
		if list, err := (&headerReader{}).read(nil, []byte(raw)); err == nil {
			t.Errorf("%s: read as %v", raw, list)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "headers")
		raw, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		decoded := map[string]string{}
		if err := json.Unmarshal(raw, &decoded); err != nil {
			t.Fatal(err)
		}
		if got := headersOfRow(t, string(raw)); !maps.Equal(got, decoded) {
			t.Fatalf("%s: got %v", raw, got)
		}
	})
}

// BenchmarkReadRow is what a row costs between the connection's buffer and the
// publisher.
func BenchmarkReadRow(b *testing.B) {
	headers, err := json.Marshal(map[string]string{
		"ce_specversion": "1.0", "ce_id": "0193-a", "ce_type": "order.confirmed.v1", "ce_source": "/order", "ce_time": "2026-11-26T10:00:00Z",
		"ce_subject": "ord_1", "content-type": "application/json", "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	})
	if err != nil {
		b.Fatal(err)
	}
	// As Postgres prints jsonb.
	spaced := slices.Clone(headers[:1])
	for _, c := range headers[1:] {
		spaced = append(spaced, c)
		if before := spaced[len(spaced)-2]; before == '"' && (c == ':' || c == ',') {
			spaced = append(spaced, ' ')
		}
	}
	raw := [][]byte{{0, 7}, binary.BigEndian.AppendUint64(nil, 12345), []byte("orders"), []byte("ord_01hx5"), spaced, make([]byte, 250)}
	var r rowReader
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := r.read(raw); err != nil {
			b.Fatal(err)
		}
	}
}
