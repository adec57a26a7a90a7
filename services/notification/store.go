package notification

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/figures"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Store is the notification database, the truth about mails.
type Store struct {
	db  *outbox.DB
	now func() time.Time
}

// NewStore returns the store over an opened, migrated database.
func NewStore(db *outbox.DB, now func() time.Time) *Store { return &Store{db, now} }

// insert writes a mail, once for an order and kind.
func (s *Store) insert(ctx context.Context, tx pgx.Tx, orderID string, kind Kind, d Details, domain string) error {
	id := events.NewID("eml")
	now, origin := s.now().UTC(), events.OriginFrom(ctx)
	_, err := tx.Exec(ctx, `
		INSERT INTO emails (id, order_id, kind, state, message_id, details, created_at, next_at, caused_by, traceparent) VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9)
		ON CONFLICT (order_id, kind) DO NOTHING`, id, orderID, kind, Queued, messageID(id, domain), d, now, origin.CausationID, origin.Traceparent)
	if err != nil {
		return fmt.Errorf("write mail: %w", err)
	}
	return nil
}

// Due is a mail that waits to be sent.
type Due struct {
	ID       string
	Kind     Kind
	Attempts int
}

// Due lists mails whose time has come: queued ones, and those whose attempt has
// crashed.
func (s *Store) Due(ctx context.Context, limit int) ([]Due, error) {
	now := s.now()
	rows, err := s.db.Pool().Query(ctx, `
		SELECT id, kind, attempts FROM emails
		WHERE state = 'queued' AND next_at <= $1 OR state = 'sending' AND claimed_at <= $2
		ORDER BY next_at LIMIT $3`, now, now.Add(-claimFor), limit)
	if err != nil {
		return nil, fmt.Errorf("list due mails: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Due])
	if err != nil {
		return nil, fmt.Errorf("list due mails: %w", err)
	}
	return list, nil
}

const emailColumns = `id, order_id, kind, state, attempts, message_id, possible_duplicate, details, error, created_at, sent_at, caused_by, traceparent`

// Claim takes a mail for an attempt, by compare-and-set; nil when it is not to be
// had. Crashed says that an earlier attempt ended in the dark: its mail may have
// been sent.
func (s *Store) Claim(ctx context.Context, id string) (mail *Email, crashed bool, err error) {
	now := s.now().UTC()
	rows, err := s.db.Pool().Query(ctx, `
		UPDATE emails e SET state = 'sending', attempts = e.attempts + 1, claimed_at = $2 FROM emails before
		WHERE e.id = $1 AND before.id = e.id AND (e.state = 'queued' AND e.next_at <= $2 OR e.state = 'sending' AND e.claimed_at <= $3)
		RETURNING e.id, e.order_id, e.kind, before.state, e.attempts, e.message_id, e.possible_duplicate, e.details, e.error, e.created_at, e.sent_at, e.caused_by, e.traceparent`,
		id, now, now.Add(-claimFor))
	if err != nil {
		return nil, false, fmt.Errorf("claim mail %s: %w", id, err)
	}
	e, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Email])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("claim mail %s: %w", id, err)
	}
	return &e, e.State == Sending, nil
}

// Sent records that the mail server took a mail.
func (s *Store) Sent(ctx context.Context, e Email) error {
	ctx = e.cause(ctx)
	return s.db.Tx(ctx, func(tx outbox.Tx) error {
		tag, err := tx.Exec(ctx, `
			UPDATE emails SET state = 'sent', sent_at = $2, error = '', possible_duplicate = $3 WHERE id = $1 AND state <> 'sent'`, e.ID, s.now().UTC(), e.PossibleDuplicate)
		if err != nil {
			return fmt.Errorf("record mail %s: %w", e.ID, err)
		}
		if tag.RowsAffected() == 1 {
			tx.Publish(events.EmailSent{EmailID: e.ID, OrderID: e.OrderID, Kind: string(e.Kind), MessageID: e.MessageID, Attempts: e.Attempts, PossibleDuplicate: e.PossibleDuplicate})
		}
		return nil
	})
}

// cause returns a context under which facts belong to the mail's order, its cause
// and its trace.
func (e Email) cause(ctx context.Context) context.Context {
	return events.Origin{Cause: events.Cause{CorrelationID: e.OrderID, CausationID: e.CausedBy}, Traceparent: e.Traceparent}.Context(ctx)
}

// Again puts a mail back whose attempt failed in a way that may pass.
func (s *Store) Again(ctx context.Context, e Email, cause error) error {
	_, err := s.db.Pool().Exec(ctx, `
		UPDATE emails SET state = 'queued', next_at = $2, error = $3, possible_duplicate = $4 WHERE id = $1 AND state = 'sending'`,
		e.ID, s.now().Add(backoff(e.Attempts)).UTC(), cause.Error(), e.PossibleDuplicate)
	if err != nil {
		return fmt.Errorf("put mail %s back: %w", e.ID, err)
	}
	return nil
}

// GiveUp records that a mail will not be sent.
func (s *Store) GiveUp(ctx context.Context, e Email, cause error) error {
	ctx = e.cause(ctx)
	return s.db.Tx(ctx, func(tx outbox.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE emails SET state = 'failed', error = $2 WHERE id = $1 AND state = 'sending'`, e.ID, cause.Error())
		if err != nil {
			return fmt.Errorf("give up mail %s: %w", e.ID, err)
		}
		if tag.RowsAffected() == 1 {
			tx.Publish(events.EmailFailed{EmailID: e.ID, OrderID: e.OrderID, Kind: string(e.Kind), Attempts: e.Attempts, Error: "the mail could not be delivered"})
		}
		return nil
	})
}

// Emails lists mails, of one order when it is given, newest first.
func (s *Store) Emails(ctx context.Context, orderID, before string, limit int) ([]Email, error) {
	rows, err := s.db.Pool().Query(ctx, `
		SELECT `+emailColumns+` FROM emails WHERE ($1 = '' OR order_id = $1) AND ($2 = '' OR id < $2) ORDER BY id DESC LIMIT $3`, orderID, before, limit)
	if err != nil {
		return nil, fmt.Errorf("list mails: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Email])
	if err != nil {
		return nil, fmt.Errorf("list mails: %w", err)
	}
	return list, nil
}

// ErrNoMail says that there is no such mail.
var ErrNoMail = errors.New("no such mail")

// Email returns a mail, or ErrNoMail.
func (s *Store) Email(ctx context.Context, id string) (Email, error) {
	rows, err := s.db.Pool().Query(ctx, `SELECT `+emailColumns+` FROM emails WHERE id = $1`, id)
	if err != nil {
		return Email{}, fmt.Errorf("read mail %s: %w", id, err)
	}
	e, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Email])
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return e, ErrNoMail
	case err != nil:
		return e, fmt.Errorf("read mail %s: %w", id, err)
	}
	return e, nil
}

// figures condenses the mails that are there; failed ones are offenders.
func (s *Store) figures(ctx context.Context, report *figures.Report) error {
	mails := &figures.Digest{}
	report.Digests["mails"], report.Offenders["mails_failed"] = mails, []string{}
	return s.each(ctx, func(orderID string, kind Kind, state State, duplicate bool) {
		key := orderID + ":" + string(kind)
		mails.Add(outbox.Shard(key), 1)
		report.Values["mails_"+string(state)]++
		if duplicate {
			report.Values["possible_duplicates"]++
		}
		if state == Failed {
			report.Offenders["mails_failed"] = append(report.Offenders["mails_failed"], key+": given up")
		}
	})
}

func (s *Store) each(ctx context.Context, fn func(orderID string, kind Kind, state State, duplicate bool)) error {
	rows, err := s.db.Pool().Query(ctx, `SELECT order_id, kind, state, possible_duplicate FROM emails`)
	if err != nil {
		return fmt.Errorf("mail figures: %w", err)
	}
	var orderID string
	var kind Kind
	var state State
	var duplicate bool
	if _, err := pgx.ForEachRow(rows, []any{&orderID, &kind, &state, &duplicate}, func() error { fn(orderID, kind, state, duplicate); return nil }); err != nil {
		return fmt.Errorf("mail figures: %w", err)
	}
	return nil
}

// MailFigures counts mails by how they stand.
type MailFigures struct {
	Queued   int `json:"queued" doc:"written, and not tried yet"`
	Retrying int `json:"retrying" doc:"tried, and waiting for another attempt"`
	Sending  int `json:"sending"`
	Sent     int `json:"sent"`
	Failed   int `json:"failed" doc:"given up"`
}

// MailFigures counts the mails.
func (s *Store) MailFigures(ctx context.Context) (MailFigures, error) {
	var f MailFigures
	err := s.db.Pool().QueryRow(ctx, `
		SELECT count(*) FILTER (WHERE state = 'queued' AND attempts = 0), count(*) FILTER (WHERE state = 'queued' AND attempts > 0),
			count(*) FILTER (WHERE state = 'sending'), count(*) FILTER (WHERE state = 'sent'), count(*) FILTER (WHERE state = 'failed') FROM emails`).
		Scan(&f.Queued, &f.Retrying, &f.Sending, &f.Sent, &f.Failed)
	if err != nil {
		return f, fmt.Errorf("count mails: %w", err)
	}
	return f, nil
}
