package web

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// MergeOpenAPI joins the documents of the services, by name, and the edge's own
// calls into the one at /api/openapi.json. A schema name that two services use
// for different things gets the service's name in front. Every operation says
// that it may answer a problem, and the operator's that they may answer 401.
func MergeOpenAPI(docs map[string][]byte) ([]byte, error) {
	paths, schemas := map[string]any{}, map[string]any{}
	security := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(docs)) {
		var doc struct {
			Paths      map[string]any `json:"paths"`
			Components struct {
				Schemas         map[string]json.RawMessage `json:"schemas"`
				SecuritySchemes map[string]any             `json:"securitySchemes"`
			} `json:"components"`
		}
		text := string(docs[name])
		if err := json.Unmarshal(docs[name], &doc); err != nil {
			return nil, fmt.Errorf("OpenAPI document of %s: %w", name, err)
		}
		for schema, raw := range doc.Components.Schemas {
			if other, taken := schemas[schema]; taken && string(other.(json.RawMessage)) != string(raw) {
				renamed := strings.ToUpper(name[:1]) + name[1:] + schema
				text = strings.ReplaceAll(text, `"#/components/schemas/`+schema+`"`, `"#/components/schemas/`+renamed+`"`)
				text = strings.Replace(text, `"`+schema+`":{`, `"`+renamed+`":{`, 1)
			}
		}
		if err := json.Unmarshal([]byte(text), &doc); err != nil {
			return nil, fmt.Errorf("OpenAPI document of %s: %w", name, err)
		}
		maps.Copy(paths, doc.Paths)
		for schema, raw := range doc.Components.Schemas {
			if _, taken := schemas[schema]; !taken {
				schemas[schema] = raw
			}
		}
		maps.Copy(security, doc.Components.SecuritySchemes)
	}
	var own map[string]any
	if err := json.Unmarshal([]byte(edgePaths), &own); err != nil {
		return nil, fmt.Errorf("OpenAPI of the edge: %w", err)
	}
	maps.Copy(paths, own)
	var ownSchemas map[string]any
	if err := json.Unmarshal([]byte(edgeSchemas), &ownSchemas); err != nil {
		return nil, fmt.Errorf("OpenAPI of the edge: %w", err)
	}
	maps.Copy(schemas, ownSchemas)
	for path, item := range paths {
		calls, _ := item.(map[string]any)
		for method, call := range calls {
			op, _ := call.(map[string]any)
			responses, ok := op["responses"].(map[string]any)
			if !ok {
				return nil, fmt.Errorf("OpenAPI of %s %s: it has no responses", method, path)
			}
			addProblems(responses, op["security"] != nil)
		}
	}
	return json.MarshalIndent(map[string]any{
		"openapi": "3.1.0",
		"info": map[string]any{"title": "Cartwheel", "version": "1",
			"description": "The public interface of a running shop. Errors are RFC 9457 problem details; money is in minor units; lists page by limit and cursor."},
		"paths": paths,
		"components": map[string]any{"schemas": schemas, "securitySchemes": security, "responses": map[string]any{
			"Problem": problem("Any other problem. Every call may answer 400 bad_request, when its address is not text; 503 unavailable or service_unavailable, " +
				"while something that it needs is away; 500 internal."),
			"OperatorOnly": problem("The call is the operator's, and comes without the operator's token"),
		}},
	}, "", "  ")
}

// addProblems adds what every operation may answer, and what is in the edge's own
// answers that are errors and do not say.
func addProblems(responses map[string]any, operator bool) {
	for status, r := range responses {
		r, _ := r.(map[string]any)
		if r["content"] == nil && status >= "400" {
			responses[status] = problem(r["description"])
		}
	}
	responses["default"] = map[string]any{"$ref": "#/components/responses/Problem"}
	if operator {
		responses["401"] = map[string]any{"$ref": "#/components/responses/OperatorOnly"}
	}
}

// problem is a response with a problem in it.
func problem(description any) map[string]any {
	return map[string]any{"description": description, "content": map[string]any{
		"application/problem+json": map[string]any{"schema": map[string]any{"$ref": "#/components/schemas/ProblemError"}},
	}}
}

// edgePaths are the calls that the edge itself answers.
const edgePaths = `{
  "/api/orders/{id}/timeline": {"get": {
    "operationId": "get-timeline", "summary": "An order's way through the whole system, oldest first", "tags": ["orders"],
    "description": "An event says where it is in Kafka, and in consumers what became of it in each group that handles it: {group, event_id, state: done, read, waiting or given_up, at}.",
    "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
    "responses": {"200": {"description": "The trails of all services, joined", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Timeline"}}}},
      "404": {"description": "There is no such order"}}}},
  "/api/ws": {"get": {
    "operationId": "watch", "summary": "The present, by WebSocket", "tags": ["live"],
    "parameters": [{"name": "topics", "in": "query", "schema": {"type": "string"}, "description": "comma-separated; absent: all"},
      {"name": "resume", "in": "query", "schema": {"type": "string"}, "description": "token of the newest message"}],
    "responses": {"101": {"description": "Switching to WebSocket; messages are {type: hello, token, reset} and {type: changes, token, items}"},
      "400": {"description": "The request does not ask for a WebSocket, or its address is not text"},
      "403": {"description": "A page of another origin asks"},
      "422": {"description": "There is no such topic"},
      "503": {"description": "The live view is starting, or its service is away"}}}},
  "/api/sse": {"get": {
    "operationId": "watch-sse", "summary": "The present, by server-sent events", "tags": ["live"],
    "parameters": [{"name": "topics", "in": "query", "schema": {"type": "string"}}, {"name": "Last-Event-ID", "in": "header", "schema": {"type": "string"}}],
    "responses": {"200": {"description": "The messages of /api/ws as events, their tokens as ids", "content": {"text/event-stream": {"schema": {"type": "string"}}}},
      "400": {"description": "The address is not text"},
      "403": {"description": "A page of another origin asks"},
      "422": {"description": "There is no such topic"},
      "503": {"description": "The live view is starting, or its service is away"}}}},
  "/healthz": {"get": {"operationId": "alive", "summary": "The process is alive", "tags": ["health"], "responses": {"200": {"description": "Alive"}}}},
  "/readyz": {"get": {"operationId": "ready", "summary": "Everything that an order needs is up", "tags": ["health"],
    "responses": {
      "200": {"description": "Ready", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Readiness"}}}},
      "503": {"description": "Something is missing; the body says what", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Readiness"}}}}}}}
}`

// edgeSchemas are what they have in common.
const edgeSchemas = `{
  "Readiness": {"type": "object", "required": ["ready", "missing"], "properties": {"ready": {"type": "boolean"},
    "missing": {"type": "array", "items": {"$ref": "#/components/schemas/Missing"}}}},
  "Missing": {"type": "object", "required": ["name"], "description": "Something that an order needs and that is not there",
    "properties": {"name": {"type": "string"}, "state": {"type": "string"}, "detail": {"type": "string"}}},
  "Timeline": {"type": "object", "required": ["items"], "properties": {
    "missing": {"type": "array", "items": {"type": "string"}, "description": "services that did not answer, so that their part is not in items"},
    "items": {"type": "array", "items": {"$ref": "#/components/schemas/TimelineItem"}}}},
  "TimelineItem": {"type": "object", "required": ["at", "kind", "name", "detail"], "properties": {
    "at": {"type": "string", "format": "date-time"}, "kind": {"type": "string", "enum": ["http", "outbox", "event", "command", "email", "push"]},
    "name": {"type": "string"}, "detail": {"type": "object", "additionalProperties": true}}}
}`
