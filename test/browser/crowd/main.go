// Command crowd fills a running shop with orders and changes them, faster than a
// saga would: for the tests of pages that show many. It writes as the order service
// does, orders and facts in one transaction, and the shop's relay sends the facts.
//
//	go run ./test/browser/crowd -postgres URL -orders 10000
//	go run ./test/browser/crowd -postgres URL -changes 200 -for 30s
//
// The shop's saga engine has to be away, or sagas would change the orders as well.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/url"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
	"github.com/cartwheel-shop/cartwheel/pkg/saga"
	"github.com/cartwheel-shop/cartwheel/services/order"
)

func main() {
	postgres := flag.String("postgres", "", "URL of the shop's Postgres, as in its endpoints.json")
	orders := flag.Int("orders", 0, "place so many, in all statuses")
	changes := flag.Int("changes", 0, "change so many a second")
	during := flag.Duration("for", 10*time.Second, "how long")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *postgres, *orders, *changes, *during); err != nil {
		log.Fatal(err)
	}
}

// workers write at a time, each its own orders, so that those of one stay in order.
const workers = 4

func run(ctx context.Context, postgres string, orders, changes int, during time.Duration) error {
	address, err := url.Parse(postgres)
	if err != nil {
		return err
	}
	pool, err := pgxpool.New(ctx, address.JoinPath("..", "order").String())
	if err != nil {
		return err
	}
	defer pool.Close()
	c := &crowd{store: order.NewStore(outbox.Open(pool, "order"), time.Now), run: time.Now().UnixNano()}
	began := time.Now()
	if orders > 0 {
		err = c.each(func(worker int) error { return c.fill(ctx, worker, orders/workers) })
	}
	if changes > 0 && err == nil {
		err = c.each(func(worker int) error { return c.change(ctx, worker, changes/workers, during) })
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"changes": c.changes.Load(), "seconds": time.Since(began).Seconds()})
}

type crowd struct {
	store   *order.Store
	run     int64
	placed  atomic.Int64
	changes atomic.Int64
}

func (c *crowd) each(fn func(worker int) error) error {
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() { errs[worker] = fn(worker) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// ways are how orders go, each as often as it stands here.
var ways = [][]order.Status{
	{order.Confirmed, order.Shipped, order.Completed},
	{order.Confirmed, order.Shipped, order.Completed},
	{order.Confirmed, order.Shipped},
	{order.Confirmed},
	{order.Cancelled},
	{order.AwaitingApproval},
	{order.AwaitingApproval, order.Rejected},
	{order.Rejected},
	{},
}

// fill places orders, and takes each as far as its way goes.
func (c *crowd) fill(ctx context.Context, worker, n int) error {
	for i := range n {
		id, err := c.place(ctx, worker)
		if err != nil {
			return err
		}
		for _, to := range ways[i%len(ways)] {
			if err := c.record(ctx, id, to); err != nil {
				return err
			}
		}
	}
	return nil
}

// change places orders and takes them to their ends, a step of one of them at a
// time, evenly.
func (c *crowd) change(ctx context.Context, worker, perSecond int, during time.Duration) error {
	type going struct {
		id   string
		left []order.Status
	}
	var open []going
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	for range int(during.Seconds() * float64(perSecond)) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if len(open) < 25 {
			id, err := c.place(ctx, worker)
			if err != nil {
				return err
			}
			open = append(open, going{id, ways[0]})
			continue
		}
		next := open[0]
		if err := c.record(ctx, next.id, next.left[0]); err != nil {
			return err
		}
		if open = open[1:]; len(next.left) > 1 {
			open = append(open, going{next.id, next.left[1:]})
		}
	}
	return nil
}

func (c *crowd) place(ctx context.Context, worker int) (string, error) {
	n := c.placed.Add(1)
	now := time.Now().UTC()
	price := events.Money{Amount: 100 * (n%97 + 1), Currency: "EUR"}
	o := order.Order{
		ID: events.NewID("ord"), Channel: "crowd", ExternalID: fmt.Sprintf("%d-%d", c.run, n), Status: order.Pending,
		Customer: order.Customer{ID: events.NewID("cus"), Name: fmt.Sprintf("Shopper %d", n), Email: fmt.Sprintf("shopper-%d@crowd.example", worker)},
		Lines:    []events.Line{{SKU: "cd", Quantity: 1, Total: price}},
		Total:    price, PaymentToken: "tok_visa",
		OrderedAt: now, CreatedAt: now, UpdatedAt: now, Deadline: now.Add(time.Hour),
	}
	c.changes.Add(1)
	_, err := c.store.Place(ctx, order.Placing{Order: o, Key: o.ExternalID, BodyHash: []byte(o.ExternalID), RequestID: "crowd"})
	return o.ID, err
}

func (c *crowd) record(ctx context.Context, id string, to order.Status) error {
	c.changes.Add(1)
	t := order.Transition{OrderID: id, To: to, ApprovalDeadline: time.Now().Add(time.Hour).UTC()}
	if to == order.Cancelled || to == order.Rejected {
		t.Code, t.Reason = "crowd", "the crowd has moved on"
	}
	return c.store.Record(ctx, order.Recording{Transition: t, Steps: []saga.Progress{}})
}
