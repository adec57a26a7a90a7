package events

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// upcasters lift the body of an event by one version. The key is the full type
// that is read.
var upcasters = map[string]func(json.RawMessage) (json.RawMessage, error){
	"order.created.v1": orderCreatedV1toV2,
}

// upcast lifts data from one version of name to another.
func upcast(name string, from, to int, data json.RawMessage) (json.RawMessage, error) {
	for v := from; v < to; v++ {
		t := name + ".v" + strconv.Itoa(v)
		lift, ok := upcasters[t]
		if !ok {
			return nil, fmt.Errorf("%w: %s cannot be lifted to v%d", ErrUndecodable, t, v+1)
		}
		var err error
		if data, err = lift(data); err != nil {
			return nil, fmt.Errorf("%w: lift %s: %w", ErrUndecodable, t, err)
		}
	}
	return data, nil
}

// orderCreatedV1toV2 turns decimal amounts into minor units.
func orderCreatedV1toV2(data json.RawMessage) (json.RawMessage, error) {
	var v1 OrderCreatedV1
	if err := json.Unmarshal(data, &v1); err != nil {
		return nil, err
	}
	total, err := ParseDecimal(v1.Total, v1.Currency)
	if err != nil {
		return nil, fmt.Errorf("total: %w", err)
	}
	v2 := OrderCreated{
		OrderID: v1.OrderID, CustomerID: v1.CustomerID, Channel: v1.Channel,
		OrderedAt: v1.OrderedAt, Total: total, Lines: make([]Line, len(v1.Lines)),
	}
	if v2.Channel == "" {
		v2.Channel = "web" // v1 knew no other
	}
	for i, l := range v1.Lines {
		sum, err := ParseDecimal(l.Total, v1.Currency)
		if err != nil {
			return nil, fmt.Errorf("line %d: total: %w", i, err)
		}
		v2.Lines[i] = Line{SKU: l.SKU, Quantity: l.Quantity, Total: sum}
	}
	return json.Marshal(v2)
}

// ParseDecimal reads an amount like "19.99" exactly. More decimals than the
// currency has are an error, fewer are not.
func ParseDecimal(s, currency string) (Money, error) {
	digits := MinorDigits(currency)
	whole, frac, _ := strings.Cut(s, ".")
	if len(frac) > digits {
		return Money{}, fmt.Errorf("%q has more than the %d decimals of %s", s, digits, currency)
	}
	n, err := strconv.ParseInt(whole+frac+strings.Repeat("0", digits-len(frac)), 10, 64)
	if err != nil || whole == "" || n == math.MinInt64 {
		return Money{}, fmt.Errorf("%q is not a decimal amount", s)
	}
	return Money{Amount: n, Currency: currency}, nil
}
