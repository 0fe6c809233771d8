package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// rollout waits until the driver's pods are as they should be.
func (w *world) rollout() {
	w.Helper()
	w.rolledOut("daemonset/hostpath-csi-node", "statefulset/hostpath-csi-controller")
}

// rolledOut waits until workloads of the driver are as they should be.
func (w *world) rolledOut(workloads ...string) {
	w.Helper()
	for _, what := range workloads {
		if _, err := kubectl(w.Context(), driverNamespace, "", "rollout", "status", what, "--timeout="+patience.String()); err != nil {
			w.Fatal(err)
		}
	}
}

// A node plugin that restarts, as in an upgrade, is not missed by pods that use volumes.
func TestPodsGoOnWhileTheNodePluginIsReplaced(t *testing.T) {
	w := alone(t)
	w.apply(claim("data", "hostpath-csi", "32Mi") + podWith("a", "data"))
	w.running("a")
	w.inPod("a", "(while :; do date +%s%N >>/data/ticks || exit; sleep 0.1; done) >/data/log 2>&1 &")
	if _, err := kubectl(t.Context(), driverNamespace, "", "rollout", "restart", "daemonset/hostpath-csi-node"); err != nil {
		t.Fatal(err)
	}
	w.rollout()
	before := w.inPod("a", "wc -l </data/ticks")
	w.eventually("the pod still writes", func(context.Context) error {
		if w.inPod("a", "wc -l </data/ticks") == before {
			return errors.New("there is nothing new")
		}
		return nil
	})
	if got := w.inPod("a", "cat /data/log"); got != "" {
		t.Errorf("a write failed: %s", got)
	}
	if pod, err := kube.CoreV1().Pods(w.ns).Get(t.Context(), "a", metav1.GetOptions{}); err != nil || pod.Status.ContainerStatuses[0].RestartCount != 0 {
		t.Errorf("the pod was restarted (%v)", err)
	}
	// The new plugin serves: this pod's end, and another one.
	node := w.nodeOf("a")
	w.gone("a")
	w.apply(podWith("b", "data", on(node)))
	w.running("b")
}

func TestAKubeletThatRestartsFindsTheDriver(t *testing.T) {
	w := alone(t)
	w.apply(claim("data", "hostpath-csi", "32Mi") + podWith("a", "data", on("n1")))
	w.running("a")
	w.inPod("a", "echo x >/data/x")
	for _, verb := range []string{"stop-kubelet", "start-kubelet"} {
		if out, err := script(t.Context(), verb, "1"); err != nil {
			t.Fatal(err, out)
		}
	}
	w.gone("a")
	w.apply(podWith("b", "data"))
	w.running("b")
	if got := w.inPod("b", "cat /data/x"); got != "x" {
		t.Errorf("the volume has %q", got)
	}
}

const many = 50

// manyClaims are that many claims of the Immediate class, which need no pods.
func manyClaims() string {
	var all strings.Builder
	for i := range many {
		all.WriteString(claim(fmt.Sprintf("c%d", i), "hostpath-csi-immediate", "1Mi"))
	}
	return all.String()
}

// allBound waits until every claim has a volume of its own, and then has all of them go.
func (w *world) allBound() {
	w.Helper()
	w.eventually("all claims are bound", func(ctx context.Context) error {
		claims, err := kube.CoreV1().PersistentVolumeClaims(w.ns).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		bound := make(map[string]bool)
		for _, c := range claims.Items {
			if c.Status.Phase == corev1.ClaimBound {
				bound[c.Spec.VolumeName] = true
			}
		}
		if len(bound) != many {
			return fmt.Errorf("%d of %d are", len(bound), many)
		}
		return nil
	})
	records, err := objects.Resource(volumes).List(w.Context(), metav1.ListOptions{})
	if err != nil {
		w.Fatal(err)
	}
	if len(records.Items) != many {
		w.Errorf("there are %d records for %d claims", len(records.Items), many)
	}
	w.kubectl("delete", "pvc", "--all", "--wait=false")
	w.eventually("all records are gone", func(ctx context.Context) error {
		records, err := objects.Resource(volumes).List(ctx, metav1.ListOptions{})
		if err == nil && len(records.Items) > 0 {
			err = fmt.Errorf("there are %d", len(records.Items))
		}
		return err
	})
}

// someBound waits until some claims are bound, and others are not.
func (w *world) someBound() {
	w.Helper()
	w.eventually("some claims are bound", func(ctx context.Context) error {
		records, err := objects.Resource(volumes).List(ctx, metav1.ListOptions{})
		if err == nil && len(records.Items) < 5 {
			err = fmt.Errorf("there are %d records", len(records.Items))
		}
		return err
	})
}

func TestAControllerThatIsKilledAmidManyClaimsLosesAndLeaksNothing(t *testing.T) {
	w := alone(t)
	w.apply(manyClaims())
	w.someBound()
	if _, err := kubectl(t.Context(), driverNamespace, "", "delete", "pod", "hostpath-csi-controller-0", "--grace-period=0", "--force"); err != nil {
		t.Fatal(err)
	}
	w.allBound()
	w.rollout()
}

func TestAnAPIServerThatIsAwayAmidManyClaimsIsWaitedFor(t *testing.T) {
	w := alone(t)
	w.apply(claim("data", "hostpath-csi", "32Mi") + podWith("a", "data") + podWith("b", "data"))
	w.running("a")
	w.apply(manyClaims())
	w.someBound()
	content, err := os.ReadFile(filepath.Join(root, "out/e2e/pids/apiserver"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		t.Fatal(err)
	}
	// Stopped, not killed: connections hang, which is worse than being refused.
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(60 * time.Second) // the outage itself; nothing is awaited
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	w.eventually("the API server answers", func(ctx context.Context) error {
		_, err := kube.CoreV1().Namespaces().Get(ctx, w.ns, metav1.GetOptions{})
		return err
	})
	w.kubectl("delete", "pod", "a", "b", "--grace-period=1")
	w.eventually("the volume of the pods has gone with its claim", func(ctx context.Context) error {
		return kube.CoreV1().PersistentVolumeClaims(w.ns).Delete(ctx, "data", metav1.DeleteOptions{})
	})
	w.eventually("the records of the claims are all there are", func(ctx context.Context) error {
		records, err := objects.Resource(volumes).List(ctx, metav1.ListOptions{})
		if err == nil && len(records.Items) != many {
			err = fmt.Errorf("there are %d records", len(records.Items))
		}
		return err
	})
	w.allBound()
	w.rollout()
}

// nodeCondition waits until a node is ready, or is known not to be.
func (w *world) nodeReady(node string, want corev1.ConditionStatus) {
	w.Helper()
	w.eventually(fmt.Sprintf("node %s has Ready %s", node, want), func(ctx context.Context) error {
		n, err := kube.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status == want {
				return nil
			}
		}
		return errors.New("it has not")
	})
}

// powerCut takes a node down as pulling its plug would, boots it when the cluster has missed
// it, and waits until the driver serves there again. Meanwhile others may act.
func (w *world) powerCut(node string, meanwhile ...func()) {
	w.Helper()
	number := strings.TrimPrefix(node, "n")
	if out, err := script(w.Context(), "kill", number); err != nil {
		w.Fatal(err, out)
	}
	w.nodeReady(node, corev1.ConditionUnknown)
	for _, act := range meanwhile {
		act()
	}
	if out, err := script(w.Context(), "start", number); err != nil {
		w.Fatal(err, out)
	}
	w.nodeReady(node, corev1.ConditionTrue)
	w.rollout()
}

func TestAPowerCutLosesNothingThatWasWritten(t *testing.T) {
	w := alone(t)
	block := strings.Replace(claim("disk", "hostpath-csi", "32Mi"), "accessModes", "volumeMode: Block\n  accessModes", 1)
	w.apply(claim("data", "hostpath-csi", "32Mi") + podWith("a", "data", on("n2"), "restartPolicy: Always") + block)
	w.running("a")
	w.inPod("a", "echo kept >/data/file; sync")
	w.powerCut("n2")
	w.running("a")
	if got := w.inPod("a", "cat /data/file"); got != "kept" {
		t.Errorf("after the power cut the volume has %q", got)
	}
}

// A fourth node serves as soon as it joins. When it is taken out of the cluster, its
// volumes can be deleted; a node that is only down keeps everything.
func TestANodeJoinsAndIsTakenOut(t *testing.T) {
	w := alone(t)
	if out, err := script(t.Context(), "start", "4"); err != nil {
		t.Fatal(err, out)
	}
	w.nodeReady("n4", corev1.ConditionTrue)
	w.apply(claim("data", "hostpath-csi", "32Mi") + claim("kept", "hostpath-csi-retain", "32Mi") + podWith("a", "data", on("n4")) + podWith("b", "kept", on("n4")))
	w.running("a", "b")
	w.inPod("a", "echo x >/data/x")
	pv, kept := w.volumeOf("data"), w.volumeOf("kept")

	if _, err := script(t.Context(), "kill", "4"); err != nil {
		t.Fatal(err)
	}
	w.nodeReady("n4", corev1.ConditionUnknown)
	w.kubectl("delete", "pod", "a", "b", "--grace-period=0", "--force")
	w.kubectl("delete", "pvc", "data", "kept", "--wait=false")
	w.phase(kept.Name, corev1.VolumeReleased)
	if _, err := objects.Resource(volumes).Get(t.Context(), pv.Spec.CSI.VolumeHandle, metav1.GetOptions{}); err != nil {
		t.Errorf("the node is only down, and the record of its volume: %v", err)
	}

	if err := kube.CoreV1().Nodes().Delete(t.Context(), "n4", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.noVolume(pv.Name)
	// The other one was retained: it goes when its record is deleted.
	if _, err := objects.Resource(hosts).Get(t.Context(), "n4", metav1.GetOptions{}); err != nil {
		t.Errorf("the node's record goes before that of a volume that was retained: %v", err)
	}
	w.kubectl("delete", "pv/"+kept.Name)
	w.kubectl("delete", "hostpathvolume/"+kept.Spec.CSI.VolumeHandle, "--wait=false")
	w.eventually("the node's record is gone", func(ctx context.Context) error {
		_, err := objects.Resource(hosts).Get(ctx, "n4", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(err, errors.New("it is there"))
	})
}
