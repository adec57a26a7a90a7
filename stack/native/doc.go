// Package native runs the servers that the stack otherwise imitates: Apache Kafka
// in KRaft mode, from Maven's artefacts, and redis-server, as children of this
// process. Postgres, NATS and Temporal are the real ones anyway.
//
// # Guarantees
//
//   - A server listens on loopback, at the port that it is given, and is ready when
//     its start returns: it has answered a request.
//   - One that ends by itself, or is killed, is started again on its data, at the
//     same address, until [Server.Stop].
//   - It ends with this process, however that ends. What a killed machine left
//     running on the same directory is stopped first.
//   - Its output is in a file of its directory, whose end is part of the error when
//     it does not start.
//   - What is downloaded is kept in a cache directory, and is whole when it is there.
//
// Java 17 and Maven, or redis-server, must be installed; the error says so.
package native
