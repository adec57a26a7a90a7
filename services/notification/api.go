package notification

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/cartwheel-shop/cartwheel/pkg/bus"
	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/figures"
	"github.com/cartwheel-shop/cartwheel/pkg/httpapi"
	"github.com/cartwheel-shop/cartwheel/pkg/jobs"
	"github.com/cartwheel-shop/cartwheel/pkg/outbox"
	"github.com/cartwheel-shop/cartwheel/pkg/service"
)

// api returns the service's HTTP interface.
func (s *Service) api() *httpapi.API {
	a := httpapi.New("Notifications", s.cfg.API(s.log))
	huma.Register(a.Huma(), huma.Operation{
		OperationID: "list-emails", Method: http.MethodGet, Path: "/api/emails", Summary: "Mails and their state, newest first", Tags: []string{"notifications"},
	}, s.listEmails)
	huma.Register(a.Huma(), huma.Operation{
		OperationID: "get-email", Method: http.MethodGet, Path: "/api/emails/{id}", Summary: "A mail, as it was sent", Tags: []string{"notifications"},
		Errors: []int{http.StatusNotFound},
	}, s.getEmail)
	a.Handle("GET /api/ws", http.HandlerFunc(s.serveWS))
	a.Handle("GET /api/sse", http.HandlerFunc(s.serveSSE))
	service.HandleInternal(a, s.faults, s.trail, s.figures, s.figureItems)
	service.HandleOutbox(a, "notification", s.log, func() *outbox.DB { return s.store.db })
	httpapi.HandleJSON(a, "GET /internal/brokers", s.brokers)
	httpapi.HandleJSON(a, "POST /internal/readings", func(r *http.Request) (bus.ReadingsAnswer, error) { return s.admin.AnswerReadings(r, s.consumers()) })
	return a
}

func (s *Service) serveWS(w http.ResponseWriter, r *http.Request)  { s.hub.ServeWS(w, r) }
func (s *Service) serveSSE(w http.ResponseWriter, r *http.Request) { s.hub.ServeSSE(w, r) }

type emailBody struct {
	ID                string     `json:"id"`
	OrderID           string     `json:"order_id"`
	Kind              Kind       `json:"kind" enum:"confirmed,shipped,rejected,refunded,cancelled"`
	State             State      `json:"state" enum:"queued,sending,sent,failed"`
	Attempts          int        `json:"attempts"`
	SentAt            *time.Time `json:"sent_at" doc:"null until it is sent"`
	MessageID         string     `json:"message_id"`
	PossibleDuplicate bool       `json:"possible_duplicate" doc:"sent again after a crash, where no inbox could be asked"`
	Error             string     `json:"error,omitempty" doc:"of the last attempt"`
	CreatedAt         time.Time  `json:"created_at"`
}

type emailsOutput struct {
	Body struct {
		Items      []emailBody `json:"items" nullable:"false"`
		NextCursor string      `json:"next_cursor,omitempty" doc:"absent on the last page"`
	}
}

func (s *Service) listEmails(ctx context.Context, in *struct {
	httpapi.Page
	OrderID string `query:"order_id"`
}) (*emailsOutput, error) {
	values, err := httpapi.DecodeCursor(in.Cursor, 1)
	if err != nil {
		return nil, err
	}
	before := ""
	if values != nil {
		if before = values[0]; !events.IsID("eml", before) {
			return nil, httpapi.BadCursor()
		}
	}
	list, err := s.store.Emails(ctx, in.OrderID, before, in.Limit+1)
	if err != nil {
		return nil, httpapi.Internal(ctx, s.log, err)
	}
	out := &emailsOutput{}
	if len(list) > in.Limit {
		list = list[:in.Limit]
		out.Body.NextCursor = httpapi.EncodeCursor(list[in.Limit-1].ID)
	}
	out.Body.Items = make([]emailBody, len(list))
	for i, e := range list {
		out.Body.Items[i] = bodyOf(e)
	}
	return out, nil
}

func bodyOf(e Email) emailBody {
	return emailBody{ID: e.ID, OrderID: e.OrderID, Kind: e.Kind, State: e.State, Attempts: e.Attempts, SentAt: e.SentAt,
		MessageID: e.MessageID, PossibleDuplicate: e.PossibleDuplicate, Error: e.Error, CreatedAt: e.CreatedAt.UTC()}
}

// Why a mail cannot be shown as it was sent.
const (
	notSent   = "not_sent"
	noInbox   = "no_inbox"
	inboxAway = "inbox_away"
	notThere  = "not_there" // the inbox no longer has it
)

type emailOutput struct {
	Body struct {
		Mail    emailBody `json:"mail"`
		AsSent  *AsSent   `json:"as_sent,omitempty" doc:"absent when it cannot be shown"`
		Missing string    `json:"missing,omitempty" enum:"not_sent,no_inbox,inbox_away,not_there" doc:"why it cannot be shown as it was sent"`
	}
}

func (s *Service) getEmail(ctx context.Context, in *struct {
	ID string `path:"id"`
}) (*emailOutput, error) {
	e, err := s.store.Email(ctx, in.ID)
	if errors.Is(err, ErrNoMail) {
		return nil, httpapi.Problem(http.StatusNotFound, "email_not_found", fmt.Sprintf("there is no mail %q", in.ID))
	}
	if err != nil {
		return nil, httpapi.Internal(ctx, s.log, err)
	}
	out := &emailOutput{}
	out.Body.Mail = bodyOf(e)
	if e.State != Sent {
		out.Body.Missing = notSent
		return out, nil
	}
	sent, err := s.inbox.read(ctx, e.MessageID)
	switch {
	case errors.Is(err, errNoInbox):
		out.Body.Missing = noInbox
	case err != nil:
		s.log.WarnContext(ctx, "the inbox cannot be asked", "error", err)
		out.Body.Missing = inboxAway
	case sent == nil:
		out.Body.Missing = notThere
	default:
		out.Body.AsSent = sent
	}
	return out, nil
}

// brokerFigures is how the queues of mails stand: the jobs in Redis, and the mails
// themselves in the database, which knows what Redis may have forgotten.
type brokerFigures struct {
	JobQueues []jobs.QueueFigures `json:"job_queues"`
	Mails     *MailFigures        `json:"mails"`
	Missing   []string            `json:"missing"`
}

func (s *Service) brokers(r *http.Request) (brokerFigures, error) {
	mails, err := s.store.MailFigures(r.Context())
	if err != nil {
		return brokerFigures{}, err
	}
	queues, err := s.jobs.Figures()
	if err != nil {
		s.log.WarnContext(r.Context(), "job figures", "error", err)
		return brokerFigures{Mails: &mails, Missing: []string{"redis"}}, nil
	}
	return brokerFigures{JobQueues: queues, Mails: &mails}, nil
}

// trail is what this service knows of an order's way.
func (s *Service) trail(ctx context.Context, orderID string) (service.Trail, error) {
	t := service.Trail{Items: []service.TrailItem{}}
	list, err := s.store.Emails(ctx, orderID, "", 200)
	if err != nil {
		return t, err
	}
	var keys []string
	for _, e := range list {
		at := e.CreatedAt
		if e.SentAt != nil {
			at = *e.SentAt
		}
		t.Items = append(t.Items, service.TrailItem{At: at.UTC(), Kind: service.TrailEmail, Name: string(e.Kind), Detail: map[string]any{
			"email_id": e.ID, "state": e.State, "attempts": e.Attempts, "message_id": e.MessageID,
		}})
		keys = append(keys, e.ID)
	}
	for _, p := range s.hub.Pushed(orderID) {
		t.Items = append(t.Items, service.TrailItem{At: p.At, Kind: service.TrailPush, Name: p.EventType, Detail: map[string]any{"readers": p.Readers}})
	}
	rows, err := s.store.db.Trail(ctx, keys...)
	return t.WithOutbox("notification", rows), err
}

// figures is this service's side of the invariants.
func (s *Service) figures(ctx context.Context) (figures.Report, error) {
	report := figures.NewReport()
	if err := s.store.figures(ctx, &report); err != nil {
		return report, err
	}
	return report, s.store.db.Report(ctx, &report)
}

func (s *Service) figureItems(ctx context.Context, name string, bucket int) (figures.Items, error) {
	if name != "mails" {
		return s.store.db.FigureItems(ctx, name, bucket)
	}
	items := figures.Items{Items: map[string]int64{}}
	err := s.store.each(ctx, func(orderID string, kind Kind, _ State, _ bool) {
		if key := orderID + ":" + string(kind); outbox.Shard(key) == bucket {
			items.Items[key] = 1
		}
	})
	return items, err
}

// OpenAPI is the document of the service's HTTP interface. It needs no running
// service.
func (s *Service) OpenAPI() *huma.OpenAPI { return s.api().OpenAPI() }
