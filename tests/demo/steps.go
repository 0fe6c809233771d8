package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	mib = 1 << 20

	topologyKey = "topology.hostpath-csi.dev/node"
	volumeName  = "demo-data"
	firstSize   = 64 * mib
	secondSize  = 128 * mib
	payload     = 8 * mib
	payloadFile = "payload"
	callTime    = 30 * time.Second // for one call: far more than it takes

	backgroundTime = 10 * time.Second // for what is done in the background: far more too
	lookEvery      = 10 * time.Millisecond
)

// steps is the story. Each says what was seen, or fails with what was seen instead.
var steps = []struct {
	title string
	do    func(*demo, context.Context) error
}{
	{"The driver starts", (*demo).startDriver},
	{"A volume is created", (*demo).create},
	{"It is published: mounted where a pod would find it", (*demo).publish},
	{"The pod writes data", (*demo).write},
	{"How full is it?", (*demo).statistics},
	{"A write stops at the volume's size", (*demo).fill},
	{"It grows, while in use, and the write goes on", (*demo).expand},
	{"A snapshot is taken, and the data overwritten", (*demo).snapshot},
	{"A larger volume is restored from the snapshot", (*demo).restore},
	{"The first is unpublished and published again: the data is there", (*demo).republish},
	{"The driver is killed (SIGKILL)", (*demo).crash},
	{"It starts again: nothing is lost", (*demo).restart},
	{"A volume in use cannot be deleted", (*demo).deleteInUse},
	{"Unpublished, it can", (*demo).delete},
	{"Nothing is left behind", (*demo).nothingLeft},
}

// play does all steps, up to the first that fails.
func (d *demo) play(ctx context.Context) error {
	for _, step := range steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		d.out.heading(step.title)
		if err := step.do(d, ctx); err != nil {
			return fmt.Errorf("at %q: %w", step.title, err)
		}
	}
	return nil
}

func (d *demo) controller() csi.ControllerClient { return csi.NewControllerClient(d.driver.conn) }
func (d *demo) node() csi.NodeClient             { return csi.NewNodeClient(d.driver.conn) }

// payloadPath is the pod's file as the pod sees it.
func (d *demo) payloadPath() string { return filepath.Join(d.target, payloadFile) }

func capability() *csi.VolumeCapability {
	return &csi.VolumeCapability{
		AccessMode: &csi.VolumeCapability_AccessMode{Mode: csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER},
		AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{}},
	}
}

func (d *demo) startDriver(ctx context.Context) error {
	d.out.call("hostpath-csi %s", strings.Join(d.driver.args(), " "))
	begin := time.Now()
	if err := d.driver.start(ctx); err != nil {
		return err
	}
	took := time.Since(begin)
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	info, err := csi.NewIdentityClient(d.driver.conn).GetPluginInfo(ctx, &csi.GetPluginInfoRequest{})
	if err != nil {
		return err
	}
	node, err := d.node().NodeGetInfo(ctx, &csi.NodeGetInfoRequest{})
	if err != nil {
		return err
	}
	if node.GetNodeId() != nodeID {
		return fmt.Errorf("the node calls itself %q, not %q", node.GetNodeId(), nodeID)
	}
	d.out.seen("%s %s answers as node %q after %d ms",
		info.GetName(), info.GetVendorVersion(), node.GetNodeId(), took.Milliseconds())
	pool, err := df(d.pool)
	if err != nil {
		return err
	}
	file, err := os.Stat(d.image)
	if err != nil {
		return err
	}
	d.out.seen("it has made a file of %s, formatted it, and mounted it: a pool of %s", size(file.Size()), size(pool.total))
	return nil
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

func (d *demo) unpublishCall(ctx context.Context) error {
	_, err := d.node().NodeUnpublishVolume(ctx, &csi.NodeUnpublishVolumeRequest{VolumeId: d.volumeID, TargetPath: d.target})
	return err
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

func (d *demo) republish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	d.out.call("NodeUnpublishVolume volume_id=%s target_path=%s", d.volumeID, d.target)
	if err := d.unpublishCall(ctx); err != nil {
		return err
	}
	if err := d.wantUnpublished(); err != nil {
		return err
	}
	d.out.seen("not mounted any more")
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
	d.out.call("NodeUnpublishVolume volume_id=%s target_path=%s", d.volumeID, d.target)
	if err := d.unpublishCall(ctx); err != nil {
		return err
	}
	if err := d.wantUnpublished(); err != nil {
		return err
	}
	d.out.seen("not mounted any more")
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
