package payment

import (
	"testing"

	"github.com/cartwheel-shop/cartwheel/pkg/fault"
)

// An error in front of the provider and one behind it: the command is asked for
// again, and the money is moved once.
func TestFaultsAtTheProvider(t *testing.T) {
	for _, tc := range []struct {
		point  fault.Point
		calls  int // of the provider, after both attempts
		before string
	}{
		{fault.ProviderBefore, 1, "0/0/0"},
		{fault.ProviderAfter, 2, "1000/0/0"},
	} {
		t.Run(string(tc.point), func(t *testing.T) {
			s := open(t)
			s.faults = fault.New(s.log)
			if _, err := s.faults.Arm(fault.Fault{Point: tc.point, Kind: fault.Fail, Key: "ord_1", Times: 1}); err != nil {
				t.Fatal(err)
			}
			o := order("ord_1", "tok_visa")
			if err := s.do(t.Context(), "authorize", o); outcome(err) != "again" {
				t.Fatalf("the first attempt ended %s", outcome(err))
			}
			if got := s.bank.books("ord_1"); got != tc.before {
				t.Errorf("after the fault the provider's books say %s, want %s", got, tc.before)
			}
			if err := s.do(t.Context(), "authorize", o); outcome(err) != "done" {
				t.Fatalf("the second attempt ended %s", outcome(err))
			}
			if got, want := s.bank.books("ord_1"), "1000/0/0"; got != want {
				t.Errorf("the provider's books say %s, want %s", got, want)
			}
			if n := s.bank.called(key("ord_1", Authorize)); n != tc.calls {
				t.Errorf("the provider was called %d times, want %d", n, tc.calls)
			}
			s.addsUp(t)
		})
	}
}
