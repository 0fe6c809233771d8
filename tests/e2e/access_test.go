package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestABlockVolumeIsADeviceOfItsSize(t *testing.T) {
	w := beside(t)
	manifest := blockClaim("disk", "64Mi") + podWithBlock("a", "disk")
	w.apply(manifest)
	w.running("a")
	if got := w.inPod("a", "blockdev --getsize64 /dev/disk"); got != "67108864" {
		t.Errorf("the device has %s bytes, want 67108864", got)
	}
	w.inPod("a", "echo hello | dd of=/dev/disk bs=512 count=1 conv=sync,fsync 2>/dev/null")
	w.gone("a")
	w.apply(manifest)
	w.running("a")
	if got := w.inPod("a", "head -c 5 /dev/disk"); got != "hello" {
		t.Errorf("the next pod reads %q", got)
	}
}

// blockClaim is the manifest of a claim of a block volume.
func blockClaim(name, size string) string {
	return strings.Replace(claim(name, "hostpath-csi", size), "accessModes", "volumeMode: Block\n  accessModes", 1)
}

// podWithBlock is that of a pod that has one at /dev/disk; more are lines of its spec.
func podWithBlock(name, claim string, more ...string) string {
	return strings.Replace(podWith(name, claim, more...), "volumeMounts: [{name: data, mountPath: /data}]", "volumeDevices: [{name: data, devicePath: /dev/disk}]", 1)
}

func TestAGenericEphemeralVolumeLivesAsLongAsItsPod(t *testing.T) {
	w := beside(t)
	w.apply(strings.Replace(podWith("a", "none"), "persistentVolumeClaim: {claimName: none}",
		"ephemeral: {volumeClaimTemplate: {spec: {accessModes: [ReadWriteOnce], storageClassName: hostpath-csi, resources: {requests: {storage: 32Mi}}}}}", 1))
	w.running("a")
	w.inPod("a", "echo x >/data/x")
	name := w.volumeOf("a-data").Name
	w.gone("a")
	w.noVolume(name)
}

func TestReadOnlyMountsAndOtherUsers(t *testing.T) {
	w := beside(t)
	w.apply(claim("data", "hostpath-csi", "32Mi") +
		podWith("a", "data", "securityContext: {runAsUser: 1000, runAsGroup: 1000, fsGroup: 2000}"))
	w.running("a")
	w.inPod("a", "echo mine >/data/file")
	if got := w.inPod("a", "stat -c %g /data/file"); got != "2000" {
		t.Errorf("a new file has group %s, want the fsGroup, 2000", got)
	}
	w.apply(strings.Replace(podWith("b", "data", on(w.nodeOf("a"))), "claimName: data", "claimName: data, readOnly: true", 1))
	w.running("b")
	if got := w.inPod("b", "cat /data/file"); got != "mine" {
		t.Errorf("the reader reads %q", got)
	}
	if out, err := w.tryInPod("b", "echo no >/data/other 2>&1"); err == nil || !strings.Contains(out+err.Error(), "Read-only") {
		t.Errorf("a read-only volume was written to: %q, %v", out, err)
	}
}

func TestReadWriteOncePodIsForOnePod(t *testing.T) {
	w := beside(t)
	w.apply(strings.Replace(claim("data", "hostpath-csi", "32Mi"), "ReadWriteOnce", "ReadWriteOncePod", 1) + podWith("a", "data"))
	w.running("a")
	w.apply(podWith("b", "data"))
	w.eventually("the second pod is refused", func(ctx context.Context) error {
		pod, err := kube.CoreV1().Pods(w.ns).Get(ctx, "b", metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && strings.Contains(c.Message, "ReadWriteOncePod") {
				return nil
			}
		}
		return errors.New(fmt.Sprint(pod.Status.Conditions))
	})
	w.gone("a")
	w.running("b")
}
