// Package figures is how services show their side of the shop's invariants
// without reading each other's databases.
//
// A [Digest] condenses a large map from key to number into 64 buckets of count
// and sum. Two services that should agree (money due and money held, versions
// published and versions seen) are compared bucket by bucket, and only buckets
// that differ are listed key by key. The cost of a check is therefore a scan on
// each side and 64 numbers on the wire, however many orders there are.
//
// Guarantees: equal maps have equal digests. Maps that differ have digests that
// differ, unless the differences within one bucket cancel out in both count and
// sum. A digest is a value; nothing here does I/O or blocks.
package figures
