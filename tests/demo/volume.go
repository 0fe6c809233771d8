package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
)

func capability() *csi.VolumeCapability {
	return &csi.VolumeCapability{
		AccessMode: &csi.VolumeCapability_AccessMode{Mode: csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER},
		AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{}},
	}
}

func (d *demo) create(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	req := &csi.CreateVolumeRequest{
		Name:               volumeName,
		CapacityRange:      &csi.CapacityRange{RequiredBytes: firstSize},
		VolumeCapabilities: []*csi.VolumeCapability{capability()},
	}
	d.out.call("CreateVolume name=%s required_bytes=%s", volumeName, size(firstSize))
	begin := time.Now()
	resp, err := d.controller().CreateVolume(ctx, req)
	if err != nil {
		return err
	}
	took := time.Since(begin)
	volume := resp.GetVolume()
	d.volumeID, d.volumeCtx, d.capacity = volume.GetVolumeId(), volume.GetVolumeContext(), volume.GetCapacityBytes()
	if d.capacity < firstSize {
		return fmt.Errorf("it has %s, less than was asked for", size(d.capacity))
	}
	if !slices.ContainsFunc(volume.GetAccessibleTopology(), func(t *csi.Topology) bool {
		return t.GetSegments()[topologyKey] == nodeID
	}) {
		return fmt.Errorf("it does not say that it lies on node %q: %v", nodeID, volume.GetAccessibleTopology())
	}
	dir := filepath.Join(d.pool, "volumes", d.volumeID)
	// What was made durably is moved to its place while the answer is on its way.
	if err := eventually(ctx, func() error {
		st, err := os.Stat(dir)
		if err == nil && !st.IsDir() {
			err = fmt.Errorf("%s is no directory", dir)
		}
		return err
	}); err != nil {
		return err
	}
	d.out.seen("volume %q, %s, on node %q, in %.1f ms", d.volumeID, size(d.capacity), nodeID,
		float64(took.Microseconds())/1000)
	d.out.seen("it is a directory: %s", dir)

	again, err := d.controller().CreateVolume(ctx, req)
	if err != nil {
		return fmt.Errorf("asked a second time: %w", err)
	}
	if again.GetVolume().GetVolumeId() != d.volumeID {
		return fmt.Errorf("asked a second time it made another volume, %q", again.GetVolume().GetVolumeId())
	}
	d.out.seen("asked a second time, as a retrying orchestrator does: the same volume, not another")
	return nil
}

func (d *demo) expand(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	d.out.call("ControllerExpandVolume volume_id=%s required_bytes=%s", d.volumeID, size(secondSize))
	resp, err := d.controller().ControllerExpandVolume(ctx, &csi.ControllerExpandVolumeRequest{
		VolumeId:         d.volumeID,
		CapacityRange:    &csi.CapacityRange{RequiredBytes: secondSize},
		VolumeCapability: capability(),
	})
	if err != nil {
		return err
	}
	if resp.GetNodeExpansionRequired() {
		if _, err := d.node().NodeExpandVolume(ctx, &csi.NodeExpandVolumeRequest{
			VolumeId:         d.volumeID,
			VolumePath:       d.target,
			CapacityRange:    &csi.CapacityRange{RequiredBytes: secondSize},
			VolumeCapability: capability(),
		}); err != nil {
			return err
		}
	}
	if resp.GetCapacityBytes() < secondSize {
		return fmt.Errorf("it has %s after that", size(resp.GetCapacityBytes()))
	}
	old := d.capacity
	d.capacity = resp.GetCapacityBytes()
	if err := d.wantListed(ctx); err != nil {
		return err
	}
	if err := d.wantData(); err != nil {
		return err
	}
	d.out.seen("from %s to %s; its data is in reach as before", size(old), size(d.capacity))
	const more = 32 * mib
	if written, err := appendTo(d.fillerPath(), more); err != nil {
		return fmt.Errorf("the write stops after %s more: %w", size(written), err)
	}
	d.out.seen("%s more were written", size(more))
	return nil
}

// list returns all volumes of the driver.
func (d *demo) list(ctx context.Context) ([]*csi.Volume, error) {
	resp, err := d.controller().ListVolumes(ctx, &csi.ListVolumesRequest{})
	if err != nil {
		return nil, err
	}
	var volumes []*csi.Volume
	for _, e := range resp.GetEntries() {
		volumes = append(volumes, e.GetVolume())
	}
	return volumes, nil
}

// wantListed checks that the driver knows the volume and its size, and no other.
func (d *demo) wantListed(ctx context.Context) error {
	volumes, err := d.list(ctx)
	if err != nil {
		return err
	}
	if len(volumes) != 1 || volumes[0].GetVolumeId() != d.volumeID || volumes[0].GetCapacityBytes() != d.capacity {
		return fmt.Errorf("the driver lists %v, not just %q with %s", volumes, d.volumeID, size(d.capacity))
	}
	return nil
}
