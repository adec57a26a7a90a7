package bus

import "github.com/twmb/franz-go/pkg/kgo"

// keyed says, for one partition, which record may be handed out and how far
// offsets may be committed: of a key at most one record is out, the oldest that
// is not done, and an offset may be committed when its record and all before it
// are done. Records without a key are in order among themselves. It has no
// goroutine and no lock: the partition has.
type keyOrder struct {
	window []*entry        // in the partition's order, from the first that is not done
	ready  []*entry        // nothing of their key is out, in the order in which that came about
	last   map[line]*entry // the newest record of each key that has one that is not done
	queued int             // records that were never out
	bytes  int             // of their values
}

// line is what a record is in order with: its key, or having none.
type line struct {
	none bool
	key  string
}

// entry is a record, from when it was fetched until its offset may be committed.
type entry struct {
	record *kgo.Record // nil when it is done
	line   line
	next   *entry // of the same key
	offset int64
	epoch  int32
}

// add appends records as they were fetched.
func (k *keyOrder) add(records []*kgo.Record) {
	if k.last == nil {
		k.last = map[line]*entry{}
	}
	for _, r := range records {
		e := &entry{record: r, line: line{r.Key == nil, string(r.Key)}, offset: r.Offset, epoch: r.LeaderEpoch}
		if before := k.last[e.line]; before != nil {
			before.next = e
		} else {
			k.ready = append(k.ready, e)
		}
		k.last[e.line] = e
		k.window = append(k.window, e)
		k.bytes += len(r.Value)
	}
	k.queued += len(records)
}

// take returns a record to hand out, nil when there is none.
func (k *keyOrder) take() *entry {
	if len(k.ready) == 0 {
		return nil
	}
	e := k.ready[0]
	k.ready[0] = nil
	k.ready = k.ready[1:]
	k.queued--
	k.bytes -= len(e.record.Value)
	return e
}

// done ends a record that was taken. It returns the entry up to which offsets
// may be committed now, nil when that has not changed.
func (k *keyOrder) done(e *entry) (upTo *entry) {
	e.record = nil
	if e.next != nil {
		k.ready = append(k.ready, e.next)
		e.next = nil
	} else {
		delete(k.last, e.line)
	}
	for len(k.window) > 0 && k.window[0].record == nil {
		upTo = k.window[0]
		k.window[0] = nil
		k.window = k.window[1:]
	}
	return upTo
}
