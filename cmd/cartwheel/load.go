package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/schollz/progressbar/v3"
)

type loadCmd struct {
	server

	File    string `type:"existingfile" placeholder:"FILE" help:"Replay purchases from a file; without it, synthetic shoppers."`
	Format  string `enum:"cdnow" default:"cdnow" help:"Format of the file: cdnow (customer, YYYYMMDD, pieces, dollars)."`
	From    int    `default:"1" placeholder:"N" help:"First purchase to send, counted from 1."`
	Count   int    `default:"0" placeholder:"M" help:"How many purchases to send; 0: all from there on."`
	SkipBad bool   `help:"Leave broken lines out and say how many, instead of sending nothing."`

	Rate     float64       `default:"2" placeholder:"R" help:"Synthetic orders per second."`
	Duration time.Duration `default:"30s" placeholder:"D" help:"How long synthetic shoppers shop."`

	InFlight    int           `default:"48" placeholder:"K" help:"Orders of a file that may be under way at once."`
	GiveUpAfter time.Duration `default:"30s" placeholder:"D" help:"How long a shop that has gone away may take to come back."`

	JSON bool `name:"json" help:"Print the outcome as JSON."`
}

// Help is shown by cartwheel load --help.
func (loadCmd) Help() string {
	return `Examples:
  cartwheel load --rate 5 --duration 1m
  cartwheel load --file data/cdnow-500.txt
  cartwheel load --file cdnow_master.txt --from 20001 --count 5000 --json`
}

// Run sends the orders and waits until each has ended.
func (c *loadCmd) Run(ctx context.Context) error {
	if c.File == "" && (c.From != 1 || c.Count != 0 || c.SkipBad) {
		return errors.New("--from, --count and --skip-bad are about the purchases of a file: name it with --file")
	}
	if c.InFlight < 1 {
		return fmt.Errorf("--in-flight must be at least 1, not %d", c.InFlight)
	}
	if c.GiveUpAfter < 0 {
		return fmt.Errorf("--give-up-after must not be negative, not %s", c.GiveUpAfter)
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	client.patience = c.GiveUpAfter
	var requests []request
	skipped := 0
	if c.File != "" {
		purchases, bad, err := readCDNOW(c.File, c.From, c.Count)
		if err != nil {
			return err
		}
		if len(bad) > 0 && !c.SkipBad {
			return fmt.Errorf("%w; nothing was sent: mend the file, or leave such lines out with --skip-bad (%d in all)", bad[0], len(bad))
		}
		skipped = len(bad)
		for _, p := range purchases {
			requests = append(requests, p.request())
		}
		if len(requests) == 0 {
			return fmt.Errorf("there is nothing to send: %s has no purchase in this range", c.File)
		}
	} else if requests, err = c.shoppers(ctx, client); err != nil {
		return err
	}

	bar := progress(len(requests), "orders", c.JSON)
	pace := time.Duration(0)
	if c.File == "" {
		pace = time.Duration(float64(time.Second) / c.Rate)
	}
	out, err := send(ctx, client, requests, pace, c.InFlight, func() { _ = bar.Add(1) })
	_ = bar.Finish()
	out.Skipped = skipped
	if c.JSON {
		err = errors.Join(err, printJSON(out))
	} else {
		out.print()
	}
	if err == nil && out.Failed > 0 {
		return fmt.Errorf("%d orders were not accepted; the first: %s", out.Failed, out.FirstError)
	}
	return err
}

// request is an order to send.
type request struct {
	path string
	key  string
	body any
}

// outcome is what became of a load.
type outcome struct {
	Sent       int            `json:"sent"`
	Replayed   int            `json:"replayed"` // were there already
	Failed     int            `json:"failed"`
	FirstError string         `json:"first_error,omitempty"`
	Skipped    int            `json:"skipped_lines"`
	Unknown    int            `json:"unknown"` // accepted, but nobody heard how they ended
	Statuses   map[string]int `json:"statuses"`
	Seconds    float64        `json:"seconds"`
	PerSecond  float64        `json:"orders_per_second"`
	P50        float64        `json:"p50_seconds"` // from POST to the end of the order
	P99        float64        `json:"p99_seconds"`
}

func (o outcome) print() {
	fmt.Printf("sent %d orders in %.1f s: %.1f orders/s", o.Sent, o.Seconds, o.PerSecond)
	if o.P99 > 0 {
		fmt.Printf("; from POST to the end p50 %.2f s, p99 %.2f s", o.P50, o.P99)
	}
	fmt.Println()
	for _, s := range []string{"completed", "rejected", "cancelled", "awaiting_approval", "pending", "confirmed", "shipped"} {
		if n := o.Statuses[s]; n > 0 {
			fmt.Printf("  %-18s %d\n", s, n)
		}
	}
	if o.Unknown > 0 {
		fmt.Printf("  %-18s %d\n", "unknown", o.Unknown)
	}
	if o.Replayed > 0 {
		fmt.Printf("  %d were there already\n", o.Replayed)
	}
	if o.Skipped > 0 {
		fmt.Printf("  %d broken lines were left out\n", o.Skipped)
	}
}

// send sends requests, at a pace or with a number under way at once, and waits
// until every accepted order has ended or waits for a person. It gives up on a
// shop that is gone.
func send(ctx context.Context, c *client, requests []request, pace time.Duration, inFlight int, done func()) (outcome, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	watch, err := watchOrders(ctx, c)
	if err != nil {
		return outcome{}, err
	}
	defer watch.close()
	out := outcome{Statuses: map[string]int{}}
	var mu sync.Mutex
	var took []float64
	var lost error
	giveUp := func(err error) { // with mu held
		if c.gone(err) {
			lost = fmt.Errorf("given up: the shop at %s has not answered for %s: is it running?", c.base, c.patience)
			stop()
		}
	}
	slots := make(chan struct{}, max(inFlight, 1))
	var wg sync.WaitGroup
	started := time.Now()
	for i, r := range requests {
		if pace > 0 {
			if !sleepUntil(ctx, started.Add(time.Duration(i)*pace)) {
				break
			}
		} else {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer done()
			if pace == 0 {
				defer func() { <-slots }()
			}
			posted := time.Now()
			id, replayed, err := place(ctx, c, r)
			mu.Lock()
			out.Sent++
			switch {
			case err != nil:
				out.Failed++
				if out.FirstError == "" {
					out.FirstError = err.Error()
				}
			case replayed:
				out.Replayed++
			}
			giveUp(err)
			mu.Unlock()
			if err != nil {
				return
			}
			status, err := watch.ended(ctx, id, replayed)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				out.Unknown++
				giveUp(err)
				return
			}
			out.Statuses[status]++
			if !replayed {
				took = append(took, time.Since(posted).Seconds())
			}
		})
	}
	wg.Wait()
	out.Seconds = time.Since(started).Seconds()
	out.PerSecond = float64(out.Sent-out.Failed) / out.Seconds
	if len(took) > 0 {
		slices.Sort(took)
		out.P50, out.P99 = took[len(took)/2], took[min(len(took)-1, len(took)*99/100)]
	}
	return out, cmp.Or(lost, ctx.Err())
}

// place sends one order until the shop has answered it. What the shop asks to
// send again, it sends again under the same key.
func place(ctx context.Context, c *client, r request) (id string, replayed bool, err error) {
	for {
		var receipt struct {
			OrderID string `json:"order_id"`
			Status  string `json:"status"`
		}
		before := time.Now()
		header, err := c.exchange(ctx, http.MethodPost, r.path, r.body, &receipt, "Idempotency-Key", r.key)
		var p *problem
		if errors.As(err, &p) && (p.Status == http.StatusServiceUnavailable || p.Code == "idempotency_key_in_flight") {
			if sleepUntil(ctx, before.Add(time.Second)) {
				continue
			}
		}
		if err != nil {
			return "", false, err
		}
		return receipt.OrderID, header.Get("Idempotent-Replayed") == "true", nil
	}
}

func sleepUntil(ctx context.Context, at time.Time) bool {
	t := time.NewTimer(time.Until(at))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// mostShoppers is how many orders are made up in one go; they are made before the
// first is sent.
const mostShoppers = 1_000_000

// shoppers makes up storefront orders from the catalogue.
func (c *loadCmd) shoppers(ctx context.Context, client *client) ([]request, error) {
	if !(c.Rate > 0 && c.Rate <= 1000) { // NaN is neither
		return nil, fmt.Errorf("--rate must be above 0 and at most 1000, not %g", c.Rate)
	}
	orders := c.Rate * c.Duration.Seconds()
	if orders < 1 || orders > mostShoppers {
		return nil, fmt.Errorf("--rate times --duration must make 1 to %d orders, not %g", mostShoppers, orders)
	}
	var catalogue struct {
		Items []struct {
			SKU       string `json:"sku"`
			Available int64  `json:"available"`
		} `json:"items"`
	}
	if err := client.do(ctx, http.MethodGet, "/api/products?limit=200", nil, &catalogue); err != nil {
		return nil, err
	}
	var skus []string
	for _, p := range catalogue.Items {
		if p.Available > 100 {
			skus = append(skus, p.SKU)
		}
	}
	if len(skus) == 0 {
		return nil, errors.New("nothing in the catalogue is left to order")
	}
	tokens := []string{"tok_visa", "tok_visa", "tok_visa", "tok_visa", "tok_visa", "tok_visa", "tok_visa", "tok_declined", "tok_slow", "tok_timeout_once"}
	requests := make([]request, int(orders))
	for i := range requests {
		var lines []map[string]any
		for _, at := range rand.Perm(len(skus))[:1+rand.IntN(min(3, len(skus)))] {
			lines = append(lines, map[string]any{"sku": skus[at], "quantity": 1 + rand.IntN(3)})
		}
		n := strconv.Itoa(rand.IntN(10_000))
		requests[i] = request{path: "/api/orders", key: uuid.NewString(), body: map[string]any{
			"customer": map[string]any{"name": "Shopper " + n, "email": "shopper-" + n + "@example.com",
				"address": map[string]any{"line1": n + " Mill Lane", "city": "London", "postcode": "N1 9GU", "country": "GB"}},
			"lines": lines, "payment_token": tokens[rand.IntN(len(tokens))],
		}}
	}
	return requests, nil
}

// progress is a bar on the terminal, or nothing for scripts.
func progress(n int, what string, quiet bool) *progressbar.ProgressBar {
	if quiet {
		return progressbar.DefaultSilent(int64(n))
	}
	return progressbar.NewOptions(n,
		progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetDescription(what), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
		progressbar.OptionSetItsString(what), progressbar.OptionThrottle(200*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionSetWidth(30))
}
