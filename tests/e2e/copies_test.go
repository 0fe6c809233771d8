package e2e

import (
	"fmt"
	"testing"
)

// snapshotOf is the manifest of a snapshot.
func snapshotOf(name, claim string) string {
	return fmt.Sprintf(`
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshot
metadata: {name: %s}
spec:
  volumeSnapshotClassName: hostpath-csi
  source: {persistentVolumeClaimName: %s}
---
`, name, claim)
}

func TestSnapshotsAreRestoredAndVolumesCloned(t *testing.T) {
	w := beside(t)
	w.apply(claim("data", "hostpath-csi", "64Mi") + podWith("a", "data"))
	w.running("a")
	w.inPod("a", "echo before >/data/file; sync")
	w.apply(snapshotOf("snap", "data"))
	w.kubectl("wait", "--for=jsonpath={.status.readyToUse}=true", "volumesnapshot/snap", "--timeout=120s")
	w.inPod("a", "echo after >/data/file; sync")

	// A restore may be larger, and lies where the snapshot does, wherever the scheduler begins.
	w.apply(claimFrom("restored", "hostpath-csi", "96Mi", "dataSource: {apiGroup: snapshot.storage.k8s.io, kind: VolumeSnapshot, name: snap}") + podWith("b", "restored") +
		claimFrom("cloned", "hostpath-csi", "96Mi", "dataSource: {kind: PersistentVolumeClaim, name: data}") + podWith("c", "cloned"))
	w.running("b", "c")
	if got := w.inPod("b", "cat /data/file"); got != "before" {
		t.Errorf("the restored volume has %q, want what was there before", got)
	}
	if got := w.inPod("c", "cat /data/file"); got != "after" {
		t.Errorf("the clone has %q, want what is there now", got)
	}
	// What was restored and cloned outlives its sources, and is held to a size of its own.
	w.gone("a")
	w.kubectl("delete", "volumesnapshot/snap", "pvc/data")
	for pod, had := range map[string]string{"b": "before", "c": "after"} {
		w.inPod(pod, "echo mine >>/data/file")
		if got := w.inPod(pod, "cat /data/file"); got != had+"\nmine" {
			t.Errorf("after its source has gone, %s has %q", pod, got)
		}
		if taken := w.fill(pod, "rest"); taken < 88*mib || taken > 100*mib {
			t.Errorf("the volume of 96 MiB of %s took %d bytes", pod, taken)
		}
	}
}
