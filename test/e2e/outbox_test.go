package e2e

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
)

// A write transaction left open in another database of the same server holds up no
// order.
func TestIdleTransactionElsewhere(t *testing.T) {
	s := start(t)
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, s.endpoints["postgres"])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	tx, err := conn.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(ctx, `CREATE TABLE left_open (x int)`); err != nil { // it has a transaction id now
		t.Fatal(err)
	}
	for range 3 {
		if got := s.ends(t, s.place(t, basket("tok_visa", "GB", line{"milk", 1}))); got != "completed" {
			t.Errorf("ends %s", got)
		}
	}
	if err := tx.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	s.holds(t)
}
