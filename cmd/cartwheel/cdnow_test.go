package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each line of a file is a purchase, is passed over, or is named with what was
// expected there; the number of a purchase is its place in the file.
func TestReadCDNOW(t *testing.T) {
	const good = "00001 19970101  1   11.77"
	for _, tc := range []struct {
		name        string
		text        string
		from, count int
		purchases   string // number:pieces:cents
		bad         string // of the first broken line
	}{
		{"all", " customer_id date n v\n" + good + "\n00002 19970112 12 0.00\n", 1, 0, "1:1:1177 2:12:0", ""},
		{"a range", good + "\n" + good + "\n" + good + "\n" + good, 2, 2, "2:1:1177 3:1:1177", ""},
		{"a range beyond the end", good + "\n" + good, 2, 100, "2:1:1177", ""},
		{"behind the end", good, 2, 0, "", ""},
		{"nothing", "", 1, 0, "", ""},
		{"line ends of Windows, comments, empty lines", "# from CDNOW\r\n" + good + "\r\n\r\n" + good + "\r\n \r\n", 1, 0, "1:1:1177 2:1:1177", ""},
		{"a broken line keeps the others' numbers", good + "\nbroken\n" + good, 1, 0, "1:1:1177 3:1:1177", "line 2: has 1 fields"},
		{"customer", "x 19970101 1 1.00", 1, 0, "", `line 1: customer "x"`},
		{"date", "1 1997-01-01 1 1.00", 1, 0, "", "as YYYYMMDD"},
		{"no such day", "1 19970230 1 1.00", 1, 0, "", `date "19970230"`},
		{"a day to come", "1 99990101 1 1.00", 1, 0, "", `date "99990101"`},
		{"no pieces", "1 19970101 0 1.00", 1, 0, "", `pieces "0"`},
		{"half a piece", "1 19970101 1.5 1.00", 1, 0, "", `pieces "1.5"`},
		{"a debt", "1 19970101 1 -1.00", 1, 0, "", `dollars "-1.00"`},
		{"a part of a cent", "1 19970101 1 1.005", 1, 0, "", `dollars "1.005"`},
		{"the largest total", "1 19970101 1 1000000000.00", 1, 0, "1:1:100000000000", ""},
		{"more than the shop takes", "1 19970101 1 1000000000.01", 1, 0, "", `dollars "1000000000.01"`},
		{"words", "1 19970101 1 much", 1, 0, "", `dollars "much"`},
		{"one field more", good + " x", 1, 0, "", "has 5 fields"},
	} {
		file := filepath.Join(t.TempDir(), "purchases.txt")
		if err := os.WriteFile(file, []byte(tc.text), 0o600); err != nil {
			t.Fatal(err)
		}
		list, bad, err := readCDNOW(file, tc.from, tc.count)
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		var got []string
		for _, p := range list {
			got = append(got, fmt.Sprintf("%d:%d:%d", p.number, p.pieces, p.total.Amount))
		}
		if strings.Join(got, " ") != tc.purchases {
			t.Errorf("%s: read %s, want %s", tc.name, got, tc.purchases)
		}
		if len(bad) == 0 != (tc.bad == "") || len(bad) > 0 && (!strings.Contains(bad[0].Error(), tc.bad) || !strings.HasPrefix(bad[0].Error(), file)) {
			t.Errorf("%s: broken lines %v, want one that says %q", tc.name, bad, tc.bad)
		}
	}
	for _, r := range [][2]int{{0, 1}, {-1, 0}, {1, -1}} {
		if _, _, err := readCDNOW(os.DevNull, r[0], r[1]); err == nil {
			t.Errorf("from %d, count %d is taken", r[0], r[1])
		}
	}
	long := filepath.Join(t.TempDir(), "long.txt")
	if err := os.WriteFile(long, []byte(good+"\n"+strings.Repeat("x", 1<<20)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := readCDNOW(long, 1, 0); err == nil || !strings.Contains(err.Error(), long+", line 2: ") {
		t.Errorf("a line without end: %v", err)
	}
}
