package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cartwheel-shop/cartwheel/pkg/bus/bustest"
)

// tailing collects what a Tail sees.
func (s *shop) tail(from Positions, fromStart bool) (records chan Record, stop func()) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	records = make(chan Record, 1000)
	ended := make(chan error, 1)
	go func() {
		ended <- Tail(ctx, s.cfg, []string{s.topic}, from, fromStart, func(r Record) error { records <- r; return nil })
	}()
	stop = func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Errorf("Tail: %v", err)
		}
	}
	return records, stop
}

func take(t *testing.T, records chan Record, n int) (values []string, at Positions) {
	t.Helper()
	at = Positions{}
	for range n {
		select {
		case r := <-records:
			values = append(values, string(r.Value))
			at.set(r.Topic, r.Partition, r.Offset+1)
		case <-time.After(bustest.Patience):
			t.Fatalf("%d records, want %d", len(values), n)
		}
	}
	return values, at
}

func TestTailGoesOnFromAPosition(t *testing.T) {
	t.Parallel()
	s := newShop(t, 4)
	for i := range 20 {
		s.writeRaw(fmt.Sprint("k", i), fmt.Sprint("a", i))
	}
	records, stop := s.tail(nil, true)
	first, at := take(t, records, 20)
	stop()
	for i := range 10 {
		s.writeRaw(fmt.Sprint("k", i), fmt.Sprint("b", i))
	}
	records, stop = s.tail(at, true)
	defer stop()
	second, _ := take(t, records, 10)
	for _, v := range second {
		if slices.Contains(first, v) {
			t.Errorf("%s again, behind a position after it", v)
		}
	}
	ids, err := TopicIDs(t.Context(), s.cfg, []string{s.topic})
	if err != nil {
		t.Fatal(err)
	}
	s.writeRaw("k", "last", kgo.RecordHeader{Key: "h", Value: []byte("v")})
	select {
	case r := <-records:
		if r.TopicID != ids[s.topic] || r.TopicID == [16]byte{} || r.Headers["h"] != "v" || string(r.Key) != "k" || time.Since(r.Timestamp) > time.Hour {
			t.Errorf("got %+v", r)
		}
	case <-time.After(bustest.Patience):
		t.Fatal("no record")
	}
}

func TestTailFromTheEndSeesOnlyWhatComes(t *testing.T) {
	t.Parallel()
	s := newShop(t, 1)
	s.writeRaw("k", "old")
	end, err := BeforeEnd(t.Context(), s.cfg, []string{s.topic}, 0)
	if err != nil {
		t.Fatal(err)
	}
	records, stop := s.tail(end, false)
	defer stop()
	s.writeRaw("k", "new")
	if got, _ := take(t, records, 1); got[0] != "new" {
		t.Errorf("got %s, want new", got[0])
	}
}

// A position that retention has overtaken goes on with the oldest record, not
// at the end.
func TestTailFromATruncatedPosition(t *testing.T) {
	t.Parallel()
	s := newShop(t, 1)
	for i := range 6 {
		s.writeRaw("k", fmt.Sprint(i))
	}
	s.truncate(4)
	records, stop := s.tail(Positions{s.topic: {0: 1}}, false)
	defer stop()
	if got, _ := take(t, records, 2); !slices.Equal(got, []string{"4", "5"}) {
		t.Errorf("got %v, want what is left", got)
	}
}

// truncate deletes the records of partition 0 before an offset.
func (s *shop) truncate(before int64) {
	s.t.Helper()
	err := patiently(s.t.Context(), s.cfg, "to truncate", truncation(s.topic, before))
	if err != nil {
		s.t.Fatal(err)
	}
}

func TestTailEndsWithTheFunctionsError(t *testing.T) {
	t.Parallel()
	s := newShop(t, 1)
	s.writeRaw("k", "1")
	enough := errors.New("enough")
	err := Tail(t.Context(), s.cfg, []string{s.topic}, nil, true, func(Record) error { return enough })
	if !errors.Is(err, enough) {
		t.Errorf("got %v, want the function's error", err)
	}
}

func TestReadToEnd(t *testing.T) {
	t.Parallel()
	s := newShop(t, 3)
	for i := range 30 {
		s.writeRaw(fmt.Sprint("k", i), fmt.Sprint(i))
	}
	n := 0
	read := func(from Positions) Positions {
		t.Helper()
		n = 0
		next, err := ReadToEnd(t.Context(), s.cfg, []string{s.topic}, from, func(Record) error { n++; return nil })
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	next := read(nil)
	if n != 30 {
		t.Errorf("read %d, want 30", n)
	}
	if next = read(next); n != 0 {
		t.Errorf("read %d more, want none", n)
	}
	s.writeRaw("k", "more")
	if next = read(next); n != 1 {
		t.Errorf("read %d, want the one that came", n)
	}
	var total int64
	for _, at := range next[s.topic] {
		total += at
	}
	if total != 31 || len(next[s.topic]) != 3 {
		t.Errorf("positions %v, want 31 over 3 partitions", next)
	}
}

// The last offset may belong to a transaction's marker, which is no record.
func TestReadToEndBehindATransaction(t *testing.T) {
	t.Parallel()
	s := newShop(t, 1)
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.brokers...), kgo.TransactionalID(bustest.Unique("tx")))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: s.topic, Value: []byte("1")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := cl.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	bustest.Await(t, func() bool { // the marker is written a little later
		end, err := BeforeEnd(t.Context(), s.cfg, []string{s.topic}, 0)
		return err == nil && end[s.topic][0] == 2
	}, "the transaction's marker")
	ctx, cancel := context.WithTimeout(t.Context(), bustest.Patience)
	defer cancel()
	n := 0
	next, err := ReadToEnd(ctx, s.cfg, []string{s.topic}, nil, func(Record) error { n++; return nil })
	if err != nil || n != 1 || next[s.topic][0] != 2 {
		t.Errorf("read %d to %v: %v; want 1 record to offset 2", n, next, err)
	}
}

func TestBeforeEnd(t *testing.T) {
	t.Parallel()
	s := newShop(t, 1)
	for i := range 6 {
		s.writeRaw("k", fmt.Sprint(i))
	}
	s.truncate(2)
	for n, want := range map[int64]int64{0: 6, 3: 3, 4: 2, 100: 2} {
		at, err := BeforeEnd(t.Context(), s.cfg, []string{s.topic}, n)
		if err != nil {
			t.Fatal(err)
		}
		if at[s.topic][0] != want {
			t.Errorf("%d before the end: %d, want %d", n, at[s.topic][0], want)
		}
	}
}
