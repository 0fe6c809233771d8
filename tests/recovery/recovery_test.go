// Package recovery loses and damages the store of a driver with volumes and a snapshot, and has
// 'hostpath-csi recover' rebuild it.
package recovery

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

func TestMain(m *testing.M) {
	code := m.Run()
	process.RemoveBinaries()
	os.Exit(code)
}

const content = "what a database wrote"

func TestALostOrDamagedStoreIsRebuiltFromTheVolumes(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, stateDir string){
		"the state directory is gone": func(t *testing.T, dir string) {
			must(t, os.RemoveAll(dir))
		},
		"the database is gone, its sentinel is there": func(t *testing.T, dir string) {
			must(t, os.RemoveAll(filepath.Join(dir, "db")))
		},
		"the database's files are overwritten": func(t *testing.T, dir string) {
			files, err := filepath.Glob(filepath.Join(dir, "db", "*"))
			must(t, err)
			for _, f := range files {
				if st, err := os.Stat(f); err == nil && st.Mode().IsRegular() {
					must(t, os.WriteFile(f, []byte("not a database"), 0o600))
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := process.TempDir(t)
			before := populate(t, dir)
			lose(t, filepath.Join(dir, "state"))

			d := process.Launch(t, process.Options{Dir: dir})
			if err := d.AwaitServing(); err == nil {
				t.Fatal("the driver serves without its store")
			}
			if !strings.Contains(d.Log(), "hostpath-csi recover") {
				t.Errorf("the driver does not name the remedy:\n%s", d.Log())
			}

			out := recoverStore(t, dir)
			for _, want := range []string{"volumes/one", "volumes/two", "snapshots/was-two", "team/data-0", "1 orphans", "3 recorded"} {
				if !strings.Contains(out, want) {
					t.Errorf("recover does not list %q:\n%s", want, out)
				}
			}
			if again := recoverStore(t, dir); !strings.Contains(again, "3 known before") {
				t.Errorf("recover again finds:\n%s", again)
			}

			after := process.Start(t, process.Options{Dir: dir})
			if got := sizes(t, after); got["one"] != before["one"] || got["two"] != before["two"] || len(got) != 2 {
				t.Errorf("volumes are %v, were %v", got, before)
			}
			target := filepath.Join(dir, "target")
			_, err := after.NodePublishVolume(context.Background(), publishRequest("two", target))
			must(t, err)
			if b, err := os.ReadFile(filepath.Join(target, "file")); err != nil || string(b) != content {
				t.Errorf("the volume holds %q, %v", b, err)
			}
			if _, err := os.Stat(filepath.Join(after.PoolDir(), "volumes", "orphan")); err != nil {
				t.Errorf("the orphan: %v", err)
			}
			_, err = after.NodeUnpublishVolume(context.Background(), &csi.NodeUnpublishVolumeRequest{VolumeId: "two", TargetPath: target})
			must(t, err)
			// The snapshot can be restored from, and deleted.
			if ready, err := after.Snapshots(); err != nil || len(ready) != 1 || !ready["was-two"] {
				t.Errorf("snapshots are %v, %v", ready, err)
			}
			_, err = after.Copy("restored", 3<<20, false, process.FromSnapshot("was-two"))
			must(t, err)
			must(t, after.RemoveSnapshot("was-two"))
			if b, err := os.ReadFile(filepath.Join(after.PoolDir(), "volumes", "restored", "file")); err != nil || string(b) != content {
				t.Errorf("what was restored holds %q, %v", b, err)
			}
			must(t, after.Delete("restored"))
			if left, err := os.ReadDir(filepath.Join(after.PoolDir(), "snapshots")); err != nil || len(left) > 0 {
				t.Errorf("snapshots/ holds %v, %v", left, err)
			}
			for id := range before {
				_, err := after.DeleteVolume(context.Background(), &csi.DeleteVolumeRequest{VolumeId: id})
				must(t, err)
			}
		})
	}
}

func TestRecoverLeavesAStoreThatIsInOrderAlone(t *testing.T) {
	dir := process.TempDir(t)
	before := populate(t, dir)
	if out := recoverStore(t, dir); !strings.Contains(out, "0 recorded, 3 known before, 1 orphans") {
		t.Errorf("recover says:\n%s", out)
	}
	if got := sizes(t, process.Start(t, process.Options{Dir: dir})); len(got) != len(before) {
		t.Errorf("volumes are %v, were %v", got, before)
	}
}

func TestAfterRecoverAMissingDiskIsStillMissed(t *testing.T) {
	dir := process.TempDir(t)
	populate(t, dir)
	must(t, os.RemoveAll(filepath.Join(dir, "state")))
	recoverStore(t, dir)
	must(t, os.Rename(filepath.Join(dir, "pool"), filepath.Join(dir, "elsewhere")))
	d := process.Launch(t, process.Options{Dir: dir})
	if err := d.AwaitServing(); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("Probe says %v", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "pool")); !os.IsNotExist(err) {
		t.Errorf("the driver made another pool in the place of the missing one: %v", err)
	}
}

func TestRecoverRefusesAStoreInUse(t *testing.T) {
	d := process.Start(t, process.Options{})
	out, err := exec.Command(process.Binary(t, ""), "recover", "--state-dir", d.StateDir(), "--pool", "default="+d.PoolDir()).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "in use by process") {
		t.Errorf("recover says %q, %v", out, err)
	}
}

// populate makes two volumes, one of them expanded and with a claim, and a
// directory that is nobody's, and returns the volumes' sizes.
func populate(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	ctx := context.Background()
	d := process.Start(t, process.Options{Dir: dir})
	for _, name := range []string{"one", "two"} {
		_, err := d.CreateVolume(ctx, &csi.CreateVolumeRequest{Name: name, CapacityRange: &csi.CapacityRange{RequiredBytes: 1 << 20},
			VolumeCapabilities: []*csi.VolumeCapability{capability()},
			Parameters:         map[string]string{"csi.storage.k8s.io/pvc/namespace": "team", "csi.storage.k8s.io/pvc/name": "data-0"}})
		must(t, err)
	}
	_, err := d.ControllerExpandVolume(ctx, &csi.ControllerExpandVolumeRequest{VolumeId: "two", CapacityRange: &csi.CapacityRange{RequiredBytes: 3 << 20}})
	must(t, err)
	target := filepath.Join(dir, "target")
	_, err = d.NodePublishVolume(ctx, publishRequest("two", target))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(target, "file"), []byte(content), 0o600))
	_, err = d.NodeUnpublishVolume(ctx, &csi.NodeUnpublishVolumeRequest{VolumeId: "two", TargetPath: target})
	must(t, err)
	_, err = d.TakeSnapshot("was-two", "two")
	must(t, err)
	must(t, os.Mkdir(filepath.Join(d.PoolDir(), "volumes", "orphan"), 0o755))
	before := sizes(t, d)
	must(t, d.Terminate())
	return before
}

func recoverStore(t *testing.T, dir string) string {
	t.Helper()
	out, err := exec.Command(process.Binary(t, ""), "recover", "--state-dir", filepath.Join(dir, "state"), "--pool", "default="+filepath.Join(dir, "pool")).CombinedOutput()
	if err != nil {
		t.Fatalf("recover: %v\n%s", err, out)
	}
	return string(out)
}

func sizes(t *testing.T, d *process.Driver) map[string]int64 {
	t.Helper()
	resp, err := d.ListVolumes(context.Background(), &csi.ListVolumesRequest{})
	must(t, err)
	all := map[string]int64{}
	for _, e := range resp.GetEntries() {
		all[e.GetVolume().GetVolumeId()] = e.GetVolume().GetCapacityBytes()
	}
	return all
}

func publishRequest(id, target string) *csi.NodePublishVolumeRequest {
	return &csi.NodePublishVolumeRequest{VolumeId: id, TargetPath: target, VolumeCapability: capability()}
}

func capability() *csi.VolumeCapability {
	return &csi.VolumeCapability{AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{}},
		AccessMode: &csi.VolumeCapability_AccessMode{Mode: csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER}}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
