package push

import (
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestATokenIsReadAsWritten(t *testing.T) {
	for range 200 {
		want := token{ids: map[string][16]byte{}, next: map[place]int64{}}
		for n := range rand.IntN(5) {
			topic := strings.Repeat("topic", n+1)
			want.ids[topic] = [16]byte{byte(rand.IntN(256)), 15: byte(n)}
			for range rand.IntN(8) + 1 {
				want.next[place{topic, rand.Int32N(1000)}] = rand.Int64()
			}
		}
		got, err := decodeToken(want.encode())
		if err != nil || !maps.Equal(got.ids, want.ids) || !maps.Equal(got.next, want.next) {
			t.Fatalf("read %+v, %v; want %+v", got, err, want)
		}
	}
}

// Whatever a client sends as a token, it is refused or read, and what was read is
// written the same way again.
func FuzzDecodeToken(f *testing.F) {
	f.Add(token{ids: map[string][16]byte{"orders": {1}}, next: map[place]int64{{"orders", 0}: 7, {"orders", 1}: 1 << 40}}.encode())
	f.Add("")
	f.Add("_____________")
	f.Add("not a token!")
	f.Fuzz(func(t *testing.T, s string) {
		first, err := decodeToken(s)
		if err != nil {
			return
		}
		second, err := decodeToken(first.encode())
		if err != nil || !maps.Equal(first.next, second.next) {
			t.Errorf("read %+v, and its like as %+v, %v", first, second, err)
		}
	})
}
