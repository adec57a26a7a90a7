// Package scenarios is the list of what a shop is shown to do right, in fair
// weather and in foul. One list serves everybody: the console has a button for
// each scenario, cartwheel scenario plays them from the command line, and a test
// plays every one (TestEveryScenario in test/e2e).
//
// A scenario says beforehand what must happen, its promises. Then it happens, on
// the real system: orders go in by the public HTTP interface, foreign messages
// straight into Kafka, services are killed, brokers stopped. What the scenario
// does and what it sees of the shop are steps of the run, with their times. At the
// end every promise is judged by what the shop's interfaces say (status, mails,
// ledger, stock, invariants) and by the payment provider's own books.
//
// # Guarantees
//
//   - A run ends as kept, when every promise was judged and holds; as broken, when
//     one does not hold; as failed, when it could not be played to its end. A
//     promise that nobody judged is never taken as kept.
//   - One run at a time: scenarios that break the system would spoil each other.
//     Other people's orders may go on meanwhile; every judgement is about the
//     run's own orders, and an invariant that was broken before the run began is
//     not held against it.
//   - What a run has broken it mends, also when it fails half-way or is told to
//     stop: a killed service is started, a stopped broker too, a failpoint is off.
//   - Runs are kept in memory, the newest fifty.
//
// # Who can break what
//
// A [Machine] is what runs the shop's parts and can kill them. The all-in-one
// command is one; a container is not, and there the scenarios that need one are
// listed with the reason why they cannot be played.
package scenarios
