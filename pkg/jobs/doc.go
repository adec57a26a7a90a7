// Package jobs runs work that is handed over now and done soon: Asynq on Redis,
// with the settings under which a job is picked up within milliseconds.
//
// # Guarantees
//
//   - A job runs at least once while Redis keeps its memory. One whose handler
//     fails is retried, after the delay that the handler asks for ([Later]) or
//     that the back-off says.
//   - A job that used up its retries, or whose handler gave it up ([GiveUp]), is in
//     Asynq's archive, the dead letters of jobs, where asynqmon shows it.
//   - Enqueueing a job that is there already changes nothing, unless it is in the
//     archive: then it starts anew. So whoever is sure that a job is not done may
//     enqueue it as often as he likes.
//   - Redis is not the truth. It may lose everything; whoever enqueues a job keeps
//     what is to be done in a database, carries ids only, and has a sweeper that
//     enqueues again.
//   - Redis being away is waited for, by [Serve] before its start and while it
//     runs; it is said once, not with each try. [Client.Enqueue] does not wait: it
//     fails, and the sweeper comes again.
//   - Queues share the workers by weight, so that a flood in one holds up no other.
//     There is no order between jobs.
//   - A worker that dies in the middle of a job holds it until its lease is over,
//     up to two minutes; then another one runs it again.
//
// # Testing
//
// Asynq runs on miniredis, in the test's process; restarting it is a Redis that
// lost its memory.
package jobs
