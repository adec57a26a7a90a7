// Package links connects a service to what it needs: its database with outbox and
// inbox, Kafka and NATS; package saga adds the saga engine. It is apart from package
// service, so that programs without these do not carry their clients.
//
// # Guarantees
//
//   - [Open] returns with the service's own database there and migrated; a Postgres
//     that is away is waited for. Everything else may be away: a link is made at
//     once, keeps trying, and outlives every outage.
//   - Each link is a health check of the service's [service.Life], so that
//     /readyz names what is missing.
//   - [Links.Close] ends the links, the last one first.
package links
