package driver

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Liveness is the service of the gRPC health protocol that is well as long as the
// process answers: for a probe that ends the process, which mends no pool and brings
// no store back.
const Liveness = "liveness"

// healthServer is the gRPC health service (grpc.health.v1) for the whole server
// (service ""): it looks when it is asked, as Probe does. It knows Liveness, too.
type healthServer struct {
	healthpb.UnimplementedHealthServer
	o    *Options
	once sync.Once
	down chan struct{} // closed when the server is going down
}

func newHealthServer(o *Options) *healthServer {
	return &healthServer{o: o, down: make(chan struct{})}
}

func (h *healthServer) shutdown() { h.once.Do(func() { close(h.down) }) }

func (h *healthServer) status(ctx context.Context, service string) healthpb.HealthCheckResponse_ServingStatus {
	select {
	case <-h.down:
		return healthpb.HealthCheckResponse_NOT_SERVING
	default:
	}
	switch {
	case service != "" && service != Liveness:
		return healthpb.HealthCheckResponse_SERVICE_UNKNOWN
	case service == "" && h.o.well(ctx) != nil:
		return healthpb.HealthCheckResponse_NOT_SERVING
	}
	return healthpb.HealthCheckResponse_SERVING
}

// Check tells whether the server is well.
func (h *healthServer) Check(ctx context.Context, req *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	now := h.status(ctx, req.GetService())
	if now == healthpb.HealthCheckResponse_SERVICE_UNKNOWN {
		return nil, status.Errorf(codes.NotFound, "service %s: health is told for the whole server, service \"\", and for %q", state.Quote(req.GetService()), Liveness)
	}
	return &healthpb.HealthCheckResponse{Status: now}, nil
}

// watchEvery is how often Watch looks whether something changed.
const watchEvery = 5 * time.Second

// Watch tells whether the server is well, now and whenever that changes.
func (h *healthServer) Watch(req *healthpb.HealthCheckRequest, stream grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	last := healthpb.HealthCheckResponse_UNKNOWN
	for {
		now := h.status(stream.Context(), req.GetService())
		if now != last {
			if err := stream.Send(&healthpb.HealthCheckResponse{Status: now}); err != nil {
				return err
			}
			last = now
		}
		select {
		case <-tick.C:
		case <-h.down:
			// The stream must end, or the server could not.
			return stream.Send(&healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_NOT_SERVING})
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		}
	}
}
