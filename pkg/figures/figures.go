package figures

import (
	"maps"
	"slices"
)

// Buckets is the number of buckets of a [Digest].
const Buckets = 64

// Bucket is how many keys fell into a bucket, and the sum of their values.
type Bucket struct {
	Count int64 `json:"count"`
	Sum   int64 `json:"sum"`
}

// Digest is a map from key to number, condensed. A key's bucket is
// outbox.Shard(key), the same in Go and in SQL.
type Digest [Buckets]Bucket

// Add counts a key with its value into a bucket.
func (d *Digest) Add(bucket int, value int64) {
	d[bucket].Count++
	d[bucket].Sum += value
}

// Report is what a service answers at /internal/figures.
type Report struct {
	// Digests by name; the other side of the comparison uses the same name.
	Digests map[string]*Digest `json:"digests"`
	// Values are plain numbers, shown with the invariant.
	Values map[string]int64 `json:"values"`
	// Offenders are what the service alone can see to be wrong, by invariant:
	// ids of what breaks it.
	Offenders map[string][]string `json:"offenders"`
}

// NewReport returns an empty report that is ready to fill.
func NewReport() Report {
	return Report{Digests: map[string]*Digest{}, Values: map[string]int64{}, Offenders: map[string][]string{}}
}

// Items is the content of one bucket of one digest, at
// /internal/figures/{name}/{bucket}.
type Items struct {
	Items map[string]int64 `json:"items"`
}

// Holds is what /internal/holds answers: orders that hold something that a
// cancelled or rejected order must not hold.
type Holds struct {
	OrderIDs []string `json:"order_ids"`
}

// Differing returns the buckets in which two digests differ, ascending.
func Differing(a, b *Digest) []int {
	var out []int
	for i := range Buckets {
		if a[i] != b[i] {
			out = append(out, i)
		}
	}
	return out
}

// Offending returns the keys whose values differ between two buckets' items,
// sorted; a missing key counts as 0.
func Offending(a, b map[string]int64) []string {
	keys := map[string]bool{}
	for k, v := range a {
		if b[k] != v {
			keys[k] = true
		}
	}
	for k, v := range b {
		if a[k] != v {
			keys[k] = true
		}
	}
	return slices.Sorted(maps.Keys(keys))
}
