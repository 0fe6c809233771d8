// Package fakecsi is a CSI driver for tests: it keeps its volumes in memory,
// mounts nothing, and is as strict with its caller as a real one.
package fakecsi

import (
	"context"
	"net"
	"os"
	"slices"
	"sync"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Driver is the fake. The zero value is ready to Serve.
type Driver struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedControllerServer
	csi.UnimplementedNodeServer

	// Refuse is the full method name of a call that is to fail.
	Refuse string
	// NotReady is how many times Probe shall say no.
	NotReady int

	mu      sync.Mutex
	volumes map[string]*volume
	calls   map[string]int
}

type volume struct {
	capacity int64
	target   string
}

// Serve serves on the Unix socket at path until ctx ends.
func (d *Driver) Serve(ctx context.Context, path string) error {
	lis, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	d.volumes, d.calls = map[string]*volume{}, map[string]int{}
	server := grpc.NewServer(grpc.UnaryInterceptor(d.intercept))
	csi.RegisterIdentityServer(server, d)
	csi.RegisterControllerServer(server, d)
	csi.RegisterNodeServer(server, d)
	stop := context.AfterFunc(ctx, server.Stop)
	defer stop()
	return server.Serve(lis)
}

// Calls returns how often a method, by its full name, was called.
func (d *Driver) Calls(method string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls[method]
}

// Volumes returns how many volumes there are.
func (d *Driver) Volumes() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.volumes)
}

// intercept counts the calls and lets one of them run at a time.
func (d *Driver) intercept(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls[info.FullMethod]++
	if info.FullMethod == d.Refuse {
		return nil, status.Error(codes.Internal, "refused by the test")
	}
	return handler(ctx, req)
}

func (d *Driver) volume(id string) (*volume, error) {
	if v, ok := d.volumes[id]; ok {
		return v, nil
	}
	return nil, status.Errorf(codes.NotFound, "no volume %q", id)
}

// Probe implements csi.IdentityServer.
func (d *Driver) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	d.NotReady--
	return &csi.ProbeResponse{Ready: wrapperspb.Bool(d.NotReady < 0)}, nil
}

// GetPluginInfo implements csi.IdentityServer.
func (d *Driver) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: "fake.example.com"}, nil
}

// CreateVolume implements csi.ControllerServer.
func (d *Driver) CreateVolume(_ context.Context, req *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	if req.GetAccessibilityRequirements() == nil || len(req.GetVolumeCapabilities()) == 0 {
		return nil, status.Error(codes.InvalidArgument, "no topology or no capabilities")
	}
	v, ok := d.volumes[req.GetName()]
	if !ok {
		v = &volume{capacity: req.GetCapacityRange().GetRequiredBytes()}
		d.volumes[req.GetName()] = v
	}
	return &csi.CreateVolumeResponse{Volume: &csi.Volume{VolumeId: req.GetName(), CapacityBytes: v.capacity}}, nil
}

// DeleteVolume implements csi.ControllerServer.
func (d *Driver) DeleteVolume(_ context.Context, req *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	if v, ok := d.volumes[req.GetVolumeId()]; ok && v.target != "" {
		return nil, status.Errorf(codes.FailedPrecondition, "published at %s", v.target)
	}
	delete(d.volumes, req.GetVolumeId())
	return &csi.DeleteVolumeResponse{}, nil
}

// ControllerExpandVolume implements csi.ControllerServer.
func (d *Driver) ControllerExpandVolume(_ context.Context, req *csi.ControllerExpandVolumeRequest) (*csi.ControllerExpandVolumeResponse, error) {
	v, err := d.volume(req.GetVolumeId())
	if err != nil {
		return nil, err
	}
	v.capacity = max(v.capacity, req.GetCapacityRange().GetRequiredBytes())
	return &csi.ControllerExpandVolumeResponse{CapacityBytes: v.capacity, NodeExpansionRequired: true}, nil
}

// ListVolumes implements csi.ControllerServer. The token is the last ID seen.
func (d *Driver) ListVolumes(_ context.Context, req *csi.ListVolumesRequest) (*csi.ListVolumesResponse, error) {
	ids := make([]string, 0, len(d.volumes))
	for id := range d.volumes {
		if id > req.GetStartingToken() {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	resp := &csi.ListVolumesResponse{}
	if n := int(req.GetMaxEntries()); n > 0 && n < len(ids) {
		ids = ids[:n]
		resp.NextToken = ids[n-1]
	}
	for _, id := range ids {
		resp.Entries = append(resp.Entries, &csi.ListVolumesResponse_Entry{Volume: &csi.Volume{VolumeId: id}})
	}
	return resp, nil
}

// NodeGetInfo implements csi.NodeServer.
func (d *Driver) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{
		NodeId:             "here",
		AccessibleTopology: &csi.Topology{Segments: map[string]string{"example.com/node": "here"}},
	}, nil
}

// NodePublishVolume implements csi.NodeServer.
func (d *Driver) NodePublishVolume(_ context.Context, req *csi.NodePublishVolumeRequest) (*csi.NodePublishVolumeResponse, error) {
	v, err := d.volume(req.GetVolumeId())
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(req.GetTargetPath(), 0o750); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	v.target = req.GetTargetPath()
	return &csi.NodePublishVolumeResponse{}, nil
}

// NodeUnpublishVolume implements csi.NodeServer.
func (d *Driver) NodeUnpublishVolume(_ context.Context, req *csi.NodeUnpublishVolumeRequest) (*csi.NodeUnpublishVolumeResponse, error) {
	v, err := d.volume(req.GetVolumeId())
	if err != nil {
		return nil, err
	}
	if err := os.Remove(req.GetTargetPath()); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	v.target = ""
	return &csi.NodeUnpublishVolumeResponse{}, nil
}

// NodeGetVolumeStats implements csi.NodeServer.
func (d *Driver) NodeGetVolumeStats(_ context.Context, req *csi.NodeGetVolumeStatsRequest) (*csi.NodeGetVolumeStatsResponse, error) {
	v, err := d.volume(req.GetVolumeId())
	if err != nil {
		return nil, err
	}
	if v.target == "" || v.target != req.GetVolumePath() {
		return nil, status.Errorf(codes.NotFound, "%s is not where the volume is published", req.GetVolumePath())
	}
	return &csi.NodeGetVolumeStatsResponse{Usage: []*csi.VolumeUsage{{Unit: csi.VolumeUsage_BYTES, Total: v.capacity}}}, nil
}

// NodeExpandVolume implements csi.NodeServer.
func (d *Driver) NodeExpandVolume(_ context.Context, req *csi.NodeExpandVolumeRequest) (*csi.NodeExpandVolumeResponse, error) {
	if _, err := d.volume(req.GetVolumeId()); err != nil {
		return nil, err
	}
	return &csi.NodeExpandVolumeResponse{}, nil
}
