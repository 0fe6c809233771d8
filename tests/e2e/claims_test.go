package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// statefulWith is a StatefulSet of one pod, db-0, that has a volume of its own of a class at
// /data and another claim at /hostile.
const statefulWith = `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: main
          image: busybox:1.37.0
          command: [sh, -c, 'trap "exit 0" TERM; while :; do sleep 1; done']
          volumeMounts: [{name: data, mountPath: /data}, {name: hostile, mountPath: /hostile}]
      volumes: [{name: hostile, persistentVolumeClaim: {claimName: %[2]s}}]
  volumeClaimTemplates:
    - metadata: {name: data}
      spec:
        accessModes: [ReadWriteOnce]
        storageClassName: %[1]s
        resources: {requests: {storage: 64Mi}}
---
`

// claimed lists what lies in claims/ of a node's pool for this test's namespace, two directories
// deep.
func (w *world) claimed(node string) []string {
	w.Helper()
	return strings.Fields(w.at(node, `cd "$0" && find . -maxdepth 2 -path "./$1*" | sed 's|^\./||' | LC_ALL=C sort`, "/var/lib/hostpath-csi/btrfs/claims", w.ns))
}

// Volumes of a class with a pathTemplate lie under the names of their claims, whatever these
// are called, and are otherwise as all volumes are.
func TestVolumesLieUnderTheNamesOfTheirClaims(t *testing.T) {
	w := beside(t)
	class := w.class("Delete", `pathTemplate: "{{ .PVC.Namespace }}/{{ .PVC.Name }}-{{ .VolumeID }}"`)
	// As long as a claim's name can be, full of dots, and ending as a volume's ID does.
	const tail = "pvc-2f4e8a10-6c2b-4d0e-9a53-0a2f5e6d7c8b"
	hostile := strings.Repeat("x.", (253-len(tail))/2) + "x"[:(253-len(tail))%2] + tail
	w.apply(claim(hostile, class, "32Mi") + fmt.Sprintf(statefulWith, class, hostile))
	w.running("db-0")
	node := w.nodeOf("db-0")
	w.inPod("db-0", "echo before >/data/file; echo hostile >/hostile/file; sync")
	data, other := w.volumeOf("data-db-0").Spec.CSI.VolumeHandle, w.volumeOf(hostile).Spec.CSI.VolumeHandle
	own := w.ns + "/data-db-0-" + data
	long := w.ns + "/" + hostile[:255-len(other)] + other // as long as a directory's name can be
	if got, want := w.claimed(node), []string{w.ns, own, long}; !slices.Equal(got, want) {
		t.Errorf("in claims/ there are %q, want %q", got, want)
	}
	for at, want := range map[string]string{own: "before", long: "hostile"} {
		if got := w.at(node, `cat "$0/file"`, "/var/lib/hostpath-csi/btrfs/claims/"+at); got != want {
			t.Errorf("the file of claims/%s has %q, want %q", at, got, want)
		}
	}
	if got := w.at(node, `ls -A "$0"`, "/var/lib/hostpath-csi/btrfs/volumes"); strings.Contains(got, data) || strings.Contains(got, other) {
		t.Errorf("in volumes/ there is %q", got)
	}
	if out := w.hostpath("volumes"); !strings.Contains(lineWith(out, w.ns+"/data-db-0 "), "claims/"+own) {
		t.Errorf("kubectl hostpath volumes shows it elsewhere:\n%s", out)
	}

	// A snapshot of it is restored into a claim with a path of its own, and it grows.
	w.apply(snapshotOf("snap", "data-db-0"))
	w.kubectl("wait", "--for=jsonpath={.status.readyToUse}=true", "volumesnapshot/snap", "--timeout=120s")
	w.inPod("db-0", "echo after >/data/file")
	w.apply(claimFrom("restored", class, "64Mi", "dataSource: {apiGroup: snapshot.storage.k8s.io, kind: VolumeSnapshot, name: snap}") + podWith("b", "restored"))
	w.kubectl("patch", "pvc/data-db-0", "-p", `{"spec":{"resources":{"requests":{"storage":"96Mi"}}}}`)
	w.kubectl("wait", "--for=jsonpath={.status.capacity.storage}=96Mi", "pvc/data-db-0", "--timeout=120s")
	if taken := w.fill("db-0", "rest"); taken < 88*mib || taken > 100*mib {
		t.Errorf("grown to 96 MiB, the volume took %d bytes", taken)
	}
	w.running("b")
	if got := w.inPod("b", "cat /data/file"); got != "before" {
		t.Errorf("the restored volume has %q", got)
	}
	restored := w.ns + "/restored-" + w.volumeOf("restored").Spec.CSI.VolumeHandle
	if got, want := w.claimed(node), []string{w.ns, own, restored, long}; !slices.Equal(got, want) {
		t.Errorf("in claims/ there are %q, want %q", got, want)
	}

	// The next pod of the StatefulSet finds it.
	w.gone("db-0")
	w.running("db-0")
	if got := w.inPod("db-0", "cat /data/file /hostile/file"); got != "after\nhostile" {
		t.Errorf("the next pod reads %q", got)
	}

	// The last volume takes the directories on the way with it, and no other.
	w.kubectl("delete", "volumesnapshot/snap", "statefulset/db")
	w.gone("db-0", "b")
	w.kubectl("delete", "pvc/data-db-0", "pvc/"+hostile)
	w.noRecord(data)
	w.noRecord(other)
	if got, want := w.claimed(node), []string{w.ns, restored}; !slices.Equal(got, want) {
		t.Errorf("in claims/ there are %q, want %q", got, want)
	}
	w.kubectl("delete", "pvc/restored")
	w.eventually("claims/ has nothing of the namespace", func(context.Context) error {
		if got := w.claimed(node); len(got) > 0 {
			return fmt.Errorf("there are %q", got)
		}
		return nil
	})
}
