package notification

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
	"github.com/cartwheel-shop/cartwheel/pkg/questions"
)

// What comes of a mail: each attempt meets the mail server in one way or another,
// and time passes in between. Every mail that arrives has the same Message-ID.
func TestAttempts(t *testing.T) {
	for _, tc := range []struct {
		name    string
		plans   []plan
		inbox   string // none where nothing is said
		mail    string // after the attempts, one for each plan
		arrived int
		facts   string
	}{
		{"sent", []plan{{}}, "", "sent after 1", 1, "email_sent"},
		{"a temporary refusal", []plan{{data: busy}, {rcpt: greyed}, {}}, "", "sent after 3", 1, "email_sent"},
		{"a temporary refusal, and no other attempt yet", []plan{{data: busy}}, "", "queued after 1", 0, ""},
		{"no such mailbox", []plan{{rcpt: nobody}, {}}, "", "failed after 1", 0, "email_failed"},
		{"a mail that is not wanted", []plan{{data: unloved}, {}}, "", "failed after 1", 0, "email_failed"},
		{"temporary, then for good", []plan{{data: busy}, {data: unloved}, {}}, "", "failed after 2", 0, "email_failed"},
		{"the connection ends after the answer", []plan{{ends: true}, {}}, "", "sent after 1", 1, "email_sent"},

		{"the connection ends before the answer", []plan{{endsBefore: true}, {}}, "", "sent after 2, possible duplicate", 2, "email_sent"},
		{"the same, and a busy server", []plan{{endsBefore: true}, {data: busy}, {}}, "", "sent after 3, possible duplicate", 2, "email_sent"},
		{"the same, with an inbox to ask", []plan{{endsBefore: true}, {}}, "embedded", "sent after 2", 1, "email_sent"},
		{"the same, with Mailpit to ask", []plan{{endsBefore: true}, {}}, "mailpit", "sent after 2", 1, "email_sent"},
		{"the same, with neither of the two", []plan{{endsBefore: true}, {}}, "another", "sent after 2, possible duplicate", 2, "email_sent"},
		{"the same, while the inbox is away", []plan{{endsBefore: true}, {}, {}}, "broken", "sending after 3", 1, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := open(t)
			if tc.inbox != "" {
				o.inboxOf(o.smtp.inbox(t, tc.inbox))
			}
			id := o.write(t, "ord_1", Confirmed, Details{Total: euros(100)})
			o.smtp.next(tc.plans...)
			for range tc.plans {
				_ = o.send(t.Context(), id) // what comes of it is in the database
				o.pass(claimFor)
			}
			e := o.mail(t, "ord_1")
			if e.brief() != tc.mail {
				t.Errorf("the mail is %s (%s), want %s", e.brief(), e.Error, tc.mail)
			}
			got := o.smtp.got()
			if len(got) != tc.arrived {
				t.Errorf("%d mails arrived, want %d", len(got), tc.arrived)
			}
			for _, m := range got {
				if m.messageID != e.MessageID {
					t.Errorf("arrived under %s, want %s", m.messageID, e.MessageID)
				}
			}
			if got := o.told(t, "ord_1"); got != tc.facts {
				t.Errorf("facts %q, want %q", got, tc.facts)
			}
		})
	}
}

// The process ends between the server's answer and our commit. The attempt after
// it asks the inbox, and where there is none sends again, and counts that.
func TestACrashAfterTheAnswer(t *testing.T) {
	for _, tc := range []struct {
		inbox   string
		mail    string
		arrived int
	}{
		{"embedded", "sent after 2", 1},
		{"mailpit", "sent after 2", 1},
		{"", "sent after 2, possible duplicate", 2},
	} {
		t.Run("inbox "+tc.inbox, func(t *testing.T) {
			t.Parallel()
			o := open(t)
			if tc.inbox != "" {
				o.inboxOf(o.smtp.inbox(t, tc.inbox))
			}
			id := o.write(t, "ord_1", Confirmed, Details{Total: euros(100)})
			e, crashed, err := o.store.Claim(t.Context(), id)
			if err != nil || e == nil || crashed {
				t.Fatalf("Claim = %v, %v, %v", e, crashed, err)
			}
			if err := o.mailer.send(t.Context(), *e, "Anna Muster", "anna@example.com"); err != nil {
				t.Fatal(err)
			}
			// here it ends

			if n := o.waiting(t); n != 0 {
				t.Errorf("%d mails are due, want none: the attempt may still go on", n)
			}
			if err := o.send(t.Context(), id); err != nil || len(o.smtp.got()) != 1 {
				t.Errorf("a mail was sent that somebody has claimed: %v", err)
			}
			o.pass(claimFor)
			if n := o.waiting(t); n != 1 {
				t.Errorf("%d mails are due, want the one of the crash", n)
			}
			if err := o.send(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			if got := o.mail(t, "ord_1").brief(); got != tc.mail {
				t.Errorf("the mail is %s, want %s", got, tc.mail)
			}
			got := o.smtp.got()
			if len(got) != tc.arrived || got[0].messageID != got[len(got)-1].messageID {
				t.Errorf("arrived %+v, want %d under one Message-ID", got, tc.arrived)
			}
			facts := o.facts(t, "ord_1")
			if len(facts) != 1 {
				t.Fatalf("facts %s, want one", o.told(t, "ord_1"))
			}
			told, err := events.As[events.EmailSent](facts[0])
			if err != nil || told.Data.PossibleDuplicate != (tc.arrived == 2) || told.Data.Attempts != 2 || told.Data.MessageID != e.MessageID || told.Data.Kind != "confirmed" {
				t.Errorf("told %+v, %v", told.Data, err)
			}
			report, err := o.figures(t.Context())
			if err != nil || report.Values["possible_duplicates"] != int64(tc.arrived-1) {
				t.Errorf("possible duplicates: %d, %v; want %d", report.Values["possible_duplicates"], err, tc.arrived-1)
			}
		})
	}
}

// A mail is not tried for ever, and not too soon.
func TestAMailIsGivenUp(t *testing.T) {
	o := open(t)
	id := o.write(t, "ord_1", Shipped, Details{Carrier: "Cartwheel Courier", Tracking: "CW1"})
	for n := 1; n <= maxAttempts; n++ {
		o.smtp.next(plan{data: busy})
		err := o.send(t.Context(), id)
		if (err != nil) != (n == maxAttempts) {
			t.Fatalf("attempt %d: %v", n, err)
		}
		o.pass(backoff(n) - time.Millisecond)
		if waiting := o.waiting(t); waiting != 0 {
			t.Fatalf("after attempt %d the mail is due too soon", n)
		}
		o.pass(time.Millisecond)
		if waiting := o.waiting(t); (waiting == 1) != (n < maxAttempts) {
			t.Fatalf("after attempt %d %d mails are due", n, waiting)
		}
	}
	e := o.mail(t, "ord_1")
	if e.State != Failed || e.Attempts != maxAttempts || !strings.Contains(e.Error, "try again later") {
		t.Errorf("the mail is %s (%s), want it given up", e.brief(), e.Error)
	}
	told, err := events.As[events.EmailFailed](o.facts(t, "ord_1")[0])
	if err != nil || told.Data.Attempts != maxAttempts || told.Data.Kind != "shipped" || strings.Contains(told.Data.Error, "@") {
		t.Errorf("told %+v, %v", told.Data, err)
	}
	report, err := o.figures(t.Context())
	if err != nil || len(report.Offenders["mails_failed"]) != 1 {
		t.Errorf("offenders %v, %v; want the mail", report.Offenders, err)
	}
}

// Without a recipient no mail: for a while, or for good.
func TestTheRecipientIsAsked(t *testing.T) {
	for _, tc := range []struct {
		name    string
		contact questions.Contact
		refusal error
		mail    string
	}{
		{"an order that nobody knows", questions.Contact{}, &questions.Error{Code: questions.NotFound, Detail: "no such order"}, "failed after 1"},
		{"the order service is in trouble", questions.Contact{}, &questions.Error{Code: questions.Internal, Detail: "ask again"}, "queued after 1"},
		{"an order without an address", questions.Contact{Name: "Anna"}, nil, "failed after 1"},
		{"an address that is none", questions.Contact{Name: "Anna", Email: "anna at example"}, nil, "failed after 1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := open(t)
			o.contact, o.refusal = tc.contact, tc.refusal
			_ = o.send(t.Context(), o.write(t, "ord_1", Confirmed, Details{Total: euros(100)}))
			if e := o.mail(t, "ord_1"); e.brief() != tc.mail || e.Error == "" {
				t.Errorf("the mail is %s (%s), want %s", e.brief(), e.Error, tc.mail)
			}
		})
	}
	t.Run("nobody answers", func(t *testing.T) {
		t.Parallel()
		o := open(t)
		o.Service.nats.Close()
		if err := o.send(t.Context(), o.write(t, "ord_1", Confirmed, Details{})); err != nil {
			t.Fatal(err)
		}
		if e := o.mail(t, "ord_1"); e.brief() != "queued after 1" {
			t.Errorf("the mail is %s, want it tried again", e.brief())
		}
	})
}

// Many attempts at a mail at once: one has it.
func TestAttemptsRace(t *testing.T) {
	o := open(t)
	id := o.write(t, "ord_1", Confirmed, Details{Total: euros(100)})
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			if err := o.send(t.Context(), id); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if e := o.mail(t, "ord_1"); e.brief() != "sent after 1" || len(o.smtp.got()) != 1 || o.told(t, "ord_1") != "email_sent" {
		t.Errorf("the mail is %s, %d arrived, told %q; want one of each", e.brief(), len(o.smtp.got()), o.told(t, "ord_1"))
	}
}

// The service stops while the server takes a mail: what it took is recorded.
func TestStoppingRecordsWhatWasSent(t *testing.T) {
	o := open(t)
	id := o.write(t, "ord_1", Confirmed, Details{Total: euros(100)})
	e, _, err := o.store.Claim(t.Context(), id)
	if err != nil || e == nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := o.sent(ctx, *e); err != nil || o.mail(t, "ord_1").State != Sent {
		t.Errorf("sent: %v, the mail is %s", err, o.mail(t, "ord_1").brief())
	}
}

// Mails go out by themselves, and failures are tried again when their time comes.
func TestMailsGoOut(t *testing.T) {
	o := open(t)
	o.smtp.next(plan{data: busy})
	o.work(t)
	for i := range 30 {
		o.write(t, fmt.Sprintf("ord_%d", i), Confirmed, Details{Total: euros(100)})
	}
	until(t, "29 mails to arrive", func() bool { return len(o.smtp.got()) == 29 })
	until(t, "one attempt to be over", func() bool { return o.count(t, Queued) == 1 })
	o.pass(time.Second)
	until(t, "all mails to be sent", func() bool { return o.count(t, Sent) == 30 })
	if n := len(o.smtp.got()); n != 30 {
		t.Errorf("%d mails arrived, want 30", n)
	}
}

// Redis forgets everything, before the mails were worked on and after: the
// sweeper enqueues them again.
func TestALostRedisLosesNoMail(t *testing.T) {
	o := open(t)
	for i := range 10 {
		o.write(t, fmt.Sprintf("ord_%d", i), Confirmed, Details{Total: euros(100)})
	}
	if err := o.enqueueDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.redis.FlushAll()
	o.smtp.next(plan{data: busy}, plan{data: busy}, plan{data: busy})
	o.work(t)
	until(t, "seven mails to be sent", func() bool { return o.count(t, Sent) == 7 && o.count(t, Queued) == 3 })
	o.redis.FlushAll()
	o.pass(time.Second)
	until(t, "all mails to be sent", func() bool { return o.count(t, Sent) == 10 })
	if n := len(o.smtp.got()); n != 10 {
		t.Errorf("%d mails arrived, want 10", n)
	}
}

// A mail may be enqueued again and again, also after Redis has lost its memory.
func TestEnqueueingAgainChangesNothing(t *testing.T) {
	o := open(t)
	for _, id := range []string{"ord_1", "ord_2"} {
		o.write(t, id, Confirmed, Details{Total: euros(100)})
	}
	for _, lost := range []bool{false, true} {
		for n := range 3 {
			if err := o.enqueueDue(t.Context()); err != nil {
				t.Errorf("time %d, memory lost before: %v: %v", n+1, lost, err)
			}
		}
		o.redis.FlushAll()
	}
}

func (o *office) count(t *testing.T, st State) (n int) {
	t.Helper()
	if err := o.store.db.Pool().QueryRow(t.Context(), `SELECT count(*) FROM emails WHERE state = $1`, st).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
