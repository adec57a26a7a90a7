package stacktest_test

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.temporal.io/sdk/client"

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

func TestTheSharedTemporalServes(t *testing.T) {
	first, second := stacktest.Temporal(t), stacktest.Temporal(t)
	if first != second {
		t.Fatalf("two servers, %s and %s", first, second)
	}
	c, err := client.Dial(client.Options{HostPort: first, Namespace: "cartwheel"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{TaskQueue: t.Name()}, "any"); err != nil {
		t.Fatal(err)
	}
}

func TestPartsOfATestsOwn(t *testing.T) {
	smtp, inbox := stacktest.SMTP(t)
	for name, addr := range map[string]string{
		"kafka": stacktest.Kafka(t)[0],
		"nats":  strings.TrimPrefix(stacktest.NATS(t), "nats://"),
		"redis": stacktest.Redis(t),
		"smtp":  smtp,
		"inbox": strings.TrimPrefix(inbox, "http://"),
	} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		conn.Close()
	}
}
