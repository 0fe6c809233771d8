package commandline

import (
	"context"
	"encoding/hex"
	"errors"
	"net"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

func TestCallsAreTracedBeneathTheirCaller(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	spans := &spanCollector{}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, spans)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)

	d := process.Start(t, process.Options{Args: []string{"--tracing-endpoint", "http://" + l.Addr().String()}})
	const traceID, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	ctx := metadata.AppendToOutgoingContext(t.Context(), "traceparent", "00-"+traceID+"-"+parent+"-01")
	_, err = d.DeleteVolume(ctx, &csi.DeleteVolumeRequest{VolumeId: "none"})
	must(t, err)
	process.Eventually(t, "the collector has the span", func() error {
		s := spans.named("csi.v1.Controller/DeleteVolume")
		if s == nil {
			return errors.New("there is none")
		}
		if hex.EncodeToString(s.TraceId) != traceID || hex.EncodeToString(s.ParentSpanId) != parent || s.EndTimeUnixNano <= s.StartTimeUnixNano {
			t.Errorf("the span is %v", s)
		}
		return nil
	})
}

// spanCollector is a collector that keeps all it is sent.
type spanCollector struct {
	collector.UnimplementedTraceServiceServer
	mu    sync.Mutex
	spans []*tracepb.Span
}

func (c *spanCollector) Export(_ context.Context, r *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range r.ResourceSpans {
		for _, in := range of.ScopeSpans {
			c.spans = append(c.spans, in.Spans...)
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

func (c *spanCollector) named(name string) *tracepb.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if s.Name == name {
			return s
		}
	}
	return nil
}
