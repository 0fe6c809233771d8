package driver

import (
	"context"
	"slices"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

var healthTypes = map[state.HealthType]csi.VolumeHealthErrorType{
	state.Degraded:     csi.VolumeHealthErrorType_DEGRADED,
	state.Inaccessible: csi.VolumeHealthErrorType_INACCESSIBLE,
	state.DataLoss:     csi.VolumeHealthErrorType_DATA_LOSS,
}

// healthOf tells what is wrong with a volume, and with the pool it lies in.
func healthOf(v state.Volume, n state.NodeStatus) *csi.VolumeHealth {
	h := &csi.VolumeHealth{VolumeId: v.ID}
	for _, c := range state.HealthOf(v, n) {
		h.HealthStatuses = append(h.HealthStatuses, &csi.VolumeHealth_VolumeHealthEntry{Status: healthTypes[c.Type], Reason: c.Reason, Message: c.Message})
	}
	return h
}

// ControllerGetVolumeHealth tells what is wrong with one volume (CSI 1.13).
func (c *controller) ControllerGetVolumeHealth(ctx context.Context, req *csi.ControllerGetVolumeHealthRequest) (*csi.ControllerGetVolumeHealthResponse, error) {
	if err := checkID("volume_id", req.GetVolumeId()); err != nil {
		return nil, err
	}
	v, err := c.get(ctx, req.GetVolumeId())
	if err != nil {
		return nil, err
	}
	n, err := c.nodes.Get(ctx, v.Spec.Node)
	if err != nil {
		return nil, err
	}
	return &csi.ControllerGetVolumeHealthResponse{VolumeHealth: healthOf(v, n.Status)}, nil
}

// ControllerListVolumeHealth tells of the volumes with which something is wrong,
// in pages as ListVolumes has them (CSI 1.13).
func (c *controller) ControllerListVolumeHealth(ctx context.Context, req *csi.ControllerListVolumeHealthRequest) (*csi.ControllerListVolumeHealthResponse, error) {
	nodes, _, err := c.nodes.List(ctx, state.Page{})
	if err != nil {
		return nil, err
	}
	byID := make(map[string]state.NodeStatus, len(nodes))
	for _, n := range nodes {
		byID[n.ID] = n.Status
	}
	resp := &csi.ControllerListVolumeHealthResponse{}
	resp.NextToken, err = c.eachReady(ctx, req.GetMaxEntries(), req.GetStartingToken(), func(v state.Volume) bool {
		h := healthOf(v, byID[v.Spec.Node])
		if len(h.HealthStatuses) > 0 {
			resp.Entries = append(resp.Entries, h)
		}
		return len(h.HealthStatuses) > 0
	})
	return resp, err
}

// NodeGetVolumeHealth tells what is wrong with one volume, as this node sees it
// (CSI 1.13).
func (n *node) NodeGetVolumeHealth(ctx context.Context, req *csi.NodeGetVolumeHealthRequest) (*csi.NodeGetVolumeHealthResponse, error) {
	if err := checkID("volume_id", req.GetVolumeId()); err != nil {
		return nil, err
	}
	v, err := getReady(ctx, n.volumes, recordID(req.GetVolumeId()))
	if err != nil {
		return nil, err
	}
	h := healthOf(v, state.NodeStatus{Pools: n.disk.Pools(ctx)})
	h.VolumeId = req.GetVolumeId()
	if dir, err := n.disk.Open(v); err == nil {
		_ = dir.Close()
	} else if !slices.ContainsFunc(h.HealthStatuses, isSerious) {
		h.HealthStatuses = append(h.HealthStatuses, &csi.VolumeHealth_VolumeHealthEntry{Status: csi.VolumeHealthErrorType_DATA_LOSS, Reason: "DirectoryMissing", Message: err.Error()})
	}
	return &csi.NodeGetVolumeHealthResponse{VolumeHealth: h}, nil
}

// isSerious tells that a volume cannot be used, or is lost.
func isSerious(e *csi.VolumeHealth_VolumeHealthEntry) bool {
	return e.GetStatus() != csi.VolumeHealthErrorType_DEGRADED
}

// NodeGetStorageHealth tells which of the node's pools cannot be used (CSI 1.13).
func (n *node) NodeGetStorageHealth(ctx context.Context, _ *csi.NodeGetStorageHealthRequest) (*csi.NodeGetStorageHealthResponse, error) {
	resp := &csi.NodeGetStorageHealthResponse{}
	for _, p := range n.disk.Pools(ctx) {
		for _, c := range p.Health {
			// A reason may be told once only, so it carries the pool's name.
			resp.BackendHealth = append(resp.BackendHealth, &csi.NodeGetStorageHealthResponse_StorageBackendHealth{
				Status: csi.StorageHealthErrorType_STORAGE_UNREACHABLE, Reason: c.Reason + "-" + p.Name, Message: c.Message})
		}
	}
	return resp, nil
}
