// Package stack runs every dependency of the shop with nothing installed but
// Go: Kafka, NATS, Redis and a mail server in this process, Postgres and
// Temporal as its children. Each can be replaced by the address of a real one,
// and the services never know which it is.
//
//	| part     | embedded                                      | instead, by         |
//	|----------|-----------------------------------------------|---------------------|
//	| Kafka    | franz-go's kfake on files                     | Config.KafkaBrokers |
//	| Temporal | the real server on SQLite, a child            | .TemporalAddress    |
//	| NATS     | the real server, JetStream on files, and MQTT | .NATSURL            |
//	| Redis    | miniredis, in memory                          | .RedisAddr          |
//	| Postgres | the real server, a child                      | .PostgresURL        |
//	| SMTP     | a mail server that keeps what it is sent      | .SMTPAddr, .InboxURL|
//
// Guarantees:
//
//   - [Start] returns when every part but Temporal serves. Temporal's address
//     holds from then on, but the server may have to be compiled first, which
//     takes minutes; [Stack.Status] and [Progress] say how far it is, and
//     whoever dials it retries. If it cannot be had, the rest goes on.
//   - One process at a time uses a data directory. What was acknowledged to a
//     client is there after a restart, after kill -9 too; only Redis forgets, as
//     a cache may. After a power cut, Kafka may lack what the system had not yet
//     written, as a single real broker may.
//   - Ports are free ones of 127.0.0.1, kept over restarts of one data directory
//     as long as nobody else takes them. Nothing listens anywhere else.
//   - A child that crashes is started again, with a growing pause.
//   - [Stack.Stop] returns before its context ends, with all children ended and all
//     ports free. When this process is killed, its children end too.
//   - An error of Start is one sentence that says what to do, and leaves nothing
//     running.
//
// Tests get single parts, or all, from package stacktest.
package stack
