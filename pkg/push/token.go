package push

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
)

// place is a partition of a topic.
type place struct {
	topic     string
	partition int32
}

// token is where a reader is: the next offset of each partition, and the ids of
// the topics, which change when a topic is made anew.
type token struct {
	ids  map[string][16]byte
	next map[place]int64
}

// encode writes a token, compactly: for each topic its name, id, and offsets.
func (t token) encode() string {
	byTopic := map[string][]place{}
	for p := range t.next {
		byTopic[p.topic] = append(byTopic[p.topic], p)
	}
	var b []byte
	for _, topic := range slices.Sorted(maps.Keys(byTopic)) {
		places := byTopic[topic]
		slices.SortFunc(places, func(x, y place) int { return int(x.partition - y.partition) })
		id := t.ids[topic]
		b = binary.AppendUvarint(b, uint64(len(topic)))
		b = append(append(b, topic...), id[:]...)
		b = binary.AppendUvarint(b, uint64(len(places)))
		for _, p := range places {
			b = binary.AppendUvarint(b, uint64(p.partition))
			b = binary.AppendUvarint(b, uint64(t.next[p]))
		}
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

var errToken = errors.New("not a token of ours")

func decodeToken(s string) (token, error) {
	t := token{ids: map[string][16]byte{}, next: map[place]int64{}}
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(raw) > 1<<16 {
		return t, errToken
	}
	r := bytes.NewReader(raw)
	number := func() uint64 {
		n, e := binary.ReadUvarint(r)
		err = errors.Join(err, e)
		return n
	}
	for r.Len() > 0 {
		n := number()
		if err != nil || n > 255 || int(n)+16 > r.Len() {
			return t, errToken
		}
		name := make([]byte, n)
		var id [16]byte
		_, _ = r.Read(name) // long enough, see above
		_, _ = r.Read(id[:])
		t.ids[string(name)] = id
		for range min(number(), 1<<16) {
			p := place{string(name), int32(number())}
			t.next[p] = int64(number())
			if err != nil {
				return t, errToken
			}
		}
	}
	return t, nil
}
