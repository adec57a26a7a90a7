package notification

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/fault"
	"github.com/cartwheel-shop/cartwheel/pkg/jobs"
	"github.com/cartwheel-shop/cartwheel/pkg/questions"
	"github.com/cartwheel-shop/cartwheel/pkg/service"
)

// sendJob is the type of the jobs that send a mail; their id is the mail's.
const sendJob = "email.send"

const (
	sweepEvery = time.Second
	sweepBatch = 500
	// pokeDelay lets the transaction commit that wrote the mail.
	pokeDelay = 10 * time.Millisecond
)

// poke says that a mail was written.
func (s *Service) poke() {
	select {
	case s.poked <- struct{}{}:
	default:
	}
}

// enqueue hands due mails to Asynq: right after one was written, and every second
// what is due again, or what a lost Redis forgot.
func (s *Service) enqueue(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	trouble := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-s.poked:
			service.Pause(ctx, pokeDelay)
		}
		err := s.enqueueDue(ctx)
		if err != nil && ctx.Err() == nil && !trouble {
			s.log.WarnContext(ctx, "mails wait to be enqueued", "error", err)
		}
		trouble = err != nil
	}
}

func (s *Service) enqueueDue(ctx context.Context) error {
	list, err := s.store.Due(ctx, sweepBatch)
	for _, d := range list {
		if err != nil {
			return err
		}
		err = s.jobs.Enqueue(ctx, jobs.Job{
			Type: sendJob, ID: d.ID, Unique: fmt.Sprintf("%s:%d", d.ID, d.Attempts), // one job for each attempt
			Queue: d.Kind.queue(), Retries: 0, Timeout: claimFor - 5*time.Second,
		})
	}
	return err
}

// send makes one attempt at a mail. Its state in the database decides what comes
// next, so the job itself is never retried: the attempt after this one is another
// job.
func (s *Service) send(ctx context.Context, id string) error {
	if err := s.limit.Wait(ctx); err != nil {
		return err
	}
	e, crashed, err := s.store.Claim(ctx, id)
	if err != nil || e == nil {
		return err
	}
	if crashed {
		switch there, err := s.inbox.has(ctx, e.MessageID); {
		case err == nil && there:
			return s.sent(ctx, *e)
		case errors.Is(err, errNoInbox):
			e.PossibleDuplicate = true
		case err != nil:
			s.leave(ctx, *e, err)
			return nil
		}
	}
	to, err := questions.Ask(ctx, s.nats, questions.CustomerContact, questions.ContactRequest{OrderID: e.OrderID})
	var no *questions.Error
	if errors.As(err, &no) && no.Code == questions.NotFound {
		return s.giveUp(ctx, *e, err)
	}
	if err == nil {
		err = s.hand(ctx, *e, to)
	}
	var permanent *PermanentError
	switch {
	case err == nil:
		return s.sent(ctx, *e)
	case errors.As(err, &permanent), e.Attempts >= maxAttempts:
		return s.giveUp(ctx, *e, err)
	case errors.Is(err, errInDoubt):
		s.leave(ctx, *e, err)
		return nil
	}
	return s.later(ctx, *e, err)
}

// hand hands a mail to the mail server.
func (s *Service) hand(ctx context.Context, e Email, to questions.Contact) error {
	if err := s.faults.At(ctx, fault.MailBefore, e.ID, e.OrderID, string(e.Kind)); err != nil {
		return err
	}
	if err := s.mailer.send(ctx, e, to.Name, to.Email); err != nil {
		return err
	}
	if err := s.faults.At(ctx, fault.MailAfter, e.ID, e.OrderID, string(e.Kind)); err != nil {
		return fmt.Errorf("%w: %w", errInDoubt, err)
	}
	return nil
}

// sent records what the mail server took, even when the service is just stopping.
func (s *Service) sent(ctx context.Context, e Email) error {
	return s.store.Sent(context.WithoutCancel(ctx), e)
}

// leave leaves a mail claimed that may have been sent, as a crash does: the
// attempt after this one asks the inbox first.
func (s *Service) leave(ctx context.Context, e Email, cause error) {
	s.log.WarnContext(ctx, "mail in doubt; the inbox will be asked", "email_id", e.ID, "attempt", e.Attempts, "in", claimFor, "error", cause)
}

func (s *Service) later(ctx context.Context, e Email, cause error) error {
	s.log.WarnContext(ctx, "mail not sent; it will be tried again", "email_id", e.ID, "attempt", e.Attempts, "in", backoff(e.Attempts), "error", cause)
	return s.store.Again(context.WithoutCancel(ctx), e, cause)
}

// giveUp records a mail as failed, and leaves its job in Asynq's archive, the
// dead letters of mails.
func (s *Service) giveUp(ctx context.Context, e Email, cause error) error {
	s.log.ErrorContext(ctx, "mail given up", "email_id", e.ID, "attempt", e.Attempts, "error", cause)
	if err := s.store.GiveUp(context.WithoutCancel(ctx), e, cause); err != nil {
		return err
	}
	return jobs.GiveUp(cause)
}
