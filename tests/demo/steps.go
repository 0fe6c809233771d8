package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
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
