// Package bench measures Cartwheel side by side with references: what people use
// today, and what is possible at best.
//
// # How it measures
//
//   - Both sides run in one process, on the same servers, with the same data and
//     the same settings: acks=all, idempotent producers, 16 partitions, events of
//     250 bytes. Absolute figures depend on the machine; the ratio is the result.
//   - A bench is rounds in which the sides take turns, forwards and backwards, after
//     a round that warms caches and connections and does not count. A ratio is that
//     of one round; what is printed is the median of the rounds and their range.
//   - A side ends when its last message is where it belongs, not when it was handed
//     to a client library: for a relay or a publisher that is Kafka's own end of the
//     topic, for a consumer the handler.
//   - A side that loses or disorders messages has no figure, but an error.
//
// docs/performance.md explains each bench.
package bench
