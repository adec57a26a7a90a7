package main

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

// Whatever a call of the public interface may answer is in its document: a problem
// for every call, 401 for the operator's and no other.
func TestEveryOperationSaysHowItFails(t *testing.T) {
	raw, err := openAPI()
	if err != nil {
		t.Fatal(err)
	}
	type response struct {
		Ref     string         `json:"$ref"`
		Content map[string]any `json:"content"`
	}
	var doc struct {
		Paths map[string]map[string]struct {
			Security  []map[string][]string `json:"security"`
			Responses map[string]response   `json:"responses"`
		} `json:"paths"`
		Components struct {
			Responses map[string]response `json:"responses"`
		} `json:"components"`
	}
	var whole any
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &whole); err != nil {
		t.Fatal(err)
	}
	for _, ref := range regexp.MustCompile(`"#/([^"]+)"`).FindAllStringSubmatch(string(raw), -1) {
		at := whole
		for name := range strings.SplitSeq(ref[1], "/") {
			parent, _ := at.(map[string]any)
			at = parent[name]
		}
		if at == nil {
			t.Errorf("there is no %s", ref[1])
		}
	}
	isProblem := func(r response) bool {
		if name, ok := strings.CutPrefix(r.Ref, "#/components/responses/"); ok {
			r = doc.Components.Responses[name]
		}
		return len(r.Content) == 1 && r.Content["application/problem+json"] != nil
	}
	operators := 0
	for path, calls := range doc.Paths {
		for method, op := range calls {
			for status, r := range op.Responses {
				if status >= "400" && !isProblem(r) && path+status != "/readyz503" { // default is one of them
					t.Errorf("%s %s: %s is no problem", method, path, status)
				}
			}
			if _, ok := op.Responses["default"]; !ok {
				t.Errorf("%s %s does not say what else may be", method, path)
			}
			if _, says := op.Responses["401"]; says != (op.Security != nil) {
				t.Errorf("%s %s: for the operator only: %v; says 401: %v", method, path, op.Security != nil, says)
			}
			if op.Security != nil {
				operators++
			}
		}
	}
	if operators == 0 {
		t.Error("no operation is the operator's")
	}
	for _, path := range []string{"/api/ws", "/api/sse"} {
		for _, status := range []string{"400", "403", "422", "503"} {
			if !isProblem(doc.Paths[path]["get"].Responses[status]) {
				t.Errorf("%s does not say %s", path, status)
			}
		}
	}
}
