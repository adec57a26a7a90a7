package events

import (
	"reflect"
	"strings"
	"time"
)

// This file derives the published schemas from the Go types. The files are
// generated once for a version and then frozen; a test keeps both equal.

// patterns are the rules of fields that are more than their Go type says.
var patterns = map[string]string{
	"currency": `^[A-Z]{3}$`,
}

// decimal is how order.created.v1 writes amounts.
const decimal = `^[0-9]+(\.[0-9]{1,4})?$`

// SchemaOf derives the JSON Schema of a payload's whole envelope. Unknown fields
// are allowed, so that a later version of a producer can add some.
func SchemaOf(p Payload) map[string]any {
	text := map[string]any{"type": "string"}
	filled := map[string]any{"type": "string", "minLength": 1}
	return map[string]any{
		"$schema":     "https://json-schema.org/draft/2020-12/schema",
		"title":       Type(p),
		"description": descriptions[p.EventName()],
		"type":        "object",
		"required":    []string{"event_type", "event_id", "timestamp", "version", "data", "metadata"},
		"properties": map[string]any{
			"event_type": map[string]any{"const": Type(p)},
			"event_id":   filled,
			"timestamp":  map[string]any{"type": "string", "format": "date-time"},
			"version":    map[string]any{"const": strings.TrimPrefix(Type(p), p.EventName()+".v") + ".0"},
			"data":       schemaOfType(reflect.TypeOf(p), p.EventName() == "order.created" && p.EventVersion() == 1),
			"metadata": map[string]any{
				"type":     "object",
				"required": []string{"producer", "trace_id", "correlation_id", "causation_id", "aggregate_id", "aggregate_version"},
				"properties": map[string]any{
					"producer": text, "trace_id": text, "correlation_id": text, "causation_id": text, "aggregate_id": filled,
					"aggregate_version": map[string]any{"type": "integer", "minimum": 1},
				},
			},
		},
	}
}

// schemaOfType derives the schema of a Go type. In decimals, a field total is a
// decimal in a string.
func schemaOfType(t reflect.Type, decimals bool) map[string]any {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case t.Kind() == reflect.String:
		return map[string]any{"type": "string"}
	case t.Kind() == reflect.Bool:
		return map[string]any{"type": "boolean"}
	case t.Kind() == reflect.Int || t.Kind() == reflect.Int64:
		return map[string]any{"type": "integer"}
	case t.Kind() == reflect.Float64:
		return map[string]any{"type": "number"}
	case t.Kind() == reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOfType(t.Elem(), decimals)}
	}
	properties, required := map[string]any{}, []string{}
	for _, f := range reflect.VisibleFields(t) {
		name, option, _ := strings.Cut(f.Tag.Get("json"), ",")
		s := schemaOfType(f.Type, decimals)
		if p := patterns[name]; p != "" {
			s["pattern"] = p
		}
		if decimals && name == "total" {
			s["pattern"] = decimal
		}
		properties[name] = s
		if option == "" {
			required = append(required, name)
		}
	}
	return map[string]any{"type": "object", "required": required, "properties": properties}
}

// Payloads lists an empty payload of every published version.
func Payloads() []Payload {
	out := make([]Payload, len(registered))
	for i, r := range registered {
		out[i] = r.payload
	}
	return out
}
