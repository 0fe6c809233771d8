package driver

import (
	"context"
	"fmt"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/hostpath-csi/hostpath-csi/pkg/mount"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// NodeGetVolumeStats counts the bytes and inodes of the volume itself, if it is
// published at the path; of a block volume it tells the size.
func (n *node) NodeGetVolumeStats(ctx context.Context, req *csi.NodeGetVolumeStatsRequest) (*csi.NodeGetVolumeStatsResponse, error) {
	id, path := recordID(req.GetVolumeId()), req.GetVolumePath()
	if err := checkID("volume_id", id); err != nil {
		return nil, err
	}
	if path == "" {
		return nil, state.Errorf(state.Invalid, "volume_path is missing")
	}
	v, dir, err := n.open(ctx, id)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if mount.ValidTarget(path) != nil {
		return nil, state.Errorf(state.NotFound, "volume %s is not published at volume_path %s", id, state.Quote(path))
	}
	switch there, err := n.mounts.IsPublishedAt(id, path, dir); {
	case err != nil:
		return nil, err
	case !there:
		return nil, state.Errorf(state.NotFound, "volume %s is not published at volume_path %s", id, state.Quote(path))
	}
	u, err := n.disk.Usage(ctx, v)
	if err != nil {
		return nil, fmt.Errorf("counting volume %s: %w", id, err)
	}
	if v.Spec.AccessType == state.BlockAccess {
		// What is used of a device is known to whoever wrote to it.
		return &csi.NodeGetVolumeStatsResponse{Usage: []*csi.VolumeUsage{{Unit: csi.VolumeUsage_BYTES, Total: u.TotalBytes}}}, nil
	}
	return &csi.NodeGetVolumeStatsResponse{Usage: []*csi.VolumeUsage{
		{Unit: csi.VolumeUsage_BYTES, Total: u.TotalBytes, Used: u.UsedBytes, Available: u.AvailableBytes},
		{Unit: csi.VolumeUsage_INODES, Total: u.TotalInodes, Used: u.UsedInodes, Available: u.AvailableInodes},
	}}, nil
}
