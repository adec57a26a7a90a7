// Package service is a service's life: configuration from the environment,
// start, health, graceful stop.
//
// A service is a value. New validates and connects nothing; Run lives until its
// context ends. Package main is three lines around [Main], the all-in-one
// program runs five such values, and a test runs one.
//
// # Guarantees
//
//   - The HTTP listener opens first: /healthz answers from then on, /readyz says
//     503 and what is missing, and every other path 503 until the service has
//     what it needs to serve.
//   - What a service needs may come in any order and late; [Life.Run] calls
//     start once, and start waits as long as it must.
//   - When the context ends, all parts are told at once and have [StopWithin] to
//     settle what is in flight; a part that does not is named in the error.
//   - The first part that fails stops the others; parts therefore retry what can
//     heal by themselves and return only what cannot.
//
// A test passes its own [Deps]: a logger that writes to the test and a clock.
package service
