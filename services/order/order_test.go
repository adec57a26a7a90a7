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

// What nobody can see is no name; every script, emoji and combining characters are.
func TestIsBlank(t *testing.T) {
	for text, want := range map[string]bool{
		"": true, " \t\r\n": true, "\u00a0": true, "\u3000\u2003": true, "\u2028": true, // white space
		"\u200b": true, "\ufeff\u2060": true, "\u00ad": true, "\u200e\u202e": true, "\x1b": true, "\U000e0041": true, // no width
		"\u3164": true, "\u115f\uffa0": true, "\u2800": true, "\u034f": true, "\u0301": true, "\ufe0f": true, // fillers, and marks on nothing
		"Ada Byron": false, "\u00a0A\u200b": false, "-": false, "7": false,
		"\u200fعمر": false, "עדה": false, "愛": false, "김": false, "क्षि": false, "e\u0301": false,
		"😀": false, "\U0001f469\u200d\U0001f680": false, "❤\ufe0f": false,
	} {
		if got := isBlank(text); got != want {
			t.Errorf("isBlank(%+q) = %v", text, got)
		}
	}
}
