package driver

import (
	"context"
	"net"
	"strings"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/kubernetes-csi/csi-lib-utils/protosanitizer"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"k8s.io/klog/v2"
)

// Server serves the CSI services on a socket.
type Server struct {
	grpc     *grpc.Server
	probes   *grpc.Server // health alone, for ServeHealth
	health   *healthServer
	node     *node // nil: there is no node service
	duration *prometheus.HistogramVec
}

// streamWorkers is how many goroutines are kept for calls.
const streamWorkers = 32

// NewServer makes a server of the services that o describes.
func NewServer(o Options) *Server {
	s := &Server{health: newHealthServer(&o), duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "hostpath_csi_rpc_duration_seconds",
		Help:    "Time from the arrival of a CSI call to its answer.",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"method", "code"})}
	// Workers stay between calls: a new goroutine would have to grow its stack for
	// each. More calls than workers are served by goroutines of their own.
	s.grpc = grpc.NewServer(append(traced(o.Tracing), grpc.UnaryInterceptor(s.intercept), grpc.NumStreamWorkers(streamWorkers))...)
	csi.RegisterIdentityServer(s.grpc, &identity{o: o})
	if o.Volumes != nil {
		csi.RegisterControllerServer(s.grpc, newController(o))
	}
	if o.NodeID != "" {
		s.node = newNode(o)
		csi.RegisterNodeServer(s.grpc, s.node)
	}
	if o.Orphans != nil {
		s.grpc.RegisterService(&orphansService, o.Orphans)
	}
	if o.Archive != nil {
		s.grpc.RegisterService(&archiveService, o.Archive)
	}
	s.probes = grpc.NewServer()
	for _, g := range []*grpc.Server{s.grpc, s.probes} {
		healthpb.RegisterHealthServer(g, s.health)
	}
	reflection.Register(s.grpc)
	return s
}

// Collectors returns what the server offers to Prometheus.
func (s *Server) Collectors() []prometheus.Collector { return []prometheus.Collector{s.duration} }

// Serve answers calls until Stop.
func (s *Server) Serve(l net.Listener) error { return s.grpc.Serve(l) }

// ServeHealth answers the gRPC health service alone until Stop, where others than the
// CO may ask, such as the kubelet's probes: they come by TCP.
func (s *Server) ServeHealth(l net.Listener) error { return s.probes.Serve(l) }

// Stop takes no new calls, lets those in flight end, and cuts off what is left
// after the grace period.
func (s *Server) Stop(grace time.Duration) {
	s.health.shutdown()
	defer s.probes.Stop()
	timer := time.AfterFunc(grace, func() {
		klog.InfoS("Calls in flight did not end in time; cutting them off", "after", grace)
		s.grpc.Stop()
	})
	defer timer.Stop()
	s.grpc.GracefulStop()
}

// intercept turns domain errors into statuses, and tells of every call in the log
// and the metrics. Requests are logged without their secrets.
func (s *Server) intercept(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	began := time.Now()
	if v := klog.V(5); v.Enabled() {
		v.InfoS("Call", "method", info.FullMethod, "request", forLog(req))
	}
	resp, err := handler(ctx, req)
	err = toStatus(err)
	took, code := time.Since(began), status.Code(err)
	s.duration.WithLabelValues(info.FullMethod, code.String()).Observe(took.Seconds())
	switch {
	case code == codes.Internal || code == codes.DataLoss:
		klog.ErrorS(err, "Call failed", "method", info.FullMethod, "volumeID", volumeOf(req), "code", code.String(), "took", took)
	case err != nil:
		klog.V(2).InfoS("Call refused", "method", info.FullMethod, "volumeID", volumeOf(req), "code", code.String(), "took", took, "err", status.Convert(err).Message())
	default:
		if v := klog.V(4); v.Enabled() {
			v.InfoS("Call answered", "method", info.FullMethod, "volumeID", volumeOf(req), "took", took)
		}
	}
	return resp, err
}

// forLog shows a request without its secrets. Mount flags may hold some, too (CSI:
// MountVolume.mount_flags), in what is behind a "=".
func forLog(req any) string {
	m := proto.Clone(req.(proto.Message))
	var all []*csi.VolumeCapability
	switch r := m.(type) {
	case interface{ GetVolumeCapability() *csi.VolumeCapability }:
		all = append(all, r.GetVolumeCapability())
	case interface {
		GetVolumeCapabilities() []*csi.VolumeCapability
	}:
		all = r.GetVolumeCapabilities()
	}
	for _, c := range all {
		for i, flag := range c.GetMount().GetMountFlags() {
			if key, _, ok := strings.Cut(flag, "="); ok {
				c.GetMount().GetMountFlags()[i] = key + "=..."
			}
		}
	}
	return protosanitizer.StripSecrets(m).String()
}

// volumeOf returns the volume that a request is about: its ID, or the name it
// shall have, or "".
func volumeOf(req any) string {
	switch r := req.(type) {
	case interface{ GetVolumeId() string }:
		return r.GetVolumeId()
	case interface{ GetName() string }:
		return r.GetName()
	}
	return ""
}

// Ready returns nil while the store and every pool of this node can be used.
func (s *Server) Ready(ctx context.Context) error { return s.health.o.well(ctx) }
