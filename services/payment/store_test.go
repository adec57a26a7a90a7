package payment

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/cartwheel-shop/cartwheel/pkg/events"
)

// Commands are transitions: what comes of them in every order in which a saga,
// its retries and its compensations may ask, and whatever becomes of the bank's
// answers. A step is a command and how it ends, "done" where nothing is said;
// "@lost" is done by the bank, whose answer never comes; "@away" never gets to it.
func TestCommands(t *testing.T) {
	for _, tc := range []struct {
		name  string
		token string // tok_visa where nothing is said
		steps string
		state State
		books string // of the bank: set aside/taken/given back
		facts string
	}{
		{"set aside", "", "authorize", Authorized, "1000/0/0", "authorized"},
		{"taken", "", "authorize capture", Captured, "0/1000/0", "authorized captured"},
		{"let go", "", "authorize void", Voided, "0/0/0", "authorized voided"},
		{"given back", "", "authorize capture refund", Refunded, "0/1000/1000", "authorized captured refunded"},
		{"every command delivered twice", "", "authorize authorize capture capture refund refund",
			Refunded, "0/1000/1000", "authorized captured refunded"},
		{"a void delivered twice", "", "authorize void void", Voided, "0/0/0", "authorized voided"},
		{"early commands again after the end", "", "authorize capture authorize capture", Captured, "0/1000/0", "authorized captured"},
		{"undone, newest first", "", "authorize capture refund void", Refunded, "0/1000/1000", "authorized captured refunded"},
		{"undone, oldest first", "", "authorize capture void refund", Refunded, "0/1000/1000", "authorized captured refunded"},
		{"a refund of what was not taken, then a void", "", "authorize refund void", Voided, "0/0/0", "authorized voided"},

		{"an authorize after its void sets nothing aside", "", "void authorize=command_undone", Fresh, "0/0/0", ""},
		{"an authorize repeated after its void", "", "authorize void authorize=command_undone", Voided, "0/0/0", "authorized voided"},
		{"a capture after its refund takes nothing", "", "authorize refund capture=command_undone void", Voided, "0/0/0", "authorized voided"},
		{"a capture repeated after its refund", "", "authorize capture refund capture=command_undone",
			Refunded, "0/1000/1000", "authorized captured refunded"},
		{"a capture after the void takes nothing", "", "authorize void capture=command_undone", Voided, "0/0/0", "authorized voided"},
		{"all undos before all dos", "", "refund void authorize=command_undone capture=command_undone", Fresh, "0/0/0", ""},
		{"a refund before everything", "", "refund authorize capture=command_undone void", Voided, "0/0/0", "authorized voided"},
		{"a capture without an authorisation", "", "capture=authorization_needed", Fresh, "0/0/0", ""},

		{"declined", "tok_declined", "authorize=declined authorize=declined capture=authorization_needed void authorize=command_undone",
			Declined, "0/0/0", "declined"},
		{"not enough money", "tok_insufficient_funds", "authorize=insufficient_funds void", Declined, "0/0/0", "declined"},
		{"an unknown card", "tok_stolen", "authorize=unknown_token void", Declined, "0/0/0", "declined"},
		{"a capture that the bank refuses", "tok_capture_fails", "authorize capture=capture_refused capture=capture_refused refund void",
			Voided, "0/0/0", "authorized declined voided"},

		{"an authorize whose answer is lost is asked for again", "", "authorize@lost=again authorize", Authorized, "1000/0/0", "authorized"},
		{"an authorize that gets lost is asked for again", "", "authorize@away=again authorize", Authorized, "1000/0/0", "authorized"},
		{"a refusal whose answer is lost", "tok_declined", "authorize@lost=again authorize=declined", Declined, "0/0/0", "declined"},
		{"a capture whose answer is lost takes once", "", "authorize capture@lost=again capture@lost=again capture",
			Captured, "0/1000/0", "authorized captured"},
		{"a void whose answer is lost", "", "authorize void@lost=again void", Voided, "0/0/0", "authorized voided"},
		{"a refund whose answer is lost gives back once", "", "authorize capture refund@lost=again refund",
			Refunded, "0/1000/1000", "authorized captured refunded"},

		{"a void that meets an authorize without an answer", "", "authorize@lost=again void", Voided, "0/0/0", "authorized voided"},
		{"a void that meets a capture without an answer", "", "authorize capture@lost=again void refund",
			Refunded, "0/1000/1000", "authorized captured refunded"},
		{"a refund that meets a capture without an answer", "", "authorize capture@lost=again refund void",
			Refunded, "0/1000/1000", "authorized captured refunded"},
		{"an undo of what may be on its way waits", "", "authorize@away=again void=again authorize=command_undone void=again",
			Fresh, "0/0/0", ""},
		{"an undo of what never got to the bank", "", "authorize@away=again void=again later void authorize=command_undone sweep",
			Fresh, "0/0/0", ""},
		{"a refund of a capture that never got to the bank", "", "authorize capture@away=again refund=again later refund void",
			Voided, "0/0/0", "authorized voided"},

		{"the sweeper settles an authorize", "", "authorize@lost=again later sweep sweep authorize", Authorized, "1000/0/0", "authorized"},
		{"the sweeper settles a capture", "", "authorize capture@lost=again later sweep capture", Captured, "0/1000/0", "authorized captured"},
		{"the sweeper settles a void", "", "authorize void@lost=again later sweep void", Voided, "0/0/0", "authorized voided"},
		{"the sweeper settles a refund", "", "authorize capture refund@lost=again later sweep refund",
			Refunded, "0/1000/1000", "authorized captured refunded"},
		{"the sweeper settles a refusal", "tok_declined", "authorize@lost=again later sweep authorize=declined", Declined, "0/0/0", "declined"},
		{"the sweeper finds nothing at the bank", "", "authorize@away=again later sweep authorize", Authorized, "1000/0/0", "authorized"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			o := order("ord_1", tc.token)
			if tc.token == "" {
				o.PaymentToken = "tok_visa"
			}
			for _, step := range strings.Fields(tc.steps) {
				command, want, ok := strings.Cut(step, "=")
				if !ok {
					want = "done"
				}
				command, name, ok := strings.Cut(command, "@")
				if ok {
					s.bank.next(key(o.OrderID, Kind(command)), scripts[name])
				}
				if err := s.do(t.Context(), command, o); outcome(err) != want {
					t.Errorf("%s ended %s (%v), want %s", step, outcome(err), err, want)
				}
			}
			st := s.state(t, o.OrderID)
			if st != tc.state {
				t.Errorf("state %s, want %s", st, tc.state)
			}
			if got := s.balances(t, o.OrderID); got != shouldBe(st) {
				t.Errorf("balances %s, want %s", got, shouldBe(st))
			}
			if got := s.bank.books(o.OrderID); got != tc.books {
				t.Errorf("the bank's books %s, want %s", got, tc.books)
			}
			if got := s.told(t, o.OrderID); got != tc.facts {
				t.Errorf("facts %q, want %q", got, tc.facts)
			}
			s.addsUp(t)
		})
	}
}

// The sweeper leaves alone what may still be on its way, and what it finds
// nothing about it asks about ever more rarely.
func TestTheSweeperTakesItsTime(t *testing.T) {
	s := open(t)
	s.bank.next("ord_1:authorize", lost)
	s.bank.next("ord_2:authorize", away)
	for _, id := range []string{"ord_1", "ord_2"} {
		if err := s.do(t.Context(), "authorize", order(id, "tok_visa")); outcome(err) != "again" {
			t.Fatalf("authorize: %v", err)
		}
	}
	for _, step := range []struct{ do, first, second string }{
		{"sweep", "pending", "pending"},
		{"later", "pending", "pending"},
		{"sweep", "done", "pending"},
	} {
		if err := s.do(t.Context(), step.do, order("", "")); err != nil {
			t.Fatal(err)
		}
		if first, second := s.intent(t, "ord_1"), s.intent(t, "ord_2"); first != step.first || second != step.second {
			t.Errorf("after %s: %s and %s, want %s and %s", step.do, first, second, step.first, step.second)
		}
	}
	if list, err := s.store.Unsettled(t.Context(), s.inFlight(), sweepFor); err != nil || len(list) != 0 {
		t.Errorf("Unsettled = %v, %v; want nobody asked about twice in a row", list, err)
	}
	if err := s.later(t.Context()); err != nil {
		t.Fatal(err)
	}
	list, err := s.store.Unsettled(t.Context(), s.inFlight(), sweepFor)
	if err != nil || len(list) != 1 || list[0].OrderID != "ord_2" || list[0].Kind != Authorize {
		t.Errorf("Unsettled = %v, %v; want ord_2 again after an hour", list, err)
	}
	if list, err := s.store.Unsettled(t.Context(), s.inFlight(), time.Hour); err != nil || len(list) != 0 {
		t.Errorf("Unsettled = %v, %v; want what is too old forgotten", list, err)
	}
}

// What the sweeper settles, and what it moves back, belongs to what the order's
// commands belong to.
func TestWhatIsSweptNamesItsCause(t *testing.T) {
	s := open(t)
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	ctx := events.WithCausation(trace.ContextWithSpanContext(t.Context(), span), "created")
	o, there := order("ord_1", "tok_visa"), s.provider
	s.bank.next("ord_1:authorize", lost)
	if err := s.do(ctx, "authorize", o); outcome(err) != "again" {
		t.Fatalf("authorize: %v", err)
	}
	s.provider = nobody{} // the void leaves its tombstone, and cannot ask
	if err := s.do(ctx, "void", o); outcome(err) != "again" {
		t.Fatalf("void: %v", err)
	}
	s.provider = there
	for _, step := range strings.Fields("later sweep later sweep") {
		if err := s.do(t.Context(), step, o); err != nil {
			t.Fatalf("%s: %v", step, err)
		}
	}
	if got := s.told(t, o.OrderID); got != "authorized voided" {
		t.Fatalf("facts %q, want authorized voided", got)
	}
	for _, env := range s.facts(t, o.OrderID) {
		if m := env.Metadata; m.CausationID != "created" || m.TraceID != span.TraceID().String() {
			t.Errorf("%s: %+v; want the cause and the trace of the order's commands", env.Type, m)
		}
	}
}

// intent is where an order's authorize is.
func (s *till) intent(t *testing.T, orderID string) (state string) {
	t.Helper()
	if err := s.store.db.Pool().QueryRow(t.Context(), `SELECT state FROM intents WHERE order_id = $1 AND kind = 'authorize'`, orderID).Scan(&state); err != nil {
		t.Fatal(err)
	}
	return state
}

// A provider that is away for one sweep is asked again in the next.
func TestTheSweeperGoesOnAfterTrouble(t *testing.T) {
	s := open(t)
	s.bank.next("ord_1:authorize", lost)
	if err := s.do(t.Context(), "authorize", order("ord_1", "tok_visa")); outcome(err) != "again" {
		t.Fatalf("authorize: %v", err)
	}
	if err := s.later(t.Context()); err != nil {
		t.Fatal(err)
	}
	there := s.provider
	s.provider = nobody{}
	if err := s.sweepOnce(t.Context()); err == nil {
		t.Error("sweeping without a provider said nothing")
	}
	s.provider = there
	if err := s.later(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.sweepOnce(t.Context()); err != nil || s.state(t, "ord_1") != Authorized {
		t.Errorf("state %s, %v; want authorized", s.state(t, "ord_1"), err)
	}
}

// nobody is a provider that cannot be reached.
type nobody struct{ Provider }

func (nobody) Lookup(context.Context, string) (*Outcome, error) {
	return nil, errors.New("nobody answers")
}

// What a command reports is what it moved, also when it is asked again.
func TestResultsTellTheMoney(t *testing.T) {
	s := open(t)
	o := order("ord_1", "tok_visa")
	for _, tc := range []struct {
		k      Kind
		amount int64
	}{{Authorize, 1000}, {Authorize, 1000}, {Capture, 1000}, {Authorize, 1000}, {Void, 0}, {Refund, 1000}, {Refund, 1000}} {
		res, err := s.operate(t.Context(), o, tc.k)
		if err != nil {
			t.Fatal(err)
		}
		if want := (events.Money{Amount: tc.amount, Currency: "EUR"}); res.Amount != want || !strings.HasPrefix(res.Reference, "pay_") {
			t.Errorf("%s = %+v, want %v of a payment", tc.k, res, want)
		}
	}
}

// A refusal says why, in words of its own and in the fact.
func TestARefusalIsTold(t *testing.T) {
	s := open(t)
	for _, tc := range []struct{ orderID, token, command, code, reason string }{
		{"ord_1", "tok_insufficient_funds", "authorize", "insufficient_funds", "the bank says insufficient_funds"},
		{"ord_2", "tok_capture_fails", "capture", "the_banks_own_code", "the bank says the_banks_own_code"},
	} {
		o := order(tc.orderID, tc.token)
		var last error
		for _, c := range []string{"authorize", tc.command} {
			last = s.do(t.Context(), c, o)
		}
		if last == nil || !strings.Contains(last.Error(), tc.reason) {
			t.Errorf("%s: %v, want %s", tc.command, last, tc.reason)
		}
		facts := s.facts(t, tc.orderID)
		e, err := events.As[events.PaymentDeclined](facts[len(facts)-1])
		if err != nil {
			t.Fatal(err)
		}
		if e.Data.Command != tc.command || e.Data.Code != tc.code || e.Data.Reason != tc.reason || e.Data.Amount != o.Total {
			t.Errorf("told %+v, want %+v", e.Data, tc)
		}
	}
}

// An answer is recorded once, however often it comes.
func TestAnAnswerCountsOnce(t *testing.T) {
	s := open(t)
	o := order("ord_1", "tok_visa")
	if err := s.do(t.Context(), "authorize", o); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		p, err := s.store.Settle(t.Context(), o.OrderID, Authorize, Outcome{Key: "k", Refused: "declined"})
		if err != nil || p.State != Authorized {
			t.Errorf("Settle = %+v, %v; want it as it was", p, err)
		}
	}
	if _, err := s.store.Settle(t.Context(), "ord_2", Authorize, Outcome{}); err == nil {
		t.Error("an answer for an order without a payment was recorded")
	}
	if got := s.told(t, o.OrderID); got != "authorized" {
		t.Errorf("facts %q, want authorized", got)
	}
}

// No statement can unbalance the ledger, whatever a future change gets wrong.
func TestTheDatabaseKeepsTheLedgerBalanced(t *testing.T) {
	s := open(t)
	o := order("ord_1", "tok_visa")
	if err := s.do(t.Context(), "authorize", o); err != nil {
		t.Fatal(err)
	}
	for name, statement := range map[string]string{
		"one line": `INSERT INTO postings (journal_id, order_id, account, amount, currency) SELECT max(id), 'ord_1', 'sales', 1, 'EUR' FROM journal`,
		"two lines in two currencies": `INSERT INTO postings (journal_id, order_id, account, amount, currency)
			SELECT max(id), 'ord_1', 'sales', n, c FROM journal, (VALUES (1, 'EUR'), (-1, 'USD')) v (n, c) GROUP BY n, c`,
		"an operation twice": `INSERT INTO journal (order_id, kind) VALUES ('ord_1', 'authorize')`,
	} {
		if _, err := s.store.db.Pool().Exec(t.Context(), statement); err == nil {
			t.Errorf("%s: the database took it", name)
		}
	}
	s.addsUp(t)
}
