package notification

import (
	"testing"

	"github.com/cartwheel-shop/cartwheel/pkg/fault"
)

// An error in front of the mail server leaves a mail to send; one behind it is an
// answer that was lost, so the inbox is asked before it is sent again.
func TestFaultsAtTheMailServer(t *testing.T) {
	for _, tc := range []struct {
		point fault.Point
		first string
		after string
	}{
		{fault.MailBefore, "queued after 1", "sent after 2"},
		{fault.MailAfter, "sending after 1", "sent after 2"},
	} {
		t.Run(string(tc.point), func(t *testing.T) {
			o := open(t)
			o.inboxOf(o.smtp.inbox(t, "embedded"))
			o.faults = fault.New(o.log)
			id := o.write(t, "ord_1", Confirmed, Details{Total: euros(100)})
			if _, err := o.faults.Arm(fault.Fault{Point: tc.point, Kind: fault.Fail, Key: id, Times: 1}); err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{tc.first, tc.after} {
				_ = o.send(t.Context(), id) // what comes of it is in the database
				o.pass(claimFor)
				if e := o.mail(t, "ord_1"); e.brief() != want {
					t.Errorf("the mail is %s, want %s", e.brief(), want)
				}
			}
			if n := len(o.smtp.got()); n != 1 {
				t.Errorf("%d mails arrived, want 1", n)
			}
		})
	}
}
