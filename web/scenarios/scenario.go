package scenarios

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cartwheel-shop/cartwheel/pkg/httpapi"
)

// Scenario is something that happens to a shop, and what must come of it.
type Scenario struct {
	Name       string
	Title      string
	About      string
	Promises   []string
	Parameters []Parameter

	needs []need
	play  func(context.Context, *stage) error
}

// Parameter is a number that a scenario may be played with.
type Parameter struct {
	Name    string `json:"name"`
	Title   string `json:"title" doc:"what it counts, in words"`
	Default int    `json:"default"`
	Min     int    `json:"min"`
	Max     int    `json:"max"`
}

// need is something that a scenario cannot do without, beyond the shop's HTTP
// interface.
type need int

const (
	kafka    need = iota // a connection to Kafka
	machine              // somebody who can kill services
	noBroker             // somebody who can stop Kafka
	faults               // services in which faults can be armed
)

// All is the list, in the order in which to show it.
func All() []Scenario {
	list := slices.Insert(orderScenarios(), 2, outOfStock())
	return append(list, race(), duplicateEvent(), poisonMessage(), slowConsumer(), serviceKilled(), brokerAway())
}

// values are the parameters of a run: the defaults, and over them what was asked
// for. What does not fit is named by its place in the request.
func (s Scenario) values(asked map[string]int) (map[string]int, []httpapi.FieldError) {
	values := map[string]int{}
	for _, p := range s.Parameters {
		values[p.Name] = p.Default
	}
	var wrong []httpapi.FieldError
	for name, v := range asked {
		i := slices.IndexFunc(s.Parameters, func(p Parameter) bool { return p.Name == name })
		switch {
		case i < 0:
			wrong = append(wrong, httpapi.FieldError{Pointer: "/parameters/" + name, Detail: fmt.Sprintf("is no parameter of %s", s.Name)})
		case v < s.Parameters[i].Min || v > s.Parameters[i].Max:
			wrong = append(wrong, httpapi.FieldError{Pointer: "/parameters/" + name, Detail: fmt.Sprintf("must be from %d to %d", s.Parameters[i].Min, s.Parameters[i].Max)})
		default:
			values[name] = v
		}
	}
	slices.SortFunc(wrong, func(x, y httpapi.FieldError) int { return strings.Compare(x.Pointer, y.Pointer) })
	return values, wrong
}
