// Package events is the event contract: the envelope, every event as a Go type, its
// versions, and the upcasters that lift old ones.
//
//	env, err := events.Decode(raw)             // any event
//	e, err := events.As[events.OrderCreated](env) // this one, lifted to the newest version
//
// # Guarantees
//
//   - A published version never changes. What every build wrote, every later build
//     reads: its payloads stay in testdata, and its schema in package schemas.
//   - Consumers see the newest version only. Unknown fields are ignored, so a later
//     version of a producer may add some.
//   - [Decode] tells three troubles apart: bytes that are no event
//     ([ErrUndecodable]), a type that this build does not know ([UnknownType], to be
//     skipped and counted), and a known type in a newer version ([UnknownVersion],
//     for the dead letters).
//   - Money is an integer of minor units with its currency. Ids are prefixed, and
//     sort by the time of their making. Times are UTC.
//   - No event holds personal data; who needs a name asks the order service.
//
// # To add or change one
//
// Add the type to the file of its domain and to the list in registry.go, and run go
// generate: it writes the schema, a golden payload and the documents. To change one
// that was published, add a version and an upcaster; the tests say which readers
// would break.
package events

//go:generate go run ./internal/generate
