// Package postgres opens a service's database: it waits for the server, makes
// the database when it is missing, migrates it, and tells trouble that heals by
// itself from trouble that does not.
//
// # Guarantees
//
//   - [Open] waits for the server as long as its context lives, and says once
//     what it waits for.
//   - Any number of replicas may open at once: databases are created and
//     migrations applied by one of them, the others wait.
//   - Migrations of several sources (the service's own, the outbox's, the
//     inbox's) are numbered independently, each in its own version table.
//
// A test gets a server from package postgrestest.
package postgres
