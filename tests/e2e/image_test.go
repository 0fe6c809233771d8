package e2e

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// A node without a spare disk has its pool in an image file that the driver makes, formats
// and mounts: in its own container, and seen by every pod. The pool outlives the driver's pods
// and the node's power.
func TestAPoolInAnImageFileOutlivesTheDriverAndTheNode(t *testing.T) {
	const node, at = "n2", "/var/lib/hostpath-csi/image"
	w := alone(t)
	t.Cleanup(func() { // when the ConfigMap is as it was: as docs/filesystems.md takes a pool away
		if t.Failed() && os.Getenv("KEEP") != "" {
			return
		}
		ctx := context.Background()
		if _, err := kubectl(ctx, w.ns, "", "label", "node/"+node, "disk-"); err != nil {
			t.Error(err)
		}
		if _, err := kubectl(ctx, driverNamespace, "", "delete", "pod", "--selector=app.kubernetes.io/component=node", "--field-selector=spec.nodeName="+node); err != nil {
			t.Error(err)
		}
		if out, err := onNode(ctx, node, "sh", "-c", "umount "+at+" && rm -r "+at+" "+at+".img"); err != nil {
			t.Error(err, out)
		}
	})
	w.withPool(`  - name: image
    path: ` + at + `
    nodes: {matchLabels: {disk: none}}
    image: {path: ` + at + `.img, size: 400Mi, filesystem: btrfs, provisioning: thin}
    enforcement: required
`)
	w.kubectl("label", "node/"+node, "disk=none")
	w.poolHas(node, "image", 300*mib)

	w.apply(claim("data", w.class("Delete", "pool: image"), "64Mi") + podWith("a", "data", "restartPolicy: Always"))
	w.running("a")
	if got := w.nodeOf("a"); got != node {
		t.Fatalf("the pod is on node %s, and the only pool of its class on %s", got, node)
	}
	w.inPod("a", "echo kept >/data/file; sync")
	if took := w.fill("a", "rest"); took < 60*mib || took > 68*mib {
		t.Errorf("a volume of 64 MiB took %d bytes", took)
	}

	// It grows while pods use it, and while the driver is replaced.
	w.editConfig(func(s string) string { return strings.Replace(s, "size: 400Mi", "size: 600Mi", 1) })
	w.poolHas(node, "image", 500*mib)
	w.driver("delete", "pod", "--selector=app.kubernetes.io/component=node", "--field-selector=spec.nodeName="+node)
	w.rollout()
	if got := w.inPod("a", "cat /data/file"); got != "kept" {
		t.Errorf("after the driver was replaced, the pod reads %q", got)
	}

	w.powerCut(node)
	w.rollout()
	w.running("a")
	if got := w.inPod("a", "cat /data/file"); got != "kept" {
		t.Errorf("after the power cut, the pod reads %q", got)
	}
	name := w.volumeOf("data").Name
	w.gone("a")
	w.kubectl("delete", "pvc/data")
	w.noVolume(name)
}

// poolHas waits until a pool of a node has at least so many bytes, and holds volumes to
// their size.
func (w *world) poolHas(node, pool string, bytes int64) {
	w.Helper()
	w.eventually(fmt.Sprintf("pool %s of %s has %d bytes", pool, node, bytes), func(ctx context.Context) error {
		out, err := kubectl(ctx, driverNamespace, "", "get", "hostpathnode/"+node, "-o",
			fmt.Sprintf(`jsonpath={range .status.pools[?(@.name==%q)]}{.enforcesLimits} {.usage.totalBytes}{end}`, pool))
		if err != nil {
			return err
		}
		enforces, total, _ := strings.Cut(out, " ")
		if n, err := strconv.ParseInt(total, 10, 64); enforces != "true" || err != nil || n < bytes {
			return fmt.Errorf("its record tells %q", out)
		}
		return nil
	})
}
