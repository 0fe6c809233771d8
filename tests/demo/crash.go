package main

import (
	"context"
	"fmt"
	"time"
)

func (d *demo) crash(context.Context) error {
	pid := d.driver.cmd.Process.Pid
	d.out.call("kill -KILL %d", pid)
	d.driver.kill()
	if state := d.driver.cmd.ProcessState; state.ExitCode() != -1 {
		return fmt.Errorf("the driver was not killed but ended itself: %v", state)
	}
	if err := d.wantMounts(1); err != nil {
		return err
	}
	if err := d.wantData(); err != nil {
		return err
	}
	d.out.seen("the driver is gone; the pod still reads its data: sha256 %s...", short(d.sum))
	return nil
}

func (d *demo) restart(ctx context.Context) error {
	d.out.call("hostpath-csi %s ...", d.driver.args()[0])
	begin := time.Now()
	if err := d.driver.start(ctx); err != nil {
		return err
	}
	took := time.Since(begin)
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	if err := d.wantListed(ctx); err != nil {
		return err
	}
	d.out.seen("it answers after %d ms and lists %q with %s", took.Milliseconds(), d.volumeID, size(d.capacity))
	// The orchestrator cannot know what the crash interrupted, so it asks again.
	if err := d.publishCall(ctx); err != nil {
		return err
	}
	if err := d.wantMounts(1); err != nil {
		return err
	}
	d.out.seen("asked to publish it again, as an orchestrator does: mounted once, not twice")
	if err := d.wantData(); err != nil {
		return err
	}
	d.out.seen("the data is the same: sha256 %s...", short(d.sum))
	return nil
}
