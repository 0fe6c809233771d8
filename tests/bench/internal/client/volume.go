package client

import (
	"cmp"
	"context"
	"fmt"

	"github.com/container-storage-interface/spec/lib/go/csi"
)

// Volume is one volume in its life, from CreateVolume to DeleteVolume.
type Volume struct {
	// Name is the CSI name that it is (to be) created with.
	Name string
	// Bytes is its size; 0: the client's Options.VolumeSize.
	Bytes int64
	// From is what it begins as a copy of; nil: it begins empty.
	From *csi.VolumeContentSource
	// created is what CreateVolume answered.
	created *csi.Volume
}

// Names returns the volumes' names.
func Names(volumes []*Volume) []string {
	names := make([]string, len(volumes))
	for i, v := range volumes {
		names[i] = v.Name
	}
	return names
}

func mount() *csi.VolumeCapability {
	return &csi.VolumeCapability{
		AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{}},
		AccessMode: &csi.VolumeCapability_AccessMode{Mode: csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER},
	}
}

func (c *Client) size(v *Volume) int64 { return cmp.Or(v.Bytes, c.volumeSize) }

// Create creates the volume, or creates it again.
func (c *Client) Create(ctx context.Context, w int, v *Volume) error {
	resp, err := csi.NewControllerClient(c.conn(w)).CreateVolume(ctx, &csi.CreateVolumeRequest{
		Name:                      v.Name,
		CapacityRange:             &csi.CapacityRange{RequiredBytes: c.size(v)},
		VolumeContentSource:       v.From,
		VolumeCapabilities:        []*csi.VolumeCapability{mount()},
		AccessibilityRequirements: c.topology,
	})
	if err != nil {
		return describe(ctx, "CreateVolume", v.Name, err)
	}
	got := resp.GetVolume()
	if got.GetVolumeId() == "" || got.GetCapacityBytes() != 0 && got.GetCapacityBytes() < c.size(v) {
		return fmt.Errorf("CreateVolume of %s: %d bytes were asked for; the answer is %v", v.Name, c.size(v), got)
	}
	if v.created != nil && v.created.GetVolumeId() != got.GetVolumeId() {
		return fmt.Errorf("CreateVolume of %s: it was %s, and is %s when created again", v.Name, v.created.GetVolumeId(), got.GetVolumeId())
	}
	v.created = got
	return nil
}

// Publish publishes the volume at a target path of its own.
func (c *Client) Publish(ctx context.Context, w int, v *Volume) error {
	_, err := csi.NewNodeClient(c.conn(w)).NodePublishVolume(ctx, &csi.NodePublishVolumeRequest{
		VolumeId:         v.created.GetVolumeId(),
		TargetPath:       c.target(v.Name),
		VolumeCapability: mount(),
		VolumeContext:    v.created.GetVolumeContext(),
	})
	if err != nil {
		return describe(ctx, "NodePublishVolume", v.Name, err)
	}
	return nil
}

// Stats asks for the stats of the published volume.
func (c *Client) Stats(ctx context.Context, w int, v *Volume) error {
	resp, err := csi.NewNodeClient(c.conn(w)).NodeGetVolumeStats(ctx, &csi.NodeGetVolumeStatsRequest{
		VolumeId:   v.created.GetVolumeId(),
		VolumePath: c.target(v.Name),
	})
	if err != nil {
		return describe(ctx, "NodeGetVolumeStats", v.Name, err)
	}
	if len(resp.GetUsage()) == 0 {
		return fmt.Errorf("NodeGetVolumeStats of %s: no usage in the answer", v.Name)
	}
	return nil
}

// Expand makes the published volume twice as big as it was created, on the node
// too where the driver asks for that.
func (c *Client) Expand(ctx context.Context, w int, v *Volume) error {
	size := &csi.CapacityRange{RequiredBytes: 2 * c.volumeSize}
	resp, err := csi.NewControllerClient(c.conn(w)).ControllerExpandVolume(ctx, &csi.ControllerExpandVolumeRequest{
		VolumeId:         v.created.GetVolumeId(),
		CapacityRange:    size,
		VolumeCapability: mount(),
	})
	if err != nil {
		return describe(ctx, "ControllerExpandVolume", v.Name, err)
	}
	if resp.GetCapacityBytes() < size.GetRequiredBytes() {
		return fmt.Errorf("ControllerExpandVolume of %s: got %d bytes, want %d", v.Name, resp.GetCapacityBytes(), size.GetRequiredBytes())
	}
	if !resp.GetNodeExpansionRequired() {
		return nil
	}
	_, err = csi.NewNodeClient(c.conn(w)).NodeExpandVolume(ctx, &csi.NodeExpandVolumeRequest{
		VolumeId:         v.created.GetVolumeId(),
		VolumePath:       c.target(v.Name),
		CapacityRange:    size,
		VolumeCapability: mount(),
	})
	if err != nil {
		return describe(ctx, "NodeExpandVolume", v.Name, err)
	}
	return nil
}

// Unpublish takes the volume back from its target path.
func (c *Client) Unpublish(ctx context.Context, w int, v *Volume) error {
	_, err := csi.NewNodeClient(c.conn(w)).NodeUnpublishVolume(ctx, &csi.NodeUnpublishVolumeRequest{
		VolumeId:   v.created.GetVolumeId(),
		TargetPath: c.target(v.Name),
	})
	if err != nil {
		return describe(ctx, "NodeUnpublishVolume", v.Name, err)
	}
	return nil
}

// Delete deletes the volume.
func (c *Client) Delete(ctx context.Context, w int, v *Volume) error {
	_, err := csi.NewControllerClient(c.conn(w)).DeleteVolume(ctx, &csi.DeleteVolumeRequest{VolumeId: v.created.GetVolumeId()})
	if err != nil {
		return describe(ctx, "DeleteVolume", v.Name, err)
	}
	v.created = nil
	return nil
}

// Cycle is a whole life: create, publish, stats, unpublish, delete.
func (c *Client) Cycle(ctx context.Context, w int, v *Volume) error {
	for _, step := range []func(context.Context, int, *Volume) error{c.Create, c.Publish, c.Stats, c.Unpublish, c.Delete} {
		if err := step(ctx, w, v); err != nil {
			return err
		}
	}
	return nil
}

// Empty is the cheapest call that there is. What it takes is gRPC's own.
func (c *Client) Empty(ctx context.Context, w int) error {
	_, err := csi.NewIdentityClient(c.conn(w)).GetPluginInfo(ctx, &csi.GetPluginInfoRequest{})
	if err != nil {
		return describe(ctx, "GetPluginInfo", "", err)
	}
	return nil
}
