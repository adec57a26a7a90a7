package order

import (
	"slices"
	"testing"
)

func TestCountries(t *testing.T) {
	if len(countries) != 249 || !slices.IsSorted(countries) || len(slices.Compact(slices.Clone(countries))) != 249 {
		t.Errorf("%d codes, want the 249 of ISO 3166-1, each once", len(countries))
	}
	for code, want := range map[string]bool{
		"GB": true, "DE": true, "US": true, "TW": true, "SS": true,
		"ZZ": true,                                         // nowhere
		"UK": false, "EU": false, "XK": false, "AC": false, // set aside for somebody, and no country's
		"SU": false, "YU": false, "AN": false, // no country's any more
		"XX": false, "gb": false, "GBR": false, "G": false, "": false, "B ": false,
	} {
		if got := isCountry(code); got != want {
			t.Errorf("isCountry(%q) = %v", code, got)
		}
	}
}
