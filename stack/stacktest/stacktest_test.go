package stacktest_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/cartwheel-shop/cartwheel/stack/stacktest"
)

func TestEachTestHasItsOwnDatabase(t *testing.T) {
	first, second := stacktest.Postgres(t), stacktest.Postgres(t)
	if first == second {
		t.Fatal("two tests share a database")
	}
	for _, url := range []string{first, second} {
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		// Fails on a database that is not fresh.
		if _, err := conn.Exec(t.Context(), "CREATE TABLE mine ()"); err != nil {
			t.Error(err)
		}
		if err := conn.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
}
