package observe

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.26.0"
)

// NewLogger returns a logger that writes to w. Level is debug, info, warn or
// error (info when empty); format is text or json (text when empty).
func NewLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	var l slog.Level
	if level != "" {
		if err := l.UnmarshalText([]byte(level)); err != nil {
			return nil, fmt.Errorf("LOG_LEVEL %q is not debug, info, warn or error", level)
		}
	}
	opts := &slog.HandlerOptions{Level: l}
	switch format {
	case "", "text":
		return slog.New(slog.NewTextHandler(w, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	}
	return nil, fmt.Errorf("LOG_FORMAT %q is not text or json", format)
}

// CheckEndpoint says what is wrong with an endpoint for [Setup].
func CheckEndpoint(endpoint string) error {
	if u, err := url.Parse(endpoint); endpoint != "" && (err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT must be http://host:port, not %q", endpoint)
	}
	return nil
}

// Setup installs the process's tracer provider and the W3C propagator.
// With an endpoint (http://host:4318) spans are exported by OTLP over HTTP.
// The returned function flushes and ends the export; it takes 2 s at most.
func Setup(ctx context.Context, service, endpoint string) (shutdown func(), err error) {
	if err := CheckEndpoint(endpoint); err != nil {
		return nil, err
	}
	opts := []trace.TracerProviderOption{
		trace.WithResource(resource.NewSchemaless(semconv.ServiceName(service))),
	}
	if endpoint == "" {
		opts = append(opts, trace.WithSampler(trace.NeverSample())) // ids travel, nothing is recorded
	} else {
		exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint))
		if err != nil {
			return nil, fmt.Errorf("trace exporter for %s: %w", endpoint, err)
		}
		opts = append(opts, trace.WithBatcher(exporter))
	}
	provider := trace.NewTracerProvider(opts...)
	otel.SetTracerProvider(provider)
	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}))
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_ = provider.Shutdown(ctx) // spans that cannot be sent at the end are lost; nothing depends on them
	}, nil
}
