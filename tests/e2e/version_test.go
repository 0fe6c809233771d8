package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Another version of the driver comes, and goes again, while pods use volumes and a device.
func TestPodsGoOnWhileTheDriverIsUpgradedAndTakenBack(t *testing.T) {
	const now, next, version = "ghcr.io/hostpath-csi/hostpath-csi:v0.1.0", "ghcr.io/hostpath-csi/hostpath-csi:v0.1.1", "v0.1.1-of-a-test"
	w := alone(t)
	w.onEveryNode(next, version)
	w.apply(claim("data", "hostpath-csi", "32Mi") + podWith("a", "data", on("n1")) + blockClaim("disk", "32Mi") + podWithBlock("b", "disk", on("n1")))
	w.running("a", "b")
	w.inPod("b", "echo kept | dd of=/dev/disk bs=512 count=1 conv=sync,fsync 2>/dev/null")
	w.ticks("a")
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := setImage(ctx, now); err != nil {
			t.Error(err)
		}
	})
	for _, image := range []string{next, now} {
		if err := setImage(t.Context(), image); err != nil {
			t.Fatal(err)
		}
		w.rollout()
		w.eventually("the node plugin is of "+image, func(ctx context.Context) error {
			out, err := askPlugin(ctx, "n1", "metrics")
			line := lineWith(out, "hostpath_csi_build_info{")
			if err == nil && strings.Contains(line, version) != (image == next) {
				err = fmt.Errorf("it tells %q", line)
			}
			return err
		})
		w.stillTicks("a")
		if got := w.inPod("b", "head -c 4 /dev/disk"); got != "kept" {
			t.Errorf("with %s, the device has %q", image, got)
		}
	}
	// Volumes of the version before are served to their end by the one after.
	names := []string{w.volumeOf("data").Name, w.volumeOf("disk").Name}
	w.gone("a", "b")
	w.kubectl("delete", "pvc/data", "pvc/disk")
	for _, name := range names {
		w.noVolume(name)
	}
}

// setImage has both roles run an image.
func setImage(ctx context.Context, image string) error {
	_, err := kubectl(ctx, driverNamespace, "", "set", "image", "daemonset/hostpath-csi-node", "statefulset/hostpath-csi-controller", "hostpath-csi="+image)
	return err
}

// onEveryNode builds the driver as another version and has all nodes know it as an image.
func (w *world) onEveryNode(image, version string) {
	w.Helper()
	dir := w.TempDir()
	program, archive := filepath.Join(dir, "hostpath-csi"), filepath.Join(dir, "image.tar")
	build := exec.CommandContext(w.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.version="+version, "-o", program, "./cmd/hostpath-csi")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	pack := exec.CommandContext(w.Context(), filepath.Join(root, "tests/e2e/cluster/image.sh"), image, archive, `["/hostpath-csi"]`, program)
	for _, cmd := range []*exec.Cmd{build, pack} {
		if out, err := cmd.CombinedOutput(); err != nil {
			w.Fatalf("%v: %v\n%s", cmd.Args, err, out)
		}
	}
	for _, node := range []string{"1", "2", "3"} {
		if out, err := script(w.Context(), "images", node, archive); err != nil {
			w.Fatal(err, out)
		}
	}
}
