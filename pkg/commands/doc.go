// Package commands is the command contract: what the order saga may ask of a
// service, under which name, on which task queue, and how a service may refuse.
//
// A command is a Temporal activity with the signature
//
//	func(ctx context.Context, o commands.Order) (commands.Result, error)
//
// registered under [Command.Name] by the service that serves [Command.TaskQueue].
//
// # Guarantees a service gives
//
//   - Idempotent by (order id, command): Temporal delivers at least once, so a
//     repeat finds the transition made and answers as the first did.
//   - A command is a state transition, not a stored answer. An undo that finds
//     nothing to undo leaves a tombstone, and the do that arrives after it is
//     refused with [Undone]: a late reserve cannot hold stock for ever.
//   - Refunding without a capture, and voiding after one, succeed and do nothing.
//   - A refusal is final (see [Refuse]); every other error is retried by the
//     saga until the order's deadline.
//
// Every command takes the same snapshot of the order, so the saga threads
// nothing from step to step. The snapshot holds no personal data: the service
// that needs a name or an address asks for it (package questions).
package commands
