package order

import (
	"path/filepath"
	"testing"

	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// Sagas that were begun by an earlier build go on in this one: what it decides is
// what their histories say. A change that breaks this needs workflow.GetVersion
// and a history of its own, exported from the saga engine's web UI.
func TestHistoriesReplay(t *testing.T) {
	files, err := filepath.Glob("testdata/histories/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d histories, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			r := worker.NewWorkflowReplayer()
			r.RegisterWorkflowWithOptions(Fulfil, workflow.RegisterOptions{Name: fulfilName})
			r.RegisterWorkflowWithOptions(RetryTask, workflow.RegisterOptions{Name: retryTaskName})
			if err := r.ReplayWorkflowHistoryFromJSONFile(nil, file); err != nil {
				t.Error(err)
			}
		})
	}
}
