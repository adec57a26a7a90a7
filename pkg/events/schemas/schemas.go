// Package schemas is the event contract for whoever does not speak Go: one JSON
// Schema for each version of an event, and a validator. Programs that only publish
// and consume need neither.
package schemas

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
)

//go:embed *.schema.json
var files embed.FS

// Of returns the published JSON Schema (draft 2020-12) of an event type, like
// "order.created.v2", for its whole envelope. It needs no other file.
func Of(eventType string) ([]byte, error) {
	raw, err := files.ReadFile(eventType + ".schema.json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &events.UnknownType{Type: eventType}
	}
	return raw, err
}

// compiled are the schemas, ready to validate with.
var compiled = sync.OnceValues(func() (map[string]*jsonschema.Schema, error) {
	all := map[string]*jsonschema.Schema{}
	for _, d := range events.Registered() {
		raw, err := Of(d.Type)
		if err != nil {
			return nil, err
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			return nil, fmt.Errorf("schema of %s: %w", d.Type, err)
		}
		c := jsonschema.NewCompiler()
		c.AssertFormat()
		if err := c.AddResource(d.Type, doc); err != nil {
			return nil, fmt.Errorf("schema of %s: %w", d.Type, err)
		}
		if all[d.Type], err = c.Compile(d.Type); err != nil {
			return nil, fmt.Errorf("schema of %s: %w", d.Type, err)
		}
	}
	return all, nil
})

// Wrong is a field of an event that its schema does not allow.
type Wrong struct {
	Pointer string `json:"pointer" doc:"JSON pointer into the event"`
	Detail  string `json:"detail"`
}

// Invalid is an event of the contract that its schema does not allow. It wraps
// events.ErrUndecodable.
type Invalid struct{ Fields []Wrong }

func (e *Invalid) Error() string {
	parts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		parts[i] = strconv.Quote(f.Pointer) + ": " + f.Detail
	}
	return events.ErrUndecodable.Error() + ": " + strings.Join(parts, "; ")
}

func (e *Invalid) Unwrap() error { return events.ErrUndecodable }

// Validate holds a whole event, envelope and body, against its published schema.
// The error names every wrong field by JSON pointer, in words: it is an *Invalid
// where there is a schema to hold it against.
func Validate(raw []byte) error {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("%w: it is not JSON: %w", events.ErrUndecodable, err)
	}
	var head struct {
		Type string `json:"event_type"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return fmt.Errorf("%w: it is not an object with a text as event_type", events.ErrUndecodable)
	}
	name, version, err := events.ParseType(head.Type)
	if err != nil {
		return err
	}
	known := newest(name)
	if known == 0 {
		return fmt.Errorf("%w: cartwheel events catalogue lists what there is", &events.UnknownType{Type: head.Type})
	}
	if version > known {
		return &events.UnknownVersion{Type: head.Type, Newest: known}
	}
	schemas, err := compiled()
	if err != nil {
		return err
	}
	var wrong *jsonschema.ValidationError
	if err := schemas[head.Type].Validate(doc); errors.As(err, &wrong) {
		return &Invalid{explain(wrong)}
	} else if err != nil {
		return err
	}
	return nil
}

// newest is the newest version of an event; 0 when there is no such event.
func newest(name string) int {
	version := 0
	for _, d := range events.Registered() {
		if n, v, err := events.ParseType(d.Type); err == nil && n == name {
			version = max(version, v)
		}
	}
	return version
}

// explain lists what is wrong, one entry for each place.
func explain(e *jsonschema.ValidationError) []Wrong {
	if len(e.Causes) == 0 {
		at := ""
		for _, name := range e.InstanceLocation {
			at += "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
		}
		return []Wrong{{at, e.ErrorKind.LocalizedString(message.NewPrinter(language.English))}}
	}
	var out []Wrong
	for _, c := range e.Causes {
		out = append(out, explain(c)...)
	}
	return out
}
