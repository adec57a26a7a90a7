package order

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/httpapi"
	"github.com/cartwheel-shop/cartwheel/pkg/questions"
)

// placeRequest is the body of POST /api/orders.
type placeRequest struct {
	Customer     customerRequest `json:"customer"`
	Lines        []lineRequest   `json:"lines" nullable:"false" minItems:"1" maxItems:"100"`
	PaymentToken string          `json:"payment_token" minLength:"1" maxLength:"100" example:"tok_visa"`
}

type customerRequest struct {
	Name    string  `json:"name" pattern:"\\S" patternDescription:"a name" maxLength:"200" example:"Ada Byron"`
	Email   string  `json:"email" maxLength:"254" format:"email" example:"ada@example.com"`
	Address Address `json:"address"`
}

type lineRequest struct {
	SKU      string `json:"sku" minLength:"1" maxLength:"64"`
	Quantity int64  `json:"quantity" minimum:"1" maximum:"10000"`
}

// channelRequest is the body of POST /api/channel-orders.
type channelRequest struct {
	Channel      string                 `json:"channel" pattern:"^[a-z][a-z0-9-]{0,39}$" doc:"the marketplace; not web"`
	ExternalID   string                 `json:"external_id" minLength:"1" maxLength:"200" doc:"the marketplace's own number; with channel it is the idempotency key"`
	OrderedAt    time.Time              `json:"ordered_at"`
	Customer     channelCustomerRequest `json:"customer"`
	Lines        []channelLineRequest   `json:"lines" nullable:"false" minItems:"1" maxItems:"100"`
	PaymentToken string                 `json:"payment_token" minLength:"1" maxLength:"100"`
}

type channelCustomerRequest struct {
	Name    string   `json:"name" pattern:"\\S" patternDescription:"a name" maxLength:"200"`
	Email   string   `json:"email" maxLength:"254" format:"email"`
	Address *Address `json:"address,omitempty"`
}

type channelLineRequest struct {
	SKU      string       `json:"sku" minLength:"1" maxLength:"64"`
	Quantity int64        `json:"quantity" minimum:"1" maximum:"10000"`
	Total    moneyRequest `json:"total" doc:"for the whole quantity"`
}

type moneyRequest struct {
	Amount   int64  `json:"amount" minimum:"0" maximum:"100000000000"`
	Currency string `json:"currency" pattern:"^[A-Z]{3}$" example:"EUR"`
}

// basket is what both kinds of orders ask of the stock.
type basket struct {
	skus       []string
	quantities []int64
}

// check returns what is wrong with the lines beyond their schema, and the
// products by SKU. The fields it names are joined with the schema's, so that one
// answer names all.
func (s *Service) check(ctx context.Context, b basket, listedOnly bool) (map[string]questions.StockItem, []httpapi.FieldError, error) {
	var fields []httpapi.FieldError
	var ask []string
	for i, sku := range b.skus {
		if slices.Contains(b.skus[:i], sku) {
			fields = append(fields, httpapi.FieldError{Pointer: fmt.Sprintf("/lines/%d/sku", i), Detail: "stands in an earlier line already: add up the quantities"})
		} else if sku != "" && !strings.Contains(sku, "\x00") {
			ask = append(ask, sku)
		}
	}
	if len(ask) == 0 || len(ask) > 100 {
		return nil, fields, nil
	}
	answer, err := questions.Ask(ctx, s.nats, questions.StockGet, questions.StockRequest{SKUs: ask})
	if err != nil {
		s.log.WarnContext(ctx, "basket not checked", "error", err)
		return nil, fields, httpapi.Problem(http.StatusServiceUnavailable, "stock_unavailable",
			"the stock cannot be asked at the moment; send the same request again").RetryAfter(time.Second)
	}
	stock := map[string]questions.StockItem{}
	for _, item := range answer.Items {
		if item.Listed || !listedOnly {
			stock[item.SKU] = item
		}
	}
	for i, sku := range b.skus {
		if _, ok := stock[sku]; !ok && sku != "" {
			fields = append(fields, httpapi.FieldError{Pointer: fmt.Sprintf("/lines/%d/sku", i), Detail: "is not a product of this shop"})
		}
	}
	return stock, fields, nil
}

// missing is the problem of a basket that clearly cannot be filled. The
// reservation in the saga is the truth; this only spares the customer the wait.
func missing(b basket, stock map[string]questions.StockItem) error {
	for i, sku := range b.skus {
		if have := stock[sku].Available; have < b.quantities[i] {
			return httpapi.Problem(http.StatusConflict, "out_of_stock",
				fmt.Sprintf("%d of %s were ordered and %d are left: order fewer or leave it out", b.quantities[i], sku, have),
				httpapi.FieldError{Pointer: fmt.Sprintf("/lines/%d/quantity", i), Detail: fmt.Sprintf("only %d are left", have)})
		}
	}
	return nil
}

// checkPerson returns what is wrong with the name, the e-mail address, the postal
// address and the token beyond the schema.
func (s *Service) checkPerson(name, email string, to Address, token string) []httpapi.FieldError {
	var fields []httpapi.FieldError
	for _, f := range []struct{ pointer, text string }{
		{"/customer/name", name}, {"/customer/address/line1", to.Line1}, {"/customer/address/city", to.City}, {"/customer/address/postcode", to.Postcode},
	} {
		if f.text != "" && isBlank(f.text) {
			fields = append(fields, httpapi.FieldError{Pointer: f.pointer, Detail: "has no character that can be seen"})
		}
	}
	if email != "" && !isEmail(email) {
		fields = append(fields, httpapi.FieldError{Pointer: "/customer/email", Detail: "is not an e-mail address"})
	}
	if to.Country != "" && !isCountry(to.Country) {
		fields = append(fields, httpapi.FieldError{Pointer: "/customer/address/country", Detail: "is not the code of a country: ISO 3166-1 has two capital letters for each, like GB"})
	}
	if token != "" && len(s.cfg.PaymentTokens) > 0 && !slices.Contains(s.cfg.PaymentTokens, token) {
		fields = append(fields, httpapi.FieldError{Pointer: "/payment_token", Detail: "is not a payment token of this shop"})
	}
	return fields
}

// domain is a name in the DNS below a top-level domain, in letters of any script.
var domain = regexp.MustCompile(`^([\pL\pN]([\pL\pM\pN-]*[\pL\pM\pN])?\.)+[\pL\pN][\pL\pM\pN-]*[\pL\pM\pN]$`)

// isEmail says whether s is a bare address that a mail can be sent to through the
// net: RFC 5322 takes display names, hosts of one's own and what nobody can see.
func isEmail(s string) bool {
	a, err := mail.ParseAddress(s)
	visible := !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) })
	return err == nil && a.Address == s && visible && domain.MatchString(s[strings.LastIndexByte(s, '@')+1:])
}

// isBlank says whether nobody can see s: it has nothing but white space, controls,
// marks without a letter, and what is there to steer or to fill. The schema's \S
// knows the white space of ASCII only.
func isBlank(s string) bool {
	const braille = '\u2800' // the pattern without dots; Unicode calls it a symbol
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r != braille && !unicode.In(r, unicode.Z, unicode.Cc, unicode.Cf, unicode.M, unicode.Other_Default_Ignorable_Code_Point)
	})
}

// merge joins the findings of the schema with ours, one for each field.
func merge(found, more []httpapi.FieldError) []httpapi.FieldError {
	for _, f := range more {
		if !slices.ContainsFunc(found, func(g httpapi.FieldError) bool { return g.Pointer == f.Pointer }) {
			found = append(found, f)
		}
	}
	return found
}

// order prices a storefront basket.
func (r placeRequest) order(stock map[string]questions.StockItem) Order {
	o := Order{Channel: Web, PaymentToken: r.PaymentToken,
		Customer: Customer{Name: r.Customer.Name, Email: r.Customer.Email, Address: r.Customer.Address}}
	for _, l := range r.Lines {
		sum := stock[l.SKU].Price.Mul(l.Quantity)
		o.Lines = append(o.Lines, events.Line{SKU: l.SKU, Quantity: l.Quantity, Total: sum})
		o.Total = o.Total.Add(sum)
	}
	return o
}

func (r placeRequest) basket() basket {
	var b basket
	for _, l := range r.Lines {
		b.skus, b.quantities = append(b.skus, l.SKU), append(b.quantities, l.Quantity)
	}
	return b
}

// firstSale and skew bound when a marketplace may say that it sold: dates are read
// by systems that know no year 0, and clocks differ.
var firstSale = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)

const skew = 24 * time.Hour

// order takes a channel's lines at the channel's prices.
func (r channelRequest) order(now time.Time) (Order, []httpapi.FieldError) {
	o := Order{Channel: r.Channel, ExternalID: r.ExternalID, PaymentToken: r.PaymentToken, OrderedAt: r.OrderedAt.UTC(),
		Customer: Customer{Name: r.Customer.Name, Email: r.Customer.Email}}
	if r.Customer.Address != nil {
		o.Customer.Address = *r.Customer.Address
	}
	var fields []httpapi.FieldError
	if o.OrderedAt.Before(firstSale) || o.OrderedAt.After(now.Add(skew)) {
		fields = append(fields, httpapi.FieldError{Pointer: "/ordered_at", Detail: "is not a time since 1900 that has passed"})
	}
	for i, l := range r.Lines {
		sum := events.Money(l.Total)
		if o.Total.Currency != "" && sum.Currency != o.Total.Currency {
			fields = append(fields, httpapi.FieldError{Pointer: fmt.Sprintf("/lines/%d/total/currency", i), Detail: "an order has one currency"})
			continue
		}
		o.Lines = append(o.Lines, events.Line{SKU: l.SKU, Quantity: l.Quantity, Total: sum})
		o.Total = o.Total.Add(sum)
	}
	if r.Channel == Web {
		fields = append(fields, httpapi.FieldError{Pointer: "/channel", Detail: "web is the storefront's own channel: use POST /api/orders"})
	}
	return o, fields
}

func (r channelRequest) basket() basket {
	var b basket
	for _, l := range r.Lines {
		b.skus, b.quantities = append(b.skus, l.SKU), append(b.quantities, l.Quantity)
	}
	return b
}

// hashBody is the same for bodies that differ in white space and the order of
// members only.
func hashBody(raw []byte) []byte {
	var parsed any
	if json.Unmarshal(raw, &parsed) == nil {
		if canonical, err := json.Marshal(parsed); err == nil {
			raw = canonical
		}
	}
	sum := sha256.Sum256(raw)
	return sum[:]
}

// place stores an order that passed every check.
func (s *Service) place(ctx context.Context, o Order, key string, hash []byte, requestID string) (Receipt, error) {
	now := s.now().UTC().Truncate(time.Microsecond) // as Postgres keeps it
	o.ID, o.Customer.ID = events.NewID("ord"), events.NewID("cus")
	o.Status, o.CreatedAt, o.UpdatedAt, o.Deadline = Pending, now, now, now.Add(s.cfg.OrderDeadline)
	if o.OrderedAt.IsZero() {
		o.OrderedAt = now
	}
	r, err := s.store.Place(ctx, Placing{Order: o, Key: key, BodyHash: hash, RequestID: requestID})
	switch {
	case errors.Is(err, ErrKeyInUse):
		return r, httpapi.Problem(http.StatusConflict, "idempotency_key_in_flight",
			"a request with this idempotency key is being worked on; send the same request again in a moment").RetryAfter(time.Second)
	case errors.Is(err, ErrKeyReused):
		return r, reused()
	case err != nil:
		return r, httpapi.Internal(ctx, s.log, err)
	}
	return r, nil
}

func reused() error {
	return httpapi.Problem(http.StatusUnprocessableEntity, "idempotency_key_reused",
		"this idempotency key was used for another request: send a new key with a new order")
}
