package stack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"github.com/cartwheel-shop/cartwheel/stack/inbox"
)

// startSMTP runs a mail server that delivers nothing and keeps everything, and
// the pages on which people look at it.
func (s *Stack) startSMTP(context.Context) error {
	if s.cfg.SMTPAddr != "" {
		s.setEndpoints(func(e *Endpoints) { e.Inbox = s.cfg.InboxURL })
		s.external(SMTP, s.cfg.SMTPAddr)
		return nil
	}
	box, err := inbox.Open(filepath.Join(s.cfg.Dir, "inbox"), s.log)
	if err != nil {
		return err
	}
	smtpListener, err := s.ports.listen("smtp")
	if err != nil {
		return err
	}
	httpListener, err := s.ports.listen("inbox")
	if err != nil {
		return errors.Join(err, smtpListener.Close())
	}
	mail := inbox.NewSMTP(box, s.log)
	web := &http.Server{Handler: inbox.NewHandler(box), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 2)
	go func() { served <- mail.Serve(smtpListener) }()
	go func() { served <- web.Serve(httpListener) }()

	s.onStop(SMTP, func(ctx context.Context) error {
		errs := []error{mail.Shutdown(ctx), web.Close()}
		for range cap(served) {
			if err := <-served; err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, inbox.ErrClosed) {
				errs = append(errs, fmt.Errorf("serve: %w", err))
			}
		}
		return errors.Join(errs...)
	})
	addr := smtpListener.Addr().String()
	s.setEndpoints(func(e *Endpoints) {
		e.SMTP = addr
		e.Inbox = "http://" + httpListener.Addr().String()
	})
	s.report(Status{Part: SMTP, Phase: Ready, Address: addr})
	return nil
}
