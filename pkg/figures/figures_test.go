package figures_test

import (
	"slices"
	"testing"

	"github.com/cartwheel-shop/cartwheel/pkg/figures"
)

func TestDiffering(t *testing.T) {
	var a, b figures.Digest
	a[3], b[3] = figures.Bucket{Count: 2, Sum: 10}, figures.Bucket{Count: 2, Sum: 10}
	a[7], b[7] = figures.Bucket{Count: 1, Sum: 10}, figures.Bucket{Count: 2, Sum: 10}
	b[63] = figures.Bucket{Count: 1}
	if got, want := figures.Differing(&a, &b), []int{7, 63}; !slices.Equal(got, want) {
		t.Errorf("Differing = %v, want %v", got, want)
	}
}

func TestOffending(t *testing.T) {
	a := map[string]int64{"same": 1, "less": 1, "zero": 0, "only-a": 4}
	b := map[string]int64{"same": 1, "less": 2, "only-b": 3}
	if got, want := figures.Offending(a, b), []string{"less", "only-a", "only-b"}; !slices.Equal(got, want) {
		t.Errorf("Offending = %v, want %v", got, want)
	}
}
