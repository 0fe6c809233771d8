package main

import (
	"context"
	"fmt"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func (d *demo) deleteCall(ctx context.Context) error {
	_, err := d.controller().DeleteVolume(ctx, &csi.DeleteVolumeRequest{VolumeId: d.volumeID})
	return err
}

func (d *demo) deleteInUse(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	d.out.call("DeleteVolume volume_id=%s", d.volumeID)
	err := d.deleteCall(ctx)
	if status.Code(err) != codes.FailedPrecondition {
		return fmt.Errorf("it was not refused with FailedPrecondition: %v", err)
	}
	d.out.seen("refused with FailedPrecondition: %s", status.Convert(err).Message())
	if err := d.wantData(); err != nil {
		return err
	}
	d.out.seen("the data is still there")
	return nil
}

func (d *demo) delete(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	if err := d.unpublish(ctx); err != nil {
		return err
	}
	d.out.call("DeleteVolume volume_id=%s", d.volumeID)
	if err := d.deleteCall(ctx); err != nil {
		return err
	}
	d.out.seen("deleted")
	if err := d.deleteCall(ctx); err != nil {
		return fmt.Errorf("deleted a second time: %w", err)
	}
	d.out.seen("asked a second time: fine too, it is gone")
	return nil
}

func (d *demo) nothingLeft(ctx context.Context) error {
	// A new process tells what is recorded, not what the old one had in memory.
	d.out.call("kill -TERM %d, and start again", d.driver.cmd.Process.Pid)
	if err := d.driver.stop(); err != nil {
		return err
	}
	if err := d.driver.start(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	volumes, err := d.list(ctx)
	if err != nil {
		return err
	}
	if len(volumes) > 0 {
		return fmt.Errorf("records are left: %v", volumes)
	}
	d.out.seen("records: none")
	if err := d.wantPoolEmpty(ctx); err != nil {
		return err
	}
	d.out.seen("directories: none, neither in %s/volumes nor in its trash", d.pool)
	if err := d.wantUnpublished(); err != nil {
		return err
	}
	d.out.seen("mounts of volumes: none")
	if err := d.driver.stop(); err != nil {
		return err
	}
	d.out.seen("the driver ended on SIGTERM, with status 0")
	return nil
}

// wantPoolEmpty waits until the trash is emptied, which nobody had to wait for before.
func (d *demo) wantPoolEmpty(ctx context.Context) error {
	return eventually(ctx, func() error {
		left, err := leavings(d.pool)
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("directories are left: %q", left)
		}
		return err
	})
}

// eventually returns once check returns nil; for what the driver does in the
// background. It gives up, with what is wrong still, after a while.
func eventually(ctx context.Context, check func() error) error {
	deadline := time.Now().Add(backgroundTime)
	for {
		err := check()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lookEvery):
		}
	}
}
