// Package stacktest gives tests a stack, whole or in parts.
//
//	db := stacktest.Postgres(t)     // URL of a fresh database
//	brokers := stacktest.Kafka(t)   // a broker of the test's own
//	s := stacktest.Start(t)         // everything
//
// The same tests run on real servers: where KAFKA_BROKERS, TEMPORAL_ADDRESS,
// NATS_URL, REDIS_ADDR, POSTGRES_URL, or SMTP_ADDR with INBOX_URL are set, those
// addresses are handed out. What is on such a server is shared with other tests,
// so tests name their topics, task queues, subjects and keys uniquely.
//
// Postgres and Temporal take a while to start, so all tests of a binary share one
// of each: databases and workflow ids keep them apart. They end with the test
// binary, and the next run removes their files.
package stacktest
