package client

import (
	"context"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
)

// TakeSnapshot takes a snapshot of the volume and waits until it is ready to use. A
// sidecar asks again now and then; this one does so often, since the time is measured.
func (c *Client) TakeSnapshot(ctx context.Context, w int, name string, of *Volume) (id string, err error) {
	const often = 2 * time.Millisecond
	for {
		resp, err := csi.NewControllerClient(c.conn(w)).CreateSnapshot(ctx, &csi.CreateSnapshotRequest{
			Name: name, SourceVolumeId: of.created.GetVolumeId(),
		})
		if err != nil {
			return "", describe(ctx, "CreateSnapshot", name, err)
		}
		if resp.GetSnapshot().GetReadyToUse() {
			return resp.GetSnapshot().GetSnapshotId(), nil
		}
		select {
		case <-ctx.Done():
			return "", describe(ctx, "CreateSnapshot", name, ctx.Err())
		case <-time.After(often):
		}
	}
}

// DeleteSnapshot deletes the snapshot.
func (c *Client) DeleteSnapshot(ctx context.Context, w int, id string) error {
	_, err := csi.NewControllerClient(c.conn(w)).DeleteSnapshot(ctx, &csi.DeleteSnapshotRequest{SnapshotId: id})
	if err != nil {
		return describe(ctx, "DeleteSnapshot", id, err)
	}
	return nil
}

// FromSnapshot has a volume begin as a copy of a snapshot.
func FromSnapshot(id string) *csi.VolumeContentSource {
	return &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Snapshot{
		Snapshot: &csi.VolumeContentSource_SnapshotSource{SnapshotId: id},
	}}
}

// FromVolume has a volume begin as a copy of another.
func FromVolume(v *Volume) *csi.VolumeContentSource {
	return &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Volume{
		Volume: &csi.VolumeContentSource_VolumeSource{VolumeId: v.created.GetVolumeId()},
	}}
}

// ID is what the created volume is called.
func (v *Volume) ID() string { return v.created.GetVolumeId() }
