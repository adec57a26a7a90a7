package notification

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	html "html/template"
	"net"
	"net/http"
	netmail "net/mail"
	"net/url"
	"strconv"
	"strings"
	text "text/template"
	"time"

	"github.com/wneessen/go-mail"
)

//go:embed templates
var templates embed.FS

// mailer sends mails by SMTP.
type mailer struct {
	host string
	port int
	from string
	name string
	text *text.Template
	html *html.Template
}

const smtpTimeout = 15 * time.Second

func newMailer(addr, fromName, from string) (*mailer, error) {
	host, p, err := net.SplitHostPort(addr)
	port, portErr := strconv.Atoi(p)
	if err != nil || portErr != nil {
		return nil, fmt.Errorf("SMTP_ADDR must be host:port, not %q", addr)
	}
	m := &mailer{host: host, port: port, from: from, name: fromName}
	if m.text, err = text.ParseFS(templates, "templates/mail.txt"); err != nil {
		return nil, err
	}
	if m.html, err = html.ParseFS(templates, "templates/mail.html"); err != nil {
		return nil, err
	}
	return m, nil
}

// errInDoubt says that the mail server may have taken the mail: its answer never
// came.
var errInDoubt = errors.New("nobody knows whether the mail was sent")

// PermanentError is a mail server's final no.
type PermanentError struct{ Err error }

func (e *PermanentError) Error() string { return e.Err.Error() }
func (e *PermanentError) Unwrap() error { return e.Err }

// send sends a mail. Its error is *PermanentError, errInDoubt, or something to try
// again.
func (m *mailer) send(ctx context.Context, e Email, name, address string) error {
	l := write(e.Kind, name, e.OrderID, e.Details)
	var plain, rich bytes.Buffer
	if err := errors.Join(m.text.Execute(&plain, l), m.html.Execute(&rich, l)); err != nil {
		return &PermanentError{err}
	}
	msg := mail.NewMsg()
	if err := msg.From(format(m.name, m.from)); err != nil {
		return &PermanentError{err}
	}
	if err := msg.AddTo(format(name, address)); err != nil {
		return &PermanentError{err}
	}
	msg.SetMessageIDWithValue(e.MessageID)
	msg.SetDate()
	msg.Subject(l.Subject)
	msg.SetBodyString(mail.TypeTextPlain, plain.String())
	msg.AddAlternativeString(mail.TypeTextHTML, rich.String())

	client, err := mail.NewClient(m.host, mail.WithPort(m.port), mail.WithTLSPolicy(mail.TLSOpportunistic), mail.WithTimeout(smtpTimeout))
	if err != nil {
		return err
	}
	err = client.DialAndSendWithContext(ctx, msg)
	if msg.IsDelivered() {
		return nil // whatever went wrong with the good-bye
	}
	var refused *mail.SendError
	if errors.As(err, &refused) {
		switch {
		case refused.ErrorCode() >= 500:
			return &PermanentError{err}
		case refused.ErrorCode() == 0 && refused.Reason == mail.ErrSMTPDataClose: // all was written, and nothing came back
			return fmt.Errorf("%w: %w", errInDoubt, err)
		}
	}
	return err
}

// format quotes a name as a mail's header wants it.
func format(name, address string) string {
	return (&netmail.Address{Name: name, Address: address}).String()
}

// mailInbox looks for a mail by its Message-ID, where mails can be looked for.
type mailInbox struct {
	url    string
	client *http.Client
}

// errNoInbox says that nobody can be asked.
var errNoInbox = errors.New("there is no inbox to ask")

// ownMails are mails as the embedded inbox lists them, pitMails as Mailpit does.
type (
	ownMails struct {
		Items []struct {
			ID string `json:"id"`
		} `json:"items"`
	}
	pitMails struct {
		Total    int `json:"messages_count"`
		Messages []struct {
			ID string `json:"ID"`
		} `json:"messages"`
	}
)

// find looks for a mail by its Message-ID. One of the two answers.
func (i *mailInbox) find(ctx context.Context, messageID string) (*ownMails, *pitMails, error) {
	if i.url == "" {
		return nil, nil, errNoInbox
	}
	var own ownMails
	found, err := i.ask(ctx, "/api/messages?message_id="+url.QueryEscape(messageID), &own)
	if err != nil || found {
		return &own, nil, err
	}
	var pit pitMails
	found, err = i.ask(ctx, "/api/v1/search?query="+url.QueryEscape(`message-id:"`+messageID+`"`), &pit)
	if err == nil && !found {
		err = errNoInbox
	}
	return nil, &pit, err
}

// has says whether the inbox got a mail.
func (i *mailInbox) has(ctx context.Context, messageID string) (bool, error) {
	own, pit, err := i.find(ctx, messageID)
	if err != nil {
		return false, err
	}
	return own != nil && len(own.Items) > 0 || pit != nil && pit.Total > 0, nil
}

// AsSent is a mail as the inbox got it.
type AsSent struct {
	From    string   `json:"from"`
	To      []string `json:"to" nullable:"false"`
	Subject string   `json:"subject"`
	Text    string   `json:"text"`
	HTML    string   `json:"html" doc:"somebody else's: show it in a sandbox only"`
}

// read returns a mail as the inbox got it; nil when it does not have it.
func (i *mailInbox) read(ctx context.Context, messageID string) (*AsSent, error) {
	own, pit, err := i.find(ctx, messageID)
	switch {
	case err != nil:
		return nil, err
	case own != nil && len(own.Items) > 0:
		return i.readOwn(ctx, own.Items[0].ID)
	case pit != nil && len(pit.Messages) > 0:
		return i.readPit(ctx, pit.Messages[0].ID)
	}
	return nil, nil
}

func (i *mailInbox) readOwn(ctx context.Context, id string) (*AsSent, error) {
	var m struct {
		AsSent
		Headers netmail.Header `json:"headers"`
	}
	found, err := i.ask(ctx, "/api/messages/"+url.PathEscape(id), &m)
	if err != nil || !found {
		return nil, err
	}
	// What its reader sees, rather than the envelope.
	if from := m.Headers.Get("From"); from != "" {
		m.From = readable(from)
	}
	if to, err := m.Headers.AddressList("To"); err == nil {
		m.To = names(to)
	}
	return &m.AsSent, nil
}

func (i *mailInbox) readPit(ctx context.Context, id string) (*AsSent, error) {
	var m struct {
		From          *netmail.Address
		To            []*netmail.Address
		Subject, Text string
		HTML          string
	}
	found, err := i.ask(ctx, "/api/v1/message/"+url.PathEscape(id), &m)
	if err != nil || !found {
		return nil, err
	}
	sent := &AsSent{To: names(m.To), Subject: m.Subject, Text: m.Text, HTML: m.HTML}
	if m.From != nil {
		sent.From = named(m.From)
	}
	return sent, nil
}

// readable undoes the encoding of a header's addresses.
func readable(header string) string {
	list, err := netmail.ParseAddressList(header)
	if err != nil {
		return header
	}
	return strings.Join(names(list), ", ")
}

func names(list []*netmail.Address) []string {
	out := []string{}
	for _, a := range list {
		out = append(out, named(a))
	}
	return out
}

// named is an address for people, who can read names as they are.
func named(a *netmail.Address) string {
	if a.Name == "" {
		return a.Address
	}
	return a.Name + " <" + a.Address + ">"
}

func (i *mailInbox) ask(ctx context.Context, path string, v any) (found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, i.url+path, nil)
	if err != nil {
		return false, err
	}
	resp, err := i.client.Do(req)
	if err != nil {
		return false, fmt.Errorf("ask the inbox: %w", err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		return true, json.NewDecoder(resp.Body).Decode(v)
	case http.StatusNotFound:
		return false, nil
	}
	return false, fmt.Errorf("ask the inbox: status %d", resp.StatusCode)
}
