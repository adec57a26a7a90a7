// Command temporalserver is a Temporal server in one process: frontend,
// history, matching and worker services on a SQLite file, with the web UI.
//
// It takes the flags of "temporal server start-dev" that Cartwheel uses, with
// the same meaning, so that whoever starts it may start Temporal's own command
// line tool instead.
//
// It is a module of its own, outside go.work: the server brings some 460
// modules that would otherwise move the versions of everybody else's.
//
// Guarantees: everything acknowledged is in the SQLite file (write-ahead log,
// synchronous per checkpoint), so workflows survive a killed process; a process
// killed in the middle of creating the schema leaves no half-made database;
// SIGINT and SIGTERM stop it in order; it listens on the given address only.
package main
