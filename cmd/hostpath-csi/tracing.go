package main

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// flushTime is how long the last spans may take to be sent when the driver ends.
const flushTime = 3 * time.Second

// startTracing has the spans of calls sent to an OpenTelemetry collector, in the
// background; nil if that is not wanted. A collector that is away holds nobody up: what it cannot be sent is dropped.
func startTracing(ctx context.Context, endpoint, role string) (_ trace.TracerProvider, stop func(), err error) {
	if endpoint == "" {
		return nil, func() {}, nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Port() == "" || u.User != nil || u.Path != "" || u.RawQuery != "" {
		return nil, nil, fmt.Errorf("--tracing-endpoint is %s; it takes http://HOST:PORT, or https://HOST:PORT, of a collector that speaks OTLP by gRPC, such as http://127.0.0.1:4317", state.Quote(endpoint))
	}
	exporter, err := otlptracegrpc.New(ctx, otlptracegrpc.WithEndpointURL(endpoint))
	if err != nil {
		return nil, nil, fmt.Errorf("--tracing-endpoint: %w", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { klog.V(2).InfoS("Sending traces failed", "endpoint", endpoint, "err", err) }))
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(resource.NewSchemaless(
		attribute.String("service.name", "hostpath-csi"), attribute.String("service.version", version), attribute.String("hostpath-csi.role", role))))
	klog.InfoS("Sending traces", "endpoint", endpoint)
	return provider, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
		defer cancel()
		closing("tracing", func() error { return provider.Shutdown(ctx) })
	}, nil
}
