// Package web is the shop's face: the console's pages, embedded in the binary,
// and the edge, the one address that a browser or a script needs.
//
// The edge serves the pages, hands /api to the services by prefix, and joins
// what spans them: the timeline of an order from the trails of all services, and
// the check of the invariants from their figures. In a shop for demonstrations it
// also plays the scenarios (package scenarios). It keeps no state but that of their
// runs and reads no database. It is the same program in the all-in-one command and in a container
// of its own (cmd/edge).
//
// # Guarantees
//
//   - A service that is away costs only its own part: its calls answer 503 with
//     code service_unavailable, a timeline names it in missing, a check fails
//     the invariants that need it. A client that does not send its body whole
//     is told so (400): that is not the service's absence.
//   - Figures that come from several databases are read twice: an offender
//     counts only if it is still there, unchanged.
package web
