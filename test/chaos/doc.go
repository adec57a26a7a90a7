// Package chaos breaks a real Kafka while facts go through it, from writers by
// outbox and relay to consumers, and looks afterwards whether all promises were
// kept. It is run by make test-real, and for longer, by a random schedule, by make
// test-long; both need the build tag real.
package chaos
