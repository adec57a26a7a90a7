// Package analytics owns what is computed from facts and from telemetry: the
// log of facts, sales per day, sensor minutes and anomalies. It also looks after
// the brokers: topics, lag, dead letters.
//
// It consumes every fact, and the JetStream stream TELEMETRY; it publishes
// telemetry.aggregated and telemetry.anomaly_detected to the topic telemetry. It
// serves no commands.
//
// # Guarantees
//
//   - Each fact counts once in the log and in sales, by the inbox.
//   - Each telemetry sample counts once: a batch's aggregates and the position in
//     the stream are one transaction, for windows that are still open too, and
//     a frame that a device repeats is told by its number.
//   - Windows are minutes of event time. One closes when its sensor is
//     [lateness] past its end, or was silent; what comes later publishes the
//     minute again with a higher revision.
package analytics
