package inbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// ErrClosed is what Serve returns after Shutdown.
var ErrClosed = smtp.ErrServerClosed

const maxMail = 10 << 20

// SMTP is the mail server of a box.
type SMTP struct {
	srv    *smtp.Server
	once   sync.Once
	closed chan struct{} // by Shutdown
}

// NewSMTP makes a server that puts what it receives into the box.
func NewSMTP(box *Box, log *slog.Logger) *SMTP {
	srv := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		return &session{box: box, log: log}, nil
	}))
	srv.Domain = "localhost"
	srv.MaxMessageBytes = maxMail
	srv.MaxRecipients = 100
	srv.ReadTimeout = time.Minute
	srv.WriteTimeout = 10 * time.Second
	srv.EnableSMTPUTF8 = true
	srv.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug) // clients that hang up
	return &SMTP{srv: srv, closed: make(chan struct{})}
}

// Serve accepts connections until Shutdown, also when that came first: the server
// itself closes only listeners that it knows by then.
func (s *SMTP) Serve(l net.Listener) error {
	served := make(chan struct{})
	defer close(served)
	go func() {
		select {
		case <-s.closed:
			_ = l.Close() // perhaps for the second time
		case <-served:
		}
	}()
	return s.srv.Serve(l)
}

// Shutdown lets mails that are just being received arrive, for a second at most,
// and closes every connection.
func (s *SMTP) Shutdown(ctx context.Context) error {
	defer s.once.Do(func() { close(s.closed) })
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := s.srv.Shutdown(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("stop the mail server: %w", err)
	}
	_ = s.srv.Close() // whoever keeps an idle connection open
	return nil
}

// session is one connection's envelope.
type session struct {
	box  *Box
	log  *slog.Logger
	from string
	to   []string
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = append(s.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	_, err = s.box.Put(s.from, s.to, raw)
	if errors.Is(err, ErrNoMail) {
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: err.Error()}
	}
	if err != nil {
		s.log.Error("cannot store a mail", "error", err)
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "cannot store the mail, try again"}
	}
	return nil
}

func (s *session) Reset()        { s.from, s.to = "", nil }
func (s *session) Logout() error { return nil }
