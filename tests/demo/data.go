package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/container-storage-interface/spec/lib/go/csi"
)

// payloadPath is the pod's file as the pod sees it.
func (d *demo) payloadPath() string { return filepath.Join(d.target, payloadFile) }

func (d *demo) write(context.Context) (err error) {
	d.out.call("write %s to %s", size(payload), d.payloadPath())
	if d.sum, err = writeFile(d.payloadPath(), payload); err != nil {
		return err
	}
	inPool := filepath.Join(d.pool, "volumes", d.volumeID, payloadFile)
	sum, err := readSum(inPool)
	if err != nil {
		return err
	}
	if sum != d.sum {
		return fmt.Errorf("%s has other contents than were written", inPool)
	}
	d.out.seen("the volume's directory holds the same bytes: sha256 %s...", short(d.sum))
	return nil
}

// wantData checks that the pod's file is what was written.
func (d *demo) wantData() error {
	sum, err := readSum(d.payloadPath())
	if err != nil {
		return err
	}
	if sum != d.sum {
		return fmt.Errorf("the data is not what was written: sha256 begins with %s, not with %s", short(sum), short(d.sum))
	}
	return nil
}

func (d *demo) statistics(ctx context.Context) error {
	free, err := df(d.target)
	if err != nil {
		return err
	}
	pool, err := df(d.pool)
	if err != nil {
		return err
	}
	d.out.call("df %s", d.target)
	d.out.seen("size %s, used %s, available %s", size(free.total), size(free.used), size(free.available))
	if free.total == pool.total {
		d.out.note("(the pool's: df does not know of btrfs' limits)")
	}

	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	d.out.call("NodeGetVolumeStats volume_id=%s", d.volumeID)
	stats, err := d.node().NodeGetVolumeStats(ctx, &csi.NodeGetVolumeStatsRequest{VolumeId: d.volumeID, VolumePath: d.target})
	if err != nil {
		return err
	}
	usage := map[csi.VolumeUsage_Unit]*csi.VolumeUsage{}
	for _, u := range stats.GetUsage() {
		usage[u.GetUnit()] = u
	}
	bytes, inodes := usage[csi.VolumeUsage_BYTES], usage[csi.VolumeUsage_INODES]
	if bytes.GetUsed() < payload {
		return fmt.Errorf("%s are said to be used, but %s were written", size(bytes.GetUsed()), size(payload))
	}
	if inodes.GetUsed() < 1 {
		return fmt.Errorf("no inode is said to be used, but there is a file")
	}
	d.out.seen("bytes: %s of %s used; inodes: %d used", size(bytes.GetUsed()), size(bytes.GetTotal()), inodes.GetUsed())
	return nil
}
