package main

import (
	"strings"
	"testing"
)

func TestATracingEndpointIsAURL(t *testing.T) {
	for _, endpoint := range []string{"127.0.0.1:4317", "grpc://127.0.0.1:4317", "http://127.0.0.1", "http://127.0.0.1:4317/v1/traces", "http://user:pw@127.0.0.1:4317", "http://[::1", "unix:///run/otel.sock"} {
		if _, _, err := startTracing(t.Context(), endpoint, "node"); err == nil || !strings.Contains(err.Error(), "such as http://127.0.0.1:4317") {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
	provider, stop, err := startTracing(t.Context(), "", "node")
	if provider != nil || err != nil {
		t.Errorf("without an endpoint there is %v, %v", provider, err)
	}
	stop()
	// Nobody listens there, and nobody is held up.
	provider, stop, err = startTracing(t.Context(), "http://127.0.0.1:1", "node")
	must(t, err)
	_, span := provider.Tracer("test").Start(t.Context(), "call")
	span.End()
	stop()
}
