package events

import (
	"encoding/base32"
	"strings"

	"github.com/google/uuid"
)

// crockford is Crockford's base 32 in lower case: no i, l, o, u, and in the
// order of its bytes, so that ids sort as the time they were made.
var crockford = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewID returns a new id of the given kind, "ord_01j…": sortable by time of
// creation to the millisecond, unique without coordination.
func NewID(kind string) string {
	id := uuid.Must(uuid.NewV7()) // fails only when the system has no randomness
	return kind + "_" + crockford.EncodeToString(id[:])
}

// IsID says whether s looks like an id of the given kind.
func IsID(kind, s string) bool {
	rest, ok := strings.CutPrefix(s, kind+"_")
	if !ok {
		return false
	}
	b, err := crockford.DecodeString(rest)
	return err == nil && len(b) == 16
}

// NewEventID returns a UUIDv7.
func NewEventID() string { return uuid.Must(uuid.NewV7()).String() }
