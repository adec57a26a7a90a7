package fault

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// FromEnv returns the points that a value of the variable FAULTS asks for: nil
// when it is empty or "off".
func FromEnv(value string, log *slog.Logger, opts ...Option) (*Points, error) {
	value = strings.TrimSpace(value)
	if value == "" || value == "off" {
		return nil, nil
	}
	p := New(log, opts...)
	if value == "on" {
		return p, nil
	}
	for text := range strings.SplitSeq(value, ";") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		f, err := parse(text)
		if err != nil {
			return nil, fmt.Errorf("FAULTS: %w", err)
		}
		if _, err := p.Arm(f); err != nil {
			return nil, fmt.Errorf("FAULTS: %w", err)
		}
	}
	return p, nil
}

// parse reads "point=kind [key=…] [from=…] [times=…] [for=…]".
func parse(text string) (Fault, error) {
	var f Fault
	for i, word := range strings.Fields(text) {
		name, value, ok := strings.Cut(word, "=")
		if !ok {
			return f, fmt.Errorf("%q: %q is not name=value, such as provider.after=kill", text, word)
		}
		if i == 0 {
			f.Point, f.Kind = Point(name), Kind(value)
			continue
		}
		var err error
		switch name {
		case "key":
			f.Key = value
		case "from":
			f.From, err = strconv.Atoi(value)
		case "times":
			f.Times, err = strconv.Atoi(value)
		case "for":
			f.For, err = time.ParseDuration(value)
		default:
			err = fmt.Errorf("a fault has key, from, times and for")
		}
		if err != nil {
			return f, fmt.Errorf("%q: %s: %w", text, word, err)
		}
	}
	return f, nil
}

// names lists the points for a message.
func names() string {
	var all []string
	for _, d := range Catalogue() {
		all = append(all, string(d.Name))
	}
	return strings.Join(all, ", ")
}
