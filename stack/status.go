package stack

import "fmt"

// Phase is a part's state.
type Phase string

// The phases of a part.
const (
	Starting Phase = "starting"
	Building Phase = "building" // Temporal alone: it is being compiled
	Ready    Phase = "ready"
	Failed   Phase = "failed" // it is tried again if that may help
	Stopped  Phase = "stopped"
)

// Status says how a part is doing.
type Status struct {
	Part    Part
	Phase   Phase
	Address string // where it serves, or will
	// Detail is for people: what a slow start is doing, or the sentence of an
	// error.
	Detail string
	// Done and Total measure a slow phase; Total is 0 where nobody knows.
	Done, Total int
	// External says that the address was given to us.
	External bool
}

// String is the status in a few words, such as "building 412/1780".
func (s Status) String() string {
	switch {
	case s.Total > 0 && s.Phase != Ready:
		return fmt.Sprintf("%s %d/%d", s.Phase, s.Done, s.Total)
	case s.Detail != "":
		return fmt.Sprintf("%s: %s", s.Phase, s.Detail)
	default:
		return string(s.Phase)
	}
}

// Progress is told of every change of a part's status, from several goroutines
// but never two at a time. It must not block, nor call the stack.
type Progress interface {
	Report(Status)
}

// ProgressFunc is a function that is a Progress.
type ProgressFunc func(Status)

// Report calls f.
func (f ProgressFunc) Report(s Status) { f(s) }
