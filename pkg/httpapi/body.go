package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/big"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"
)

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
	if err := wellFormed(raw); err != nil {
		return v, nil, Problem(http.StatusBadRequest, "not_json", "the body is not JSON: "+err.Error())
	}
	var parsed any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&parsed); err != nil {
		return v, nil, Problem(http.StatusBadRequest, "not_json", "the body is not JSON: "+err.Error())
	}
	registry := a.huma.OpenAPI().Components.Schemas
	schema := registry.Schema(reflect.TypeFor[T](), true, "")
	var fields []FieldError
	known(registry, schema, parsed, "", &fields)
	res := &huma.ValidateResult{}
	huma.Validate(registry, schema, huma.NewPathBuffer([]byte("body"), 4), huma.ModeWriteToServer, floats(parsed), res)
	for _, err := range res.Errors {
		if d, ok := err.(*huma.ErrorDetail); ok {
			fields = append(fields, field(d))
		}
	}
	// T gets what was validated and no more.
	clean, err := json.Marshal(tidy(parsed, "", &fields))
	if err != nil {
		return v, nil, err
	}
	if err := json.Unmarshal(clean, &v); err != nil && len(fields) == 0 {
		return v, []FieldError{{Detail: err.Error()}}, nil
	}
	return v, unique(fields), nil
}

// unique keeps the first finding about each field.
func unique(fields []FieldError) []FieldError {
	var out []FieldError
	seen := map[string]bool{}
	for _, f := range fields {
		if !seen[f.Pointer] {
			seen[f.Pointer] = true
			out = append(out, f)
		}
	}
	return out
}

// known names the members that the schema does not know, and takes them out. Huma
// would name them too, but loses its way behind a name with a dot in it.
func known(registry huma.Registry, schema *huma.Schema, v any, at string, fields *[]FieldError) {
	if schema != nil && schema.Ref != "" {
		schema = registry.SchemaFromRef(schema.Ref)
	}
	if schema == nil {
		return
	}
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			member := at + "/" + escape.Replace(k)
			if property, ok := schema.Properties[k]; ok {
				known(registry, property, v[k], member, fields)
			} else if schema.AdditionalProperties == false {
				*fields = append(*fields, FieldError{Pointer: member, Detail: validation.MsgUnexpectedProperty})
				delete(v, k)
			}
		}
	case []any:
		for i := range v {
			known(registry, schema.Items, v[i], fmt.Sprint(at, "/", i), fields)
		}
	}
}

// floats is a copy of v with the numbers as huma wants them; one that is too large
// for a float64 is infinite, and so above every maximum.
func floats(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			out[k] = floats(v[k])
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = floats(v[i])
		}
		return out
	case json.Number:
		f, _ := v.Float64() // well-formed, so that only its size can be wrong
		return f
	}
	return v
}

// tidy makes whole numbers of 1.0 and 1e2, which the schema calls whole and Go
// does not. It names numbers that the schema calls whole only because a float64
// cannot tell, and strings that Postgres would refuse.
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
			if r, ok := new(big.Rat).SetString(v.String()); !ok || !r.IsInt() {
				*fields = append(*fields, FieldError{Pointer: at, Detail: "expected a whole number"})
			}
			return int64(f)
		}
	}
	return v
}

// Invalid is the problem of a request with wrong fields.
func Invalid(fields []FieldError) error {
	return Problem(http.StatusUnprocessableEntity, "invalid", "correct the fields named in errors and send the request again", fields...)
}

// wellFormed refuses what encoding/json would read by guessing: text that is not
// UTF-8, half a surrogate pair, and a member that stands twice in its object.
func wellFormed(raw []byte) error {
	if !utf8.Valid(raw) {
		return errors.New("it is not UTF-8")
	}
	var valid json.RawMessage
	if err := json.Unmarshal(raw, &valid); err != nil {
		return err
	}
	if err := pairs(raw); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	return distinct(dec)
}

// pairs finds escaped surrogates that stand alone. In valid JSON a backslash is
// always the begin of an escape.
func pairs(raw []byte) error {
	unit := func(i int) rune {
		if i+6 > len(raw) || raw[i] != '\\' || raw[i+1] != 'u' {
			return 0
		}
		n, _ := strconv.ParseUint(string(raw[i+2:i+6]), 16, 16) // valid JSON has four digits there
		return rune(n)
	}
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		if r := unit(i); !utf16.IsSurrogate(r) {
			i++ // past the escaped character
		} else if utf16.DecodeRune(r, unit(i+6)) == utf8.RuneError {
			return fmt.Errorf("%s is half of a surrogate pair", raw[i:i+6])
		} else {
			i += 11
		}
	}
	return nil
}

// distinct reads a value and names the first member that its object has twice.
func distinct(dec *json.Decoder) error {
	token, err := dec.Token()
	if err != nil {
		return err
	}
	switch token {
	case json.Delim('['):
		for i := 0; dec.More(); i++ {
			if err := distinct(dec); err != nil {
				return fmt.Errorf("/%d%w", i, err)
			}
		}
		_, err = dec.Token()
	case json.Delim('{'):
		seen := map[string]bool{}
		for dec.More() {
			token, err := dec.Token()
			if err != nil {
				return err
			}
			name, _ := token.(string)
			if seen[name] {
				return fmt.Errorf("/%s stands there twice", escape.Replace(name))
			}
			seen[name] = true
			if err := distinct(dec); err != nil {
				return fmt.Errorf("/%s%w", escape.Replace(name), err)
			}
		}
		_, err = dec.Token()
	}
	return err
}

// isText says whether Postgres would take s: it is UTF-8 without a zero byte.
func isText(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }
