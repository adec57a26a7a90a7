// Package push shows browsers the present: facts from Kafka over WebSocket, or
// server-sent events where WebSockets do not get through, resumable on any
// replica.
//
// # Protocol
//
// A client connects with ?topics=orders,payments and, to go on where it was,
// resume=TOKEN (for SSE, Last-Event-ID). It gets JSON texts:
//
//	{"type":"hello","token":"…","reset":false}
//	{"type":"changes","token":"…","items":[{topic, key, version, event_type, event_id, at, order_id, data}]}
//
// and every 25 seconds {"type":"here"}: a client that hears nothing for a minute has
// lost its connection, whether or not anything says so, and resumes on another.
//
// The token of the newest message is the one to resume with. It holds the topics'
// ids and an offset for each partition, so it means the same to every replica.
// reset says that the token was older than what the hub still has, or of other
// topics: read everything anew. Items of a key come in order; a client drops what
// is not newer by version.
//
// # Guarantees
//
//   - Without a gap: from hello on, and after a resume without reset, every fact
//     is in a message, but for topics of which only the newest of a key counts
//     (Config.LatestWins), where newer ones replace those that still wait.
//   - A reader that does not read is cut off when its queue is full or a write
//     takes too long, and can resume; it slows nobody.
//   - Browsers of other origins are refused, unless allowed.
//
// # Cost
//
// A fact waits 2 ms for others of its burst, so that a burst is one write for each
// connection. Clients that watch the same topics and keep up are sent the very same
// bytes, written once. An idle connection has one goroutine, which reads, and next
// to no buffers. "cartwheel bench push" measures both.
package push
