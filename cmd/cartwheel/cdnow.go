package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
)

// purchase is a line of the CDNOW data set.
type purchase struct {
	number   int // from 1, over the whole file
	customer string
	day      time.Time
	pieces   int64
	total    events.Money
}

// badLine is a line that is not a purchase.
type badLine struct {
	file string
	line int
	want string
}

func (b *badLine) Error() string { return fmt.Sprintf("%s, line %d: %s", b.file, b.line, b.want) }

// readCDNOW reads count purchases (0: all) from the from-th on. A first line of
// column names, empty lines and comments are passed over. A broken line counts as a purchase, so that the
// numbers of the others do not depend on it.
func readCDNOW(file string, from, count int) (purchases []purchase, bad []error, err error) {
	if from < 1 || count < 0 {
		return nil, nil, fmt.Errorf("--from counts from 1 and --count is not negative: %d and %d are not", from, count)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	scan := bufio.NewScanner(f)
	number, line := 0, 1
	for ; scan.Scan(); line++ {
		text := strings.TrimRight(scan.Text(), "\r")
		if line == 1 && strings.Contains(text, "customer_id") || strings.HasPrefix(text, "#") || strings.TrimSpace(text) == "" {
			continue
		}
		number++
		if !inRange(number, from, count) {
			continue
		}
		p, want := parsePurchase(text)
		if want != "" {
			bad = append(bad, &badLine{file, line, want})
			continue
		}
		p.number = number
		purchases = append(purchases, p)
	}
	if err := scan.Err(); err != nil {
		return nil, nil, fmt.Errorf("%s, line %d: cannot be read; expected 4 fields: customer, date as YYYYMMDD, pieces, dollars (%w)", file, line, err)
	}
	return purchases, bad, nil
}

func inRange(number, from, count int) bool {
	return number >= from && (count == 0 || number < from+count)
}

// mostCents is the largest total that a channel order may have.
const mostCents = 100_000_000_000

// parsePurchase reads "customer YYYYMMDD pieces dollars"; want says what was
// expected instead of what is there.
func parsePurchase(text string) (p purchase, want string) {
	fields := strings.Fields(text)
	if len(fields) != 4 {
		return p, fmt.Sprintf("has %d fields; expected 4: customer, date as YYYYMMDD, pieces, dollars", len(fields))
	}
	if _, err := strconv.ParseUint(fields[0], 10, 64); err != nil {
		return p, fmt.Sprintf("customer %q is not a number", fields[0])
	}
	day, err := time.Parse("20060102", fields[1])
	if err != nil || day.Year() < 1900 || day.After(time.Now()) {
		return p, fmt.Sprintf("date %q is not a day of the past as YYYYMMDD", fields[1])
	}
	pieces, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil || pieces < 1 || pieces > 10_000 {
		return p, fmt.Sprintf("pieces %q is not a whole number from 1 to 10000", fields[2])
	}
	total, err := events.ParseDecimal(fields[3], "USD")
	if err != nil || total.Amount < 0 || strings.HasPrefix(fields[3], "+") {
		return p, fmt.Sprintf("dollars %q is not an amount like 11.77", fields[3])
	}
	if total.Amount > mostCents {
		return p, fmt.Sprintf("dollars %q is above 1000000000.00", fields[3])
	}
	return purchase{customer: fields[0], day: day, pieces: pieces, total: total}, ""
}

// request is the purchase as an order of the channel "cdnow".
func (p purchase) request() request {
	return request{path: "/api/channel-orders", key: strconv.Itoa(p.number), body: map[string]any{
		"channel": "cdnow", "external_id": strconv.Itoa(p.number), "ordered_at": p.day.Format(time.RFC3339),
		"customer":      map[string]any{"name": "Customer " + p.customer, "email": p.customer + "@cdnow.example"},
		"lines":         []map[string]any{{"sku": "cd", "quantity": p.pieces, "total": p.total}},
		"payment_token": "tok_visa",
	}}
}
