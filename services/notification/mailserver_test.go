package notification

import (
	"encoding/json"
	"errors"
	"io"
	"log"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"
)

// mailServer is an SMTP server that keeps what it takes, and does with the next
// mails what a test wants.
type mailServer struct {
	addr string

	mu    sync.Mutex
	mails []letterOf
	plans []plan
}

// plan is what happens to a mail: refused, or taken on a connection that ends
// before our answer or right after it.
type plan struct {
	rcpt, data       error
	endsBefore, ends bool
}

var (
	busy    = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "try again later"}
	greyed  = &smtp.SMTPError{Code: 450, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "greylisted"}
	nobody  = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such mailbox"}
	unloved = &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "we do not like this mail"}
)

// letterOf is a mail as it arrived.
type letterOf struct {
	from, to, name string // of the envelope, and the name of the recipient
	messageID      string
	subject        string
	text, html     string
}

func openMailServer(t *testing.T) *mailServer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &mailServer{addr: ln.Addr().String()}
	srv := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &session{server: s, conn: c.Conn(), t: t}, nil }))
	srv.Domain, srv.EnableSMTPUTF8 = "localhost", true
	srv.ErrorLog = log.New(io.Discard, "", 0) // clients whose connection we end
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(ln) }) // ends with the listener
	t.Cleanup(func() { _ = srv.Close(); serving.Wait() })
	return s
}

// next says what happens to the next mails.
func (s *mailServer) next(plans ...plan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plans = append(s.plans, plans...)
}

// got are the mails that were taken.
func (s *mailServer) got() []letterOf {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]letterOf(nil), s.mails...)
}

// session is one connection.
type session struct {
	server *mailServer
	conn   net.Conn
	t      *testing.T
	plan   plan
	taken  bool
	mail   letterOf
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.mail, s.plan = letterOf{from: from}, plan{}
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	if len(s.server.plans) > 0 {
		s.plan, s.server.plans = s.server.plans[0], s.server.plans[1:]
	}
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.mail.to = to
	return s.plan.rcpt
}

func (s *session) Data(r io.Reader) error {
	if err := s.mail.read(r); err != nil {
		s.t.Errorf("the mail cannot be read: %v", err)
	}
	if s.plan.data != nil {
		return s.plan.data
	}
	s.server.mu.Lock()
	s.server.mails = append(s.server.mails, s.mail)
	s.server.mu.Unlock()
	s.taken = true
	if s.plan.endsBefore {
		_ = s.conn.Close()
	}
	return nil
}

// Reset comes after the answer to the data.
func (s *session) Reset() {
	if s.taken && s.plan.ends {
		_ = s.conn.Close()
	}
}

func (s *session) Logout() error { return nil }

// read takes a mail apart.
func (l *letterOf) read(r io.Reader) error {
	msg, err := mail.ReadMessage(r)
	if err != nil {
		return err
	}
	to, err := msg.Header.AddressList("To")
	if err != nil {
		return err
	}
	l.name = to[0].Name
	l.messageID = strings.Trim(msg.Header.Get("Message-ID"), "<>")
	if l.subject, err = new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject")); err != nil {
		return err
	}
	_, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	parts := multipart.NewReader(msg.Body, params["boundary"])
	for {
		p, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		body, err := io.ReadAll(quotedprintable.NewReader(p))
		if err != nil {
			return err
		}
		if strings.HasPrefix(p.Header.Get("Content-Type"), "text/html") {
			l.html = string(body)
		} else {
			l.text = string(body)
		}
	}
}

// inbox shows what the server has taken, like the embedded inbox or like Mailpit.
func (s *mailServer) inbox(t *testing.T, like string) string {
	t.Helper()
	mux := http.NewServeMux()
	type found struct {
		ID string `json:"id"`
	}
	find := func(id string) []found {
		list := []found{}
		for i, m := range s.got() {
			if m.messageID == id {
				list = append(list, found{strconv.Itoa(i)})
			}
		}
		return list
	}
	one := func(r *http.Request) letterOf {
		i, err := strconv.Atoi(r.PathValue("id"))
		if err != nil {
			t.Errorf("asked for %s", r.URL)
		}
		return s.got()[i]
	}
	reply := func(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }
	switch like {
	case "embedded":
		mux.HandleFunc("GET /api/messages", func(w http.ResponseWriter, r *http.Request) {
			reply(w, map[string]any{"items": find(r.URL.Query().Get("message_id"))})
		})
		mux.HandleFunc("GET /api/messages/{id}", func(w http.ResponseWriter, r *http.Request) {
			m := one(r)
			reply(w, map[string]any{"from": m.from, "to": []string{m.to}, "subject": m.subject, "text": m.text, "html": m.html, "headers": map[string][]string{
				"From": {"Cartwheel <" + m.from + ">"}, "To": {(&mail.Address{Name: m.name, Address: m.to}).String()},
			}})
		})
	case "mailpit":
		mux.HandleFunc("GET /api/v1/search", func(w http.ResponseWriter, r *http.Request) {
			id, ok := strings.CutPrefix(r.URL.Query().Get("query"), `message-id:"`)
			if !ok {
				t.Errorf("asked for %s", r.URL)
			}
			list := find(strings.TrimSuffix(id, `"`))
			reply(w, map[string]any{"messages_count": len(list), "messages": list})
		})
		mux.HandleFunc("GET /api/v1/message/{id}", func(w http.ResponseWriter, r *http.Request) {
			m := one(r)
			reply(w, map[string]any{"From": mail.Address{Name: "Cartwheel", Address: m.from}, "To": []mail.Address{{Name: m.name, Address: m.to}}, "Subject": m.subject, "Text": m.text, "HTML": m.html})
		})
	case "broken":
		mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	}
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.URL
}
