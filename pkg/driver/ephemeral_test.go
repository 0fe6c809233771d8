package driver

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/mount"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// scratchID is a volume_id as the kubelet gives it.
var scratchID = "csi-" + strings.Repeat("0f", 32)

// nodeHere is the node service of the node "here" of a test's cluster, and what its
// kubelet has.
type nodeHere struct {
	*cluster
	node    *node
	kubelet string
}

// onlyPools is a Disk on which every volume is the same directory, in these pools.
type onlyPools struct {
	oneDirectory
	pools []state.PoolStatus
}

func (d onlyPools) Pools(context.Context) []state.PoolStatus { return d.pools }

func newNodeHere(t *testing.T) nodeHere {
	t.Helper()
	c := newCluster(t)
	mounts, err := mount.Load(nil, mount.LoadOptions{})
	c.must(err)
	disk := onlyPools{oneDirectory{dir: t.TempDir()}, []state.PoolStatus{{Name: "default"}, {Name: "fast"}}}
	return nodeHere{c, newNode(Options{NodeID: "here", Records: c.store.Volumes(), Ephemeral: c.store.Volumes(), Nodes: c.store.Nodes(), Disk: disk, Mounts: mounts}), t.TempDir()}
}

// target is where the kubelet has a pod's volume; its directory is made.
func (n nodeHere) target(pod string) string {
	n.Helper()
	at := filepath.Join(n.kubelet, "pods", pod, "volumes", "kubernetes.io~csi", "scratch")
	n.must(os.MkdirAll(at, 0o755))
	target := filepath.Join(at, "mount")
	n.Cleanup(func() { _ = unix.Unmount(target, unix.MNT_DETACH) })
	return target
}

func (n nodeHere) publish(id, target string, attributes map[string]string) error {
	capability := createOn().VolumeCapabilities[0]
	all := map[string]string{"csi.storage.k8s.io/ephemeral": "true", "csi.storage.k8s.io/pod.name": "p"}
	maps.Copy(all, attributes)
	_, err := n.node.NodePublishVolume(n.Context(), &csi.NodePublishVolumeRequest{VolumeId: id, TargetPath: target, VolumeCapability: capability, VolumeContext: all})
	return err
}

func (n nodeHere) unpublish(id, target string) error {
	_, err := n.node.NodeUnpublishVolume(n.Context(), &csi.NodeUnpublishVolumeRequest{VolumeId: id, TargetPath: target})
	return err
}

// recorded lists the volumes that there are records of.
func (n nodeHere) recorded() (ids []string) {
	n.Helper()
	all, _, err := n.store.Volumes().List(n.Context(), state.Page{})
	n.must(err)
	for _, v := range all {
		ids = append(ids, v.ID)
	}
	return ids
}

func TestAnEphemeralVolumeComesAndGoesWithItsPublish(t *testing.T) {
	n := newNodeHere(t)
	target := n.target("u")
	size := map[string]string{"size": "1Gi", "pool": "fast", "mode": "0770"}
	for range 2 { // the kubelet asks until it is answered, and again when it starts
		n.must(n.publish(scratchID, target, size))
	}
	v, err := n.store.Volumes().Get(t.Context(), state.EphemeralID(scratchID))
	n.must(err)
	want := state.VolumeSpec{Name: scratchID, Node: "here", Pool: "fast", CapacityBytes: gib, AccessType: state.MountAccess, Mode: 0o770, OnDelete: state.OnDeleteRemove,
		Ephemeral: &state.Ephemeral{Pod: state.Pod{Name: "p"}, Target: target}}
	if *v.Spec.Ephemeral != *want.Ephemeral {
		t.Errorf("it is %+v's", *v.Spec.Ephemeral)
	}
	if v.Spec.Ephemeral = want.Ephemeral; v.Spec != want {
		t.Errorf("got %+v, want %+v", v.Spec, want)
	}

	// It is its pod's alone, and is not what a CO asks the controller about.
	if got := state.ReasonOf(n.publish(scratchID, n.target("other"), size)); got != state.AlreadyExists {
		t.Errorf("for another pod: reason %q", got)
	}
	if err := n.publish(scratchID, target, map[string]string{"size": "2Gi"}); state.ReasonOf(err) != state.AlreadyExists || !strings.Contains(err.Error(), "with another volume_context: size: it has 1073741824") {
		t.Errorf("with another size: %v", err)
	}
	listed, err := n.ListVolumes(t.Context(), &csi.ListVolumesRequest{})
	if n.must(err); len(listed.Entries) > 0 {
		t.Errorf("the controller lists %v", listed.Entries)
	}
	if _, err := n.ControllerGetVolume(t.Context(), &csi.ControllerGetVolumeRequest{VolumeId: v.ID}); state.ReasonOf(err) != state.NotFound {
		t.Errorf("the controller knows it: %v", err)
	}
	if _, err := n.take("s", v.ID); state.ReasonOf(err) != state.NotFound {
		t.Errorf("a snapshot of it: %v", err)
	}
	_, err = n.DeleteVolume(t.Context(), &csi.DeleteVolumeRequest{VolumeId: v.ID})
	if n.must(err); len(n.recorded()) != 1 {
		t.Error("the controller has deleted it")
	}

	for range 2 {
		n.must(n.unpublish(scratchID, target))
	}
	if left := n.recorded(); len(left) > 0 {
		t.Errorf("left is %q", left)
	}
}

func TestAnEphemeralVolumeThatCannotBeMadeLeavesNothing(t *testing.T) {
	n := newNodeHere(t)
	target := n.target("u")
	n.volumesBecome(func(state.Volume) state.VolumeStatus {
		return state.VolumeStatus{Phase: state.Failed, Reason: state.NoSpace, Message: "pool default has room for 5 bytes"}
	})
	for name, test := range map[string]struct {
		id, target string
		attributes map[string]string
		want       state.Reason
		says       string
	}{
		"no room":                 {scratchID, target, map[string]string{"size": "1Gi"}, state.NoSpace, "has room for 5 bytes"},
		"more than any pool has":  {scratchID, target, map[string]string{"size": "1Ei"}, state.OutOfRange, "volume_context: size asks for 1152921504606846976 bytes; the largest pool that may take the volume has "},
		"no size":                 {scratchID, target, nil, state.Invalid, "size is missing"},
		"a path among attributes": {scratchID, target, map[string]string{"size": "1Gi", "path": "/etc"}, state.Invalid, `unknown key "path"`},
		"a pool there is not":     {scratchID, target, map[string]string{"size": "1Gi", "pool": "gold"}, state.NotReady, `pool is "gold"; node here has default, fast`},
		"an ID of another form":   {"pvc-1", target, map[string]string{"size": "1Gi"}, state.Invalid, `volume_id is "pvc-1"`},
		"a target that is none":   {scratchID, "mount", map[string]string{"size": "1Gi"}, state.Invalid, "target_path"},
	} {
		t.Run(name, func(t *testing.T) {
			err := n.publish(test.id, test.target, test.attributes)
			if state.ReasonOf(err) != test.want || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got reason %q: %v; want %q: %s", state.ReasonOf(err), err, test.want, test.says)
			}
			if left := n.recorded(); len(left) > 0 {
				t.Errorf("left is %q", left)
			}
		})
	}
}

func TestAVolumeWhosePodIsGoneIsRemoved(t *testing.T) {
	n := newNodeHere(t)
	size := map[string]string{"size": "1Gi"}
	other := "csi-" + strings.Repeat("1", 64)
	gone, stays := n.target("gone"), n.target("stays")
	n.must(n.publish(scratchID, gone, size))
	n.must(n.publish(other, stays, size))
	n.must(n.node.endAbandoned(t.Context()))
	if got := len(n.recorded()); got != 2 {
		t.Fatalf("%d volumes of two pods that are there", got)
	}
	// What the kubelet does of itself when it unpublishes, and nobody told the driver.
	n.must(n.node.mounts.Unpublish(t.Context(), state.EphemeralID(scratchID), nil, gone))
	n.must(os.RemoveAll(filepath.Join(n.kubelet, "pods", "gone")))
	n.must(n.node.endAbandoned(t.Context()))
	if got := n.recorded(); len(got) != 1 || got[0] != state.EphemeralID(other) {
		t.Errorf("left is %q", got)
	}
}

func TestAPodIsGoneOnlyIfItsKubeletSaysSo(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "kubelet/pods/there"), 0o755); err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]bool{
		"kubelet/pods/there/volumes/kubernetes.io~csi/scratch/mount": false,
		"kubelet/pods/gone/volumes/kubernetes.io~csi/scratch/mount":  true,
		"other/pods/gone/volumes/kubernetes.io~csi/scratch/mount":    false, // whose disk is not mounted, say
		"kubelet/pods/gone/volumes/kubernetes.io~csi/a/b/mount":      false,
		"kubelet/pods/gone/mount":                                    false,
		"targets/mount":                                              false,
	} {
		if got := podIsGone(filepath.Join(dir, target)); got != want {
			t.Errorf("%s: got %v, want %v", target, got, want)
		}
	}
}
