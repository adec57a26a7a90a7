package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cartwheel-shop/cartwheel/pkg/fault"
)

// The program is killed at each failpoint, in front of and behind every effect,
// while orders are in flight, and started again on the same directory. It passes
// all of them, every order that was accepted reaches its end, and every invariant
// holds.
func TestKillAtEveryFailpoint(t *testing.T) {
	if os.Getenv("SHOP_ENDPOINTS") != "" {
		t.Skip("a shop that others use is not killed")
	}
	s := start(t)
	s.stop()
	var ids []string
	for _, point := range fault.Catalogue() {
		t.Run(string(point.Name), func(t *testing.T) {
			ids = append(ids, s.orderUntilKilled(t, point.Name)...)
		})
	}
	s.launch(t)
	s.awaitReady(t)
	if len(ids) == 0 {
		t.Error("no order was accepted")
	}
	// An order that was hit by several crashes waits longer and longer for its turn:
	// the saga engine gives those that fail again and again a pause.
	within(t, 10*time.Minute, "all orders to end", func() bool {
		ids = slices.DeleteFunc(ids, func(id string) bool {
			st := s.status(t, id)
			if st == "cancelled" || st == "rejected" {
				t.Errorf("%s ends %s", id, st)
			}
			return st != "pending" && st != "confirmed" && st != "shipped"
		})
		return len(ids) == 0
	})
	s.holds(t)
}

// orderUntilKilled runs the shop with a point at which it is killed, and places
// orders until it is. It returns those that were accepted.
func (s *shop) orderUntilKilled(t *testing.T, point fault.Point) (ids []string) {
	t.Helper()
	plain := s.env
	s.env = append(plain[:len(plain):len(plain)], "FAULTS="+string(point)+"=kill from=3")
	defer func() { s.env = plain }()
	s.spawn(t)
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(2 * time.Minute); ; {
		select {
		case <-s.ended:
			if status, ok := s.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
				t.Fatalf("the shop was not killed, but ended by %v:\n%s", s.cmd.ProcessState, s.out)
			}
			return ids
		case <-deadline:
			s.kill()
			t.Fatalf("%s was not reached: %d orders were placed", point, len(ids))
		case <-tick.C:
		}
		raw, err := os.ReadFile(filepath.Join(s.dir, "endpoints.json"))
		if err != nil || json.Unmarshal(raw, &s.endpoints) != nil {
			continue // not up yet
		}
		if strings.HasPrefix(string(point), "dead_letter.") {
			s.poison()
		}
		// What has no answer may have been accepted or not; the invariants know.
		a, err := s.try(http.MethodPost, "/api/orders", basket("tok_visa", "GB", line{"milk", 1}), "Idempotency-Key", uuid.NewString())
		if err == nil && a.status == http.StatusAccepted {
			ids = append(ids, a.body["order_id"].(string))
		}
	}
}

// poison writes what no consumer can read. It does not matter whether it arrives.
func (s *shop) poison() {
	c, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(s.endpoints["kafka"], ",")...))
	if err != nil {
		return
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.ProduceSync(ctx, &kgo.Record{Topic: "orders", Key: []byte("ord_x"), Value: []byte("no JSON")})
}
