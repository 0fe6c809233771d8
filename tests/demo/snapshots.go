package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
)

const (
	snapshotName = "demo-before"
	restoredName = "demo-restored"
)

// milliseconds since begin, as people read them.
func milliseconds(begin time.Time) string {
	return fmt.Sprintf("%.1f ms", float64(time.Since(begin).Microseconds())/1000)
}

func (d *demo) snapshot(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	d.out.call("CreateSnapshot name=%s source_volume_id=%s", snapshotName, d.volumeID)
	begin := time.Now()
	resp, err := d.controller().CreateSnapshot(ctx, &csi.CreateSnapshotRequest{Name: snapshotName, SourceVolumeId: d.volumeID})
	if err != nil {
		return err
	}
	took := milliseconds(begin)
	s := resp.GetSnapshot()
	if !s.GetReadyToUse() || s.GetSizeBytes() != d.capacity {
		return fmt.Errorf("it is %v", s)
	}
	d.snapshotID, d.snapshotSum = s.GetSnapshotId(), d.sum
	held, err := os.Stat(d.fillerPath())
	if err != nil {
		return err
	}
	d.out.seen("snapshot %q of a volume that holds %s, in %s: ready to use", d.snapshotID, size(held.Size()+payload), took)

	d.out.call("the pod overwrites %s", d.payloadPath())
	if err := os.Remove(d.payloadPath()); err != nil {
		return err
	}
	if d.sum, err = writeFile(d.payloadPath(), payload); err != nil {
		return err
	}
	sum, err := readSum(filepath.Join(d.pool, "snapshots", d.snapshotID, payloadFile))
	if err != nil {
		return err
	}
	if sum != d.snapshotSum {
		return fmt.Errorf("the snapshot has changed with its volume: sha256 %s", short(sum))
	}
	d.out.seen("the volume has sha256 %s... now, the snapshot %s...", short(d.sum), short(sum))
	return nil
}

func (d *demo) restore(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	d.out.call("CreateVolume name=%s volume_content_source=%s required_bytes=%s", restoredName, d.snapshotID, size(2*d.capacity))
	begin := time.Now()
	resp, err := d.controller().CreateVolume(ctx, &csi.CreateVolumeRequest{
		Name:               restoredName,
		CapacityRange:      &csi.CapacityRange{RequiredBytes: 2 * d.capacity},
		VolumeCapabilities: []*csi.VolumeCapability{capability()},
		VolumeContentSource: &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Snapshot{
			Snapshot: &csi.VolumeContentSource_SnapshotSource{SnapshotId: d.snapshotID}}},
	})
	if err != nil {
		return err
	}
	took := milliseconds(begin)
	id := resp.GetVolume().GetVolumeId()
	restored := func() error {
		sum, err := readSum(filepath.Join(d.pool, "volumes", id, payloadFile))
		if err == nil && sum != d.snapshotSum {
			err = fmt.Errorf("it holds other bytes than the snapshot: sha256 %s", short(sum))
		}
		return err
	}
	if err := eventually(ctx, restored); err != nil {
		return err
	}
	d.out.seen("volume %q, %s, in %s: it holds what was there before, sha256 %s...", id, size(resp.GetVolume().GetCapacityBytes()), took, short(d.snapshotSum))

	d.out.call("DeleteSnapshot snapshot_id=%s", d.snapshotID)
	if _, err := d.controller().DeleteSnapshot(ctx, &csi.DeleteSnapshotRequest{SnapshotId: d.snapshotID}); err != nil {
		return err
	}
	if err := restored(); err != nil {
		return fmt.Errorf("without the snapshot: %w", err)
	}
	if err := d.wantData(); err != nil {
		return err
	}
	d.out.seen("the restored volume lives on without it, and so does the first")
	d.out.call("DeleteVolume volume_id=%s", id)
	if _, err := d.controller().DeleteVolume(ctx, &csi.DeleteVolumeRequest{VolumeId: id}); err != nil {
		return err
	}
	return d.wantListed(ctx)
}
