// Package fault makes things go wrong on purpose: named points in front of and
// behind every effect that leaves a process, at which a test or an operator can
// have an error returned, time pass, a goroutine stand still, the process killed,
// or a panic.
//
//	if err := s.faults.At(ctx, fault.ProviderBefore, o.OrderID); err != nil {
//		return err
//	}
//	answer, err := s.provider.Do(ctx, …)
//	if err == nil {
//		err = s.faults.At(ctx, fault.ProviderAfter, o.OrderID)
//	}
//
// A point before an effect stands where nothing has happened yet; a point after
// it where it has happened and nobody knows: an error there is an answer that was
// lost, a kill there a crash before the next note.
//
// # Guarantees
//
//   - Off unless configured. A service whose variable FAULTS is empty has a nil
//     *[Points]; all methods of it do nothing, and a point costs a comparison.
//   - Nothing is global: points are a value that a service is given with its
//     other dependencies and hands to what has points. Tests side by side, and
//     services in one process, do not meet.
//   - [Catalogue] lists every point there is. Tests prove that each stands in code
//     that is not a test's, and that a shop passes it.
//   - A fault fires where its point and key match, from its From-th passing on, at
//     most Times times. Of several that match, the one that was armed first fires.
//   - Each fire is logged. A goroutine that stands at a point goes on when its
//     context ends, with the context's error, when the fault is disarmed, or when
//     its time is over.
//
// # Configuration
//
// FAULTS is "off", "on" (armed at run time, by the operator's calls on
// /internal/faults), or faults to start with, separated by semicolons:
//
//	FAULTS='provider.after=kill from=3; mail.before=delay for=2s key=eml_1 times=1'
//
// # Testing
//
//	faults := fault.New(log)
//	f, err := faults.Arm(fault.Fault{Point: fault.MailAfter, Kind: fault.Block, Times: 1})
//	…
//	<-f.Fired()
//	f.Disarm()
//
// In a test, a kill is a process of its own that runs the test binary anew, or
// [WithKill].
package fault
