package events_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/events/schemas"
)

// The published schema of a version says what its Go type does: each field, its
// type, and whether it is required.
func TestSchemasEqualGoTypes(t *testing.T) {
	for _, p := range events.Payloads() {
		published, err := schemas.Of(events.Type(p))
		if err != nil {
			t.Errorf("%s has no published schema: run make generate", events.Type(p))
			continue
		}
		derived, err := json.Marshal(events.SchemaOf(p))
		if err != nil {
			t.Fatal(err)
		}
		for _, difference := range breaks(t, published, derived) {
			t.Errorf("%s: %s: leave the Go type and the schema as they were published, and add a version", events.Type(p), difference)
		}
	}
}

// breaks says how a Go type's schema differs from the published one, and who
// would notice.
func breaks(t *testing.T, published, derived []byte) []string {
	t.Helper()
	var was, is map[string]any
	if err := errors.Join(json.Unmarshal(published, &was), json.Unmarshal(derived, &is)); err != nil {
		t.Fatal(err)
	}
	const forward, backward = "FORWARD, so readers outside that know the published schema break", "BACKWARD, so our consumers that replay old events break"
	var out []string
	var walk func(at string, was, is map[string]any)
	walk = func(at string, was, is map[string]any) {
		plain := func(m map[string]any) string {
			m = maps.Clone(m)
			for _, structure := range []string{"properties", "required", "items"} {
				delete(m, structure)
			}
			return fmt.Sprint(m)
		}
		if plain(was) != plain(is) {
			out = append(out, fmt.Sprintf("%s was published as %s and is %s (%s, and %s)", at, plain(was), plain(is), forward, backward))
		}
		field := func(m map[string]any, name string) (schema map[string]any, required bool) {
			properties, _ := m["properties"].(map[string]any)
			schema, _ = properties[name].(map[string]any)
			list, _ := m["required"].([]any)
			return schema, slices.Contains(list, any(name))
		}
		all := map[string]bool{}
		for _, m := range []map[string]any{was, is} {
			properties, _ := m["properties"].(map[string]any)
			for name := range properties {
				all[name] = true
			}
		}
		for _, name := range slices.Sorted(maps.Keys(all)) {
			old, needed := field(was, name)
			now, needs := field(is, name)
			where := at + "/" + name
			switch {
			case old == nil && needs:
				out = append(out, fmt.Sprintf("%s is required and was never published (%s)", where, backward))
			case old == nil:
				out = append(out, fmt.Sprintf("%s was never published (readers outside do not know it)", where))
			case now == nil:
				out = append(out, fmt.Sprintf("%s is not written any more (%s)", where, forward))
			case needed && !needs:
				out = append(out, fmt.Sprintf("%s may be missing now (%s)", where, forward))
			case !needed && needs:
				out = append(out, fmt.Sprintf("%s is required now (%s)", where, backward))
			}
			if old != nil && now != nil {
				walk(where, old, now)
			}
		}
		if old, ok := was["items"].(map[string]any); ok {
			now, _ := is["items"].(map[string]any)
			walk(at+"/*", old, now)
		}
	}
	walk("", was, is)
	return out
}

// Golden payloads of every published version stay readable, for ever.
func TestGoldenPayloadsAreRead(t *testing.T) {
	for _, p := range events.Payloads() {
		files, err := filepath.Glob(filepath.Join("testdata", "golden", events.Type(p)+"*.json"))
		if err != nil || len(files) == 0 {
			t.Errorf("%s has no golden payload in testdata/golden", events.Type(p))
		}
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := schemas.Validate(raw); err != nil {
				t.Errorf("BACKWARD: %s does not fit its schema any more, so consumers that replay old events break: %v", file, err)
			}
			env, err := events.Decode(raw)
			if err == nil {
				err = events.Check(env)
			}
			if err != nil {
				t.Errorf("BACKWARD: %s cannot be read any more, so consumers that replay old events break: %v", file, err)
			}
		}
	}
}

// What the code writes now can be read by those who know the published schema
// alone, and has every field that was ever published, so that a schema cannot be
// changed together with its Go type either.
func TestOldReadersReadWhatIsWritten(t *testing.T) {
	for _, p := range events.Payloads() {
		data, err := json.Marshal(sample(t, p))
		if err != nil {
			t.Fatal(err)
		}
		raw := fmt.Appendf(nil, `{"event_type":%q,"event_id":"e","timestamp":"2026-01-02T03:04:05Z","version":"%d.0","data":%s,"metadata":{"producer":"p","trace_id":"","correlation_id":"","causation_id":"","aggregate_id":"a","aggregate_version":1}}`,
			events.Type(p), p.EventVersion(), data)
		if err := schemas.Validate(raw); err != nil {
			t.Errorf("FORWARD: readers of %s that know the published schema break: %v", events.Type(p), err)
		}
		payload, err := events.Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		v := reflect.New(reflect.TypeOf(p))
		if err := json.Unmarshal(payload.Data, v.Interface()); err != nil {
			continue // TestGoldenPayloadsAreRead says so
		}
		written, err := json.Marshal(v.Interface())
		if err != nil {
			t.Fatal(err)
		}
		var was, is any
		if err := errors.Join(json.Unmarshal(data, &was), json.Unmarshal(written, &is)); err != nil {
			t.Fatal(err)
		}
		for _, at := range lost("/data", was, is) {
			t.Errorf("FORWARD: %s of %s was published and is not written any more, so readers outside that rely on it break: put it back, and add a version", at, events.Type(p))
		}
	}
}

// lost names what is in a JSON value and not, or not the same, in another.
func lost(at string, was, is any) []string {
	var out []string
	switch was := was.(type) {
	case map[string]any:
		now, _ := is.(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(was)) {
			out = append(out, lost(at+"/"+name, was[name], now[name])...)
		}
		return out
	case []any:
		now, _ := is.([]any)
		if len(now) != len(was) {
			return []string{at}
		}
		for i := range was {
			out = append(out, lost(fmt.Sprint(at, "/", i), was[i], now[i])...)
		}
		return out
	}
	if was != is {
		return []string{at}
	}
	return nil
}

// sample is a payload with the data of its golden file.
func sample(t *testing.T, p events.Payload) any {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "golden", events.Type(p)+".json"))
	if err != nil {
		t.Fatal(err)
	}
	env, err := events.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	return env.Data
}

func TestUpcast(t *testing.T) {
	raw, err := os.ReadFile("testdata/golden/order.created.v1.json")
	if err != nil {
		t.Fatal(err)
	}
	env, err := events.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	e, err := events.As[events.OrderCreated](env)
	if err != nil {
		t.Fatal(err)
	}
	want := events.Money{Amount: 3998, Currency: "EUR"}
	if e.Data.Total != want || e.Data.Lines[0].Total != want || e.Data.Channel != "web" || e.Type != "order.created.v1" {
		t.Errorf("upcast %+v, want a total of %v on the web", e.Data, want)
	}
}

func TestParseDecimal(t *testing.T) {
	for _, tc := range []struct {
		in, currency string
		want         int64
		ok           bool
	}{
		{"19.99", "EUR", 1999, true}, {"19.9", "EUR", 1990, true}, {"19", "EUR", 1900, true}, {"0.00", "EUR", 0, true},
		{"500", "JPY", 500, true}, {"500.5", "JPY", 0, false}, {"1.234", "KWD", 1234, true}, {"1.234", "EUR", 0, false},
		{"", "EUR", 0, false}, {".5", "EUR", 0, false}, {"1e3", "EUR", 0, false}, {"12,50", "EUR", 0, false},
	} {
		got, err := events.ParseDecimal(tc.in, tc.currency)
		if (err == nil) != tc.ok || tc.ok && got != (events.Money{Amount: tc.want, Currency: tc.currency}) {
			t.Errorf("ParseDecimal(%q, %s) = %v, %v; want %d, %v", tc.in, tc.currency, got, err, tc.want, tc.ok)
		}
	}
}

func TestDecodeTellsTroubleApart(t *testing.T) {
	good, err := os.ReadFile("testdata/golden/order.created.v2.json")
	if err != nil {
		t.Fatal(err)
	}
	change := func(old, new string) []byte { return []byte(strings.Replace(string(good), old, new, 1)) }
	var unknownType *events.UnknownType
	var unknownVersion *events.UnknownVersion
	for _, tc := range []struct {
		name string
		raw  []byte
		want func(error) bool
	}{
		{"a good one", good, func(err error) bool { return err == nil }},
		{"truncated", good[:len(good)/2], func(err error) bool { return errors.Is(err, events.ErrUndecodable) }},
		{"not JSON", []byte("hello"), func(err error) bool { return errors.Is(err, events.ErrUndecodable) }},
		{"an array", []byte("[]"), func(err error) bool { return errors.Is(err, events.ErrUndecodable) }},
		{"an unknown type", change("order.created.v2", "order.teleported.v1"), func(err error) bool { return errors.As(err, &unknownType) }},
		{"an unknown newer version", change("order.created.v2", "order.created.v3"), func(err error) bool { return errors.As(err, &unknownVersion) }},
		{"a version that contradicts the type", change(`"2.0"`, `"1.0"`), func(err error) bool { return errors.Is(err, events.ErrUndecodable) }},
		{"no type", change("order.created.v2", "whatever"), func(err error) bool { return errors.Is(err, events.ErrUndecodable) }},
	} {
		if _, err := events.Decode(tc.raw); !tc.want(err) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

// A wrong field is named by its pointer.
func TestValidateNamesThePointer(t *testing.T) {
	good, err := os.ReadFile("testdata/golden/order.created.v2.json")
	if err != nil {
		t.Fatal(err)
	}
	bad := strings.Replace(string(good), `"quantity": 2`, `"quantity": "two"`, 1)
	if err := schemas.Validate([]byte(bad)); err == nil || !strings.Contains(err.Error(), "/data/lines/0/quantity") {
		t.Errorf("Validate = %v, want one that names /data/lines/0/quantity", err)
	}
}

// personal are names of fields that would say who somebody is. No event has one:
// who needs a name asks for it.
var personal = []string{"name", "email", "phone", "address", "street", "line1", "city", "postcode", "zip", "birthday", "ip", "card"}

func TestNoPersonalDataInEvents(t *testing.T) {
	var walk func(path string, schema map[string]any)
	walk = func(path string, schema map[string]any) {
		properties, _ := schema["properties"].(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			if slices.Contains(personal, name) {
				t.Errorf("%s%s looks like personal data, which no event may carry: publish customer_id, and let readers ask customer.contact", path, name)
			}
			sub, _ := properties[name].(map[string]any)
			if items, ok := sub["items"].(map[string]any); ok {
				sub = items
			}
			walk(path+name+".", sub)
		}
	}
	for _, p := range events.Payloads() {
		walk(events.Type(p)+": ", events.SchemaOf(p))
	}
}

func TestMoney(t *testing.T) {
	for m, want := range map[events.Money]string{
		{Amount: 1999, Currency: "EUR"}: "19.99 EUR", {Amount: -5, Currency: "EUR"}: "-0.05 EUR",
		{Amount: 500, Currency: "JPY"}: "500 JPY", {Amount: 1234, Currency: "KWD"}: "1.234 KWD",
	} {
		if got := m.String(); got != want {
			t.Errorf("String of %d %s = %q, want %q", m.Amount, m.Currency, got, want)
		}
	}
}

func TestIDsSortByTime(t *testing.T) {
	ids := make([]string, 100)
	for i := range ids {
		ids[i] = events.NewID("ord")
		if !events.IsID("ord", ids[i]) || events.IsID("cus", ids[i]) {
			t.Fatalf("IsID is wrong about %s", ids[i])
		}
	}
	if !slices.IsSorted(ids) {
		t.Error("ids do not sort in the order in which they were made")
	}
}
