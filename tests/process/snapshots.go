package process

import (
	"github.com/container-storage-interface/spec/lib/go/csi"
)

// TakeSnapshot takes a snapshot of the volume and tells whether it is ready to use.
func (d *Driver) TakeSnapshot(name, volume string) (ready bool, err error) {
	ctx, cancel := callContext()
	defer cancel()
	resp, err := d.CreateSnapshot(ctx, &csi.CreateSnapshotRequest{Name: name, SourceVolumeId: volume})
	return resp.GetSnapshot().GetReadyToUse(), err
}

// RemoveSnapshot deletes the snapshot.
func (d *Driver) RemoveSnapshot(id string) error {
	ctx, cancel := callContext()
	defer cancel()
	_, err := d.DeleteSnapshot(ctx, &csi.DeleteSnapshotRequest{SnapshotId: id})
	return err
}

// Snapshots tells by ID which snapshots there are, and which of them are ready to use.
func (d *Driver) Snapshots() (map[string]bool, error) {
	ctx, cancel := callContext()
	defer cancel()
	ready := map[string]bool{}
	for token := ""; ; {
		resp, err := d.ListSnapshots(ctx, &csi.ListSnapshotsRequest{StartingToken: token})
		if err != nil {
			return nil, err
		}
		for _, e := range resp.GetEntries() {
			ready[e.GetSnapshot().GetSnapshotId()] = e.GetSnapshot().GetReadyToUse()
		}
		if token = resp.GetNextToken(); token == "" {
			return ready, nil
		}
	}
}

// FromSnapshot has a volume begin as a copy of a snapshot.
func FromSnapshot(id string) *csi.VolumeContentSource {
	return &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Snapshot{Snapshot: &csi.VolumeContentSource_SnapshotSource{SnapshotId: id}}}
}

// FromVolume has a volume begin as a copy of a volume.
func FromVolume(id string) *csi.VolumeContentSource {
	return &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Volume{Volume: &csi.VolumeContentSource_VolumeSource{VolumeId: id}}}
}

// Copy makes a volume that begins as a copy, a block volume if block says so, and returns
// its ID.
func (d *Driver) Copy(name string, bytes int64, block bool, from *csi.VolumeContentSource) (id string, err error) {
	ctx, cancel := callContext()
	defer cancel()
	req := CreateRequest(name, bytes)
	if block {
		req.VolumeCapabilities = []*csi.VolumeCapability{BlockCapability(SingleWriter)}
	}
	req.VolumeContentSource = from
	resp, err := d.CreateVolume(ctx, req)
	return resp.GetVolume().GetVolumeId(), err
}
