// Command outbox is a service of its own, apart from the shop. It takes down how
// many pieces of a product are left, a line each, and publishes what runs low; of
// each such fact it reads it buys ten. Count and fact are one transaction, and so are
// fact and purchase, so neither is lost or done twice, whatever is killed.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"strings"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/inbox"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
	"github.com/cartwheel-shop/cartwheel/pkg/postgres"
)

func main() { log.Fatal(run(context.Background(), slog.Default())) }

func run(ctx context.Context, log *slog.Logger) error {
	cfg := bus.Config{Brokers: strings.Split(os.Getenv("KAFKA_BROKERS"), ","), Service: "stocktaking", Log: log}
	pool, err := postgres.Open(ctx, os.Getenv("POSTGRES_URL"), "stocktaking", log, 8, outbox.Migrations, inbox.Migrations)
	if err != nil {
		return err
	}
	_, err = pool.Exec(ctx, `CREATE TABLE IF NOT EXISTS stock (sku text PRIMARY KEY, pieces bigint, to_buy bigint DEFAULT 0)`)
	pub, err2 := bus.NewPublisher(cfg)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	db := outbox.Open(pool, "stocktaking")
	go outbox.NewRelay(db, pub, log).Run(ctx)
	go bus.Run(ctx, cfg, []bus.Consumer{bus.Once("buyer", db, bus.OnTx(buy))})
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if err := count(ctx, db, lines.Text()); err != nil {
			return fmt.Errorf("%q: %w", lines.Text(), err)
		}
	}
	select {}
}

// count takes down a line like "milk 3".
func count(ctx context.Context, db *outbox.DB, line string) error {
	low := events.InventoryStockLow{Threshold: 5}
	if _, err := fmt.Sscan(line, &low.SKU, &low.OnHand); err != nil {
		return err
	}
	return db.Tx(ctx, func(tx outbox.Tx) error {
		if low.OnHand < low.Threshold {
			tx.Publish(low)
		}
		_, err := tx.Exec(ctx, `INSERT INTO stock VALUES ($1, $2) ON CONFLICT (sku) DO UPDATE SET pieces = $2`, low.SKU, low.OnHand)
		return err
	})
}

func buy(ctx context.Context, tx outbox.Tx, e events.Of[events.InventoryStockLow]) error {
	_, err := tx.Exec(ctx, `UPDATE stock SET to_buy = to_buy + 10 WHERE sku = $1`, e.Data.SKU)
	return err
}
