package notification

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/service"
)

func euros(cents int64) events.Money { return events.Money{Amount: cents, Currency: "EUR"} }

// arrived sends a mail and returns it as it came.
func (o *office) arrived(t *testing.T, k Kind, d Details) letterOf {
	t.Helper()
	if err := o.send(t.Context(), o.write(t, "ord_"+string(k), k, d)); err != nil {
		t.Fatal(err)
	}
	got := o.smtp.got()
	if len(got) == 0 {
		t.Fatalf("nothing arrived: %+v", o.mail(t, "ord_"+string(k)))
	}
	return got[len(got)-1]
}

// What a mail says, to whom, in text and in HTML.
func TestWhatAMailSays(t *testing.T) {
	o := open(t)
	for _, tc := range []struct {
		kind    Kind
		details Details
		subject string
		says    []string
	}{
		{Confirmed, Details{Total: euros(1234)}, "Your order is confirmed", []string{"12.34 EUR are paid"}},
		{Shipped, Details{Carrier: "Cartwheel Courier", Tracking: "CW000000001"}, "Your order is on its way", []string{"with Cartwheel Courier", "CW000000001"}},
		{Rejected, Details{Reason: "milk is out of stock"}, "We could not accept your order", []string{"because milk is out of stock.", "Nothing was charged."}},
		{Refunded, Details{Reason: "the courier does not deliver there", Refunded: euros(999)}, "Your order cannot be delivered, and your money is on its way back",
			[]string{"because the courier does not deliver there.", "given back 9.99 EUR"}},
		{Cancelled, Details{Reason: "you asked for it"}, "Your order is cancelled", []string{"cancelled: you asked for it.", "Nothing was charged."}},
	} {
		t.Run(string(tc.kind), func(t *testing.T) {
			m := o.arrived(t, tc.kind, tc.details)
			if m.from != "shop@cartwheel.example" || m.to != "anna@example.com" || m.name != "Anna Muster" {
				t.Errorf("from %s to %s <%s>", m.from, m.name, m.to)
			}
			if m.subject != tc.subject {
				t.Errorf("subject %q, want %q", m.subject, tc.subject)
			}
			if id := o.mail(t, "ord_"+string(tc.kind)).ID; m.messageID != id+"@cartwheel.example" {
				t.Errorf("Message-ID %s, want that of the mail", m.messageID)
			}
			for _, want := range append(tc.says, "Hello Anna Muster,", "Order ord_"+string(tc.kind)) {
				if !strings.Contains(m.text, want) || !strings.Contains(m.html, want) {
					t.Errorf("%q is missing in\n%s\n%s", want, m.text, m.html)
				}
			}
		})
	}
	money := write(Cancelled, "Anna", "ord_1", Details{Reason: "you asked for it", Refunded: euros(999)})
	if !strings.Contains(money.Paragraphs[1], "given back 9.99 EUR") || !strings.Contains(money.Subject, "money is on its way back") {
		t.Errorf("a cancellation with a refund says %+v", money)
	}
}

// A name is text wherever it comes: no markup, no header, and none is too odd for
// a mail.
func TestAnyNameIsText(t *testing.T) {
	for _, tc := range []struct{ name, html string }{
		{`<script>alert("x")</script>`, "Hello &lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;,"},
		{`Anna "Nana" O'Hara & Söhne`, "Hello Anna &#34;Nana&#34; O&#39;Hara &amp; Söhne,"},
		{`back\slash`, `Hello back\slash,`},
		{`{{.Order}}`, "Hello {{.Order}},"},
		{"東京 花子", "Hello 東京 花子,"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := open(t)
			o.contact.Name = tc.name
			m := o.arrived(t, Confirmed, Details{Total: euros(100)})
			if !strings.Contains(m.html, tc.html) {
				t.Errorf("the HTML says\n%s\nwant %s", m.html, tc.html)
			}
			if !strings.Contains(m.text, "Hello "+tc.name+",") {
				t.Errorf("the text says\n%s", m.text)
			}
			if m.name != tc.name || m.to != "anna@example.com" {
				t.Errorf("to %q <%s>", m.name, m.to)
			}
		})
	}
}

// A line break in a name adds no header, and no recipient.
func TestANameIsNoHeader(t *testing.T) {
	o := open(t)
	o.contact.Name = "Anna\r\nBcc: eve@example.com\r\n\r\nbuy here"
	m := o.arrived(t, Confirmed, Details{Total: euros(100)})
	if m.to != "anna@example.com" || m.subject != "Your order is confirmed" || len(o.smtp.got()) != 1 {
		t.Errorf("arrived %+v", m)
	}
}

func TestBackoff(t *testing.T) {
	for n, want := range map[int]time.Duration{
		0: time.Second, 1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 14: 8192 * time.Second, 15: 3 * time.Hour, maxAttempts: 3 * time.Hour, 1000: 3 * time.Hour,
	} {
		if got := backoff(n); got != want {
			t.Errorf("backoff(%d) = %s, want %s", n, got, want)
		}
	}
}

func TestNewNamesTheWrongVariable(t *testing.T) {
	good := Config{From: "Cartwheel <shop@cartwheel.example>", SMTPAddr: "localhost:25", Rate: 1}
	for want, change := range map[string]func(*Config){
		"MAIL_FROM": func(c *Config) { c.From = "Cartwheel" },
		"MAIL_RATE": func(c *Config) { c.Rate = 0 },
		"SMTP_ADDR": func(c *Config) { c.SMTPAddr = "localhost:smtp" },
	} {
		cfg := good
		change(&cfg)
		if _, err := New(cfg, service.Deps{Log: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New(%+v): %v, want it to name %s", cfg, err, want)
		}
	}
	if _, err := New(good, service.Deps{Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Errorf("New: %v", err)
	}
}
