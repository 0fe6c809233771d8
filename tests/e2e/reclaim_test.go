package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func TestDeleteRemovesTheVolumeAndItsData(t *testing.T) {
	w := beside(t)
	w.apply(claim("data", "hostpath-csi", "64Mi") + podWith("a", "data"))
	w.running("a")
	w.inPod("a", "echo secret >/data/file")
	pv, node := w.volumeOf("data"), w.nodeOf("a")
	if out, err := onNode(t.Context(), node, "cat", w.directory(pv)+"/file"); err != nil || strings.TrimSpace(out) != "secret" {
		t.Errorf("on the node the file has %q (%v)", out, err)
	}

	// In use it is protected: the claim waits for the pod.
	w.kubectl("delete", "pvc/data", "--wait=false")
	if got := w.inPod("a", "cat /data/file"); got != "secret" {
		t.Errorf("after its claim was deleted, the pod reads %q", got)
	}
	w.gone("a")
	w.noVolume(pv.Name)
	w.eventually("the directory is gone", func(ctx context.Context) error {
		if _, err := onNode(ctx, node, "test", "!", "-e", w.directory(pv)); err != nil {
			return fmt.Errorf("it is there: %w", err)
		}
		return nil
	})
}

// Whoever has a file by another name has what the disk has of it: of a volume that was scrubbed,
// zeros.
func TestScrubOverwritesWhatItRemoves(t *testing.T) {
	w := beside(t)
	w.apply(claim("data", w.class("Delete", "pool: plain, onDelete: scrub"), "64Mi") + podWith("a", "data"))
	w.running("a")
	w.inPod("a", "mkdir /data/deep && echo secret >/data/deep/file && sync")
	pv, node := w.volumeOf("data"), w.nodeOf("a")
	placed, witness := "/var/lib/hostpath-csi/plain/volumes/"+pv.Spec.CSI.VolumeHandle, "/var/lib/hostpath-csi/witness-"+w.ns
	w.tidies(node, witness)
	w.at(node, `ln "$0/deep/file" "$1"`, placed, witness)
	w.gone("a")
	w.kubectl("delete", "pvc/data")
	w.noVolume(pv.Name)
	w.eventually("its file is overwritten and removed", func(context.Context) error {
		if got := w.at(node, `stat -c '%s bytes, %h names' "$0"; tr -d '\0' <"$0"`, witness); got != "7 bytes, 1 names" {
			return fmt.Errorf("it has %s", got)
		}
		return nil
	})
}

func TestRetainKeepsTheVolumeForAnotherClaim(t *testing.T) {
	w := beside(t)
	w.apply(claim("data", "hostpath-csi-retain", "64Mi") + podWith("a", "data"))
	w.running("a")
	w.inPod("a", "echo kept >/data/file")
	pv := w.volumeOf("data")
	w.gone("a")
	w.kubectl("delete", "pvc/data")
	w.phase(pv.Name, corev1.VolumeReleased)

	// As docs/install.md has it: whoever looked at the data lets it be claimed again.
	free := []byte(`{"spec":{"claimRef":null}}`)
	if _, err := kube.CoreV1().PersistentVolumes().Patch(t.Context(), pv.Name, types.MergePatchType, free, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	w.apply(claimFrom("again", "hostpath-csi-retain", "64Mi", "volumeName: "+pv.Name) + podWith("b", "again"))
	w.running("b")
	if got := w.inPod("b", "cat /data/file"); got != "kept" {
		t.Errorf("the next claim's pod reads %q", got)
	}
	w.gone("b")
	w.kubectl("delete", "pvc/again")
	w.phase(pv.Name, corev1.VolumeReleased)

	// A volume whose PersistentVolume was deleted is found again by a static one.
	w.kubectl("delete", "pv/"+pv.Name)
	if _, err := objects.Resource(volumes).Get(t.Context(), pv.Spec.CSI.VolumeHandle, metav1.GetOptions{}); err != nil {
		t.Fatalf("the record of a retained volume: %v", err)
	}
	w.apply(w.exampleWith("static-pv.yaml", "pvc-00000000-0000-0000-0000-000000000000", pv.Spec.CSI.VolumeHandle, "node-1", nodeFor(pv), "namespace: default", "namespace: "+w.ns))
	w.running("kept")
	if got := w.inPod("kept", "cat /data/file"); got != "kept" {
		t.Errorf("the pod of the static volume reads %q", got)
	}
	w.gone("kept")
	w.kubectl("delete", "pvc/kept")
	w.phase("kept", corev1.VolumeReleased)
	// With the policy Delete, and the driver named as who made it, it goes.
	w.kubectl("patch", "pv/kept", "--type=merge", "-p", `{"metadata":{"annotations":{"pv.kubernetes.io/provisioned-by":"hostpath-csi.dev"}},"spec":{"persistentVolumeReclaimPolicy":"Delete"}}`)
	w.noVolume("kept")
	w.noRecord(pv.Spec.CSI.VolumeHandle)
}

func TestRecycleEmptiesTheVolumeForTheNextClaim(t *testing.T) {
	w := beside(t)
	w.apply(claim("data", "hostpath-csi-retain", "64Mi") + podWith("a", "data"))
	w.running("a")
	w.inPod("a", "mkdir -p /data/deep/er && echo secret >/data/deep/er/file && echo secret >/data/file && chmod 700 /data")
	pv := w.volumeOf("data")
	w.kubectl("annotate", "pv/"+pv.Name, "hostpath-csi.dev/reclaim=recycle")
	w.gone("a")
	w.kubectl("delete", "pvc/data")
	w.phase(pv.Name, corev1.VolumeAvailable)

	w.apply(claimFrom("again", "hostpath-csi-retain", "64Mi", "volumeName: "+pv.Name) + podWith("b", "again"))
	w.running("b")
	if got := w.inPod("b", "ls -A /data"); got != "" {
		t.Errorf("the next claim's pod finds %q", got)
	}
	w.inPod("b", "echo kept >/data/file && cat /data/file")

	// Without the annotation it is kept.
	w.kubectl("annotate", "pv/"+pv.Name, "hostpath-csi.dev/reclaim-")
	w.gone("b")
	w.kubectl("delete", "pvc/again")
	w.phase(pv.Name, corev1.VolumeReleased)
	if out, err := onNode(t.Context(), nodeFor(pv), "cat", w.directory(pv)+"/file"); err != nil || strings.TrimSpace(out) != "kept" {
		t.Errorf("a released volume's file has %q (%v)", out, err)
	}
	w.kubectl("patch", "pv/"+pv.Name, "--type=merge", "-p", `{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}`)
	w.noVolume(pv.Name)
}

// phase waits until a PersistentVolume has a phase.
func (w *world) phase(name string, want corev1.PersistentVolumePhase) {
	w.Helper()
	w.eventually(fmt.Sprintf("volume %s is %s", name, want), func(ctx context.Context) error {
		pv, err := kube.CoreV1().PersistentVolumes().Get(ctx, name, metav1.GetOptions{})
		if err == nil && pv.Status.Phase != want {
			err = fmt.Errorf("it is %s", pv.Status.Phase)
		}
		return err
	})
}

// nodeFor returns the node that a volume is bound to.
func nodeFor(pv *corev1.PersistentVolume) string {
	return pv.Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0].Values[0]
}
