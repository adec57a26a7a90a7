package inbox_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/cartwheel-shop/cartwheel/pkg/inbox"
	"github.com/cartwheel-shop/cartwheel/pkg/postgres/postgrestest"
)

func at(offset int64) inbox.Place { return inbox.Place{Topic: "orders", Offset: offset} }

// A line has the order in which messages joined, whoever joins again keeps its
// place, and it ends with the last that leaves.
func TestALineKeepsItsOrder(t *testing.T) {
	pool := postgrestest.Open(t, inbox.Migrations)
	l := inbox.Line{Consumer: "mails", Key: []byte("ord_1\xff")}
	other := inbox.Line{Consumer: "sales", Key: l.Key}
	in := func(fn func(pgx.Tx) error) {
		t.Helper()
		if err := pgx.BeginFunc(t.Context(), pool, fn); err != nil {
			t.Fatal(err)
		}
	}
	for _, offset := range []int64{5, 3, 9, 3} {
		in(func(tx pgx.Tx) error {
			return l.Join(t.Context(), tx, inbox.Waiting{Place: at(offset), Record: fmt.Append(nil, offset), Refused: fmt.Sprint("no ", offset)})
		})
	}
	var got []int64
	for range 4 {
		in(func(tx pgx.Tx) error {
			if _, ok, err := other.Head(t.Context(), tx); ok || err != nil {
				t.Errorf("another consumer's line: %v, %v", ok, err)
			}
			w, ok, err := l.Head(t.Context(), tx)
			if err != nil || !ok {
				return err
			}
			if string(w.Record) != fmt.Sprint(w.Offset) || w.Refused != fmt.Sprint("no ", w.Offset) {
				t.Errorf("got %+v", w)
			}
			got = append(got, w.Offset)
			return l.Leave(t.Context(), tx, w)
		})
	}
	if fmt.Sprint(got) != "[5 3 9]" {
		t.Errorf("order %v, want 5, 3, 9", got)
	}
}

// Transactions that join and leave at the same time lose nobody.
func TestALineThatEndsWhileOthersJoin(t *testing.T) {
	pool := postgrestest.Open(t, inbox.Migrations)
	l := inbox.Line{Consumer: "mails", Key: []byte("k")}
	const each, joiners = 30, 3
	var wg sync.WaitGroup
	for j := range joiners {
		wg.Go(func() {
			for i := range each {
				err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
					return l.Join(t.Context(), tx, inbox.Waiting{Place: at(int64(j*each + i)), Record: []byte("1")})
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	left := map[int64]bool{}
	for len(left) < each*joiners && !t.Failed() {
		err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
			w, ok, err := l.Head(t.Context(), tx)
			if err != nil || !ok {
				return err
			}
			if left[w.Offset] {
				t.Errorf("%d left twice", w.Offset)
			}
			left[w.Offset] = true
			return l.Leave(t.Context(), tx, w)
		})
		if err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
}
