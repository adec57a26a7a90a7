// Package saga runs a saga that is written as its table: steps that do, the
// undo of each, waits in between, and one step after which there is no way
// back. It also holds the habits of talking to Temporal: a client that may be
// made while the server is away, a worker that waits for it.
//
// # Guarantees of [Run]
//
//   - The undo of a step is registered before the step is asked for, because a
//     step whose answer is lost may have happened.
//   - Undos run newest first, on a context that no cancellation reaches, and are
//     retried until done. One that is refused for good is handed to the caller as
//     a failed compensation, which must become a task for a person; the undos
//     after it still run.
//   - A step is retried until it succeeds, is refused (commands.Refuse), the
//     saga is cancelled or its deadline passes. Cancelling does not wait for the
//     step's answer: services refuse a do that arrives after its undo.
//   - After the commit step was asked for, neither cancellation nor the deadline
//     compensates; only a refusal of that step itself does.
//
// The code is workflow code: deterministic, and covered by replay tests of the
// workflows that use it.
//
// Source of the pattern: Garcia-Molina and Salem, "Sagas", SIGMOD 1987.
package saga
