package events

import (
	"fmt"
	"strings"
)

// Money is an amount in minor units (cents, for EUR) of an ISO 4217 currency.
// It is never a float, in memory or on the wire.
type Money struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// Add returns m + n. Different currencies are a programming error and panic,
// unless one side is the zero Money.
func (m Money) Add(n Money) Money {
	switch {
	case m == Money{}:
		return n
	case n == Money{}:
		return m
	case m.Currency != n.Currency:
		panic("events: sum of " + m.Currency + " and " + n.Currency)
	}
	return Money{m.Amount + n.Amount, m.Currency}
}

// Neg returns -m.
func (m Money) Neg() Money { return Money{-m.Amount, m.Currency} }

// Sub returns m - n, under the conditions of Add.
func (m Money) Sub(n Money) Money { return m.Add(n.Neg()) }

// Mul returns n times m.
func (m Money) Mul(n int64) Money { return Money{m.Amount * n, m.Currency} }

// IsZero says that the amount is zero, in any currency.
func (m Money) IsZero() bool { return m.Amount == 0 }

// String formats m for people and logs: "19.99 EUR", "500 JPY".
func (m Money) String() string {
	digits := MinorDigits(m.Currency)
	sign, abs := "", m.Amount
	if abs < 0 {
		sign, abs = "-", -abs
	}
	s := fmt.Sprintf("%0*d", digits+1, abs)
	if digits > 0 {
		s = s[:len(s)-digits] + "." + s[len(s)-digits:]
	}
	return strings.TrimSpace(sign + s + " " + m.Currency)
}

// minorDigits lists the currencies whose minor unit is not a hundredth (ISO 4217).
var minorDigits = map[string]int{
	"BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0,
	"RWF": 0, "UGX": 0, "UYI": 0, "VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
	"BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
	"CLF": 4, "UYW": 4,
}

// MinorDigits is the number of decimals of a currency.
func MinorDigits(currency string) int {
	if d, ok := minorDigits[currency]; ok {
		return d
	}
	return 2
}
