// Package observe sets up what makes a service visible: structured logs by
// slog, and OpenTelemetry traces whose ids travel in every event.
//
// Spans are always created, so that events carry a trace id; they leave the
// process only when an OTLP endpoint is configured. Nothing here blocks a
// request: exporters run in the background and drop what they cannot send.
package observe
