// Package httpapi is the HTTP habit of every service: typed operations on the
// standard mux by huma, one shape of error, opaque cursors, operator calls.
//
// # Guarantees
//
//   - Every error is an RFC 9457 problem with a stable code, a detail that says
//     what to do, and one entry in errors for each wrong field, by JSON pointer.
//     Unknown paths and panics are problems too.
//   - A request with a body must be application/json in UTF-8 (415) of at most
//     [MaxBody] bytes (413), and well-formed (400) before it is looked at (422).
//     Nothing is guessed: bytes that are not UTF-8, half a surrogate pair and a
//     member that stands twice are not well-formed. A body that breaks off, or
//     whose chunks are none, is the client's mistake too (400).
//   - What Postgres would not take as text does not come in: neither in bodies,
//     nor in addresses, nor in cursors.
//   - Operations marked by [API.Operator] answer 401 without the operator's
//     token, unless the API is open because only loopback can reach it.
//   - Every response carries X-Request-Id, the caller's or a new one.
//
// A test drives [API.Handler] with net/http/httptest.
package httpapi
