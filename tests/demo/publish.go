package main

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/container-storage-interface/spec/lib/go/csi"
)

func (d *demo) publish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	d.out.call("NodePublishVolume volume_id=%s target_path=%s", d.volumeID, d.target)
	if err := d.publishCall(ctx); err != nil {
		return err
	}
	if err := d.wantMounts(1); err != nil {
		return err
	}
	d.out.seen("mounted at %s", d.target)
	return nil
}

func (d *demo) publishCall(ctx context.Context) error {
	_, err := d.node().NodePublishVolume(ctx, &csi.NodePublishVolumeRequest{
		VolumeId:         d.volumeID,
		TargetPath:       d.target,
		VolumeCapability: capability(),
		VolumeContext:    d.volumeCtx,
	})
	return err
}

func (d *demo) unpublish(ctx context.Context) error {
	d.out.call("NodeUnpublishVolume volume_id=%s target_path=%s", d.volumeID, d.target)
	if _, err := d.node().NodeUnpublishVolume(ctx, &csi.NodeUnpublishVolumeRequest{VolumeId: d.volumeID, TargetPath: d.target}); err != nil {
		return err
	}
	if err := d.wantUnpublished(); err != nil {
		return err
	}
	d.out.seen("not mounted any more")
	return nil
}

// wantMounts checks that the target is mounted on so many times, and nothing else is.
func (d *demo) wantMounts(n int) error {
	mounts, err := mountsBeneath(d.root)
	if err != nil {
		return err
	}
	mounts = slices.DeleteFunc(mounts, func(m string) bool { return m == d.pool }) // which outlives the driver
	if want := slices.Repeat([]string{d.target}, n); !slices.Equal(mounts, want) {
		return fmt.Errorf("mounted are %q, not %q", mounts, want)
	}
	return nil
}

func (d *demo) republish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	if err := d.unpublish(ctx); err != nil {
		return err
	}
	d.out.call("NodePublishVolume volume_id=%s target_path=%s", d.volumeID, d.target)
	if err := d.publishCall(ctx); err != nil {
		return err
	}
	if err := d.wantMounts(1); err != nil {
		return err
	}
	if err := d.wantData(); err != nil {
		return err
	}
	d.out.seen("mounted again, with the same data: sha256 %s...", short(d.sum))
	return nil
}

// wantUnpublished checks that neither a mount nor its directory is left.
func (d *demo) wantUnpublished() error {
	if err := d.wantMounts(0); err != nil {
		return err
	}
	if _, err := os.Lstat(d.target); !os.IsNotExist(err) {
		return fmt.Errorf("%s is still there (%v)", d.target, err)
	}
	return nil
}
