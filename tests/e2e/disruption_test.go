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
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
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
	w.ticks("a")
	if _, err := kubectl(t.Context(), driverNamespace, "", "rollout", "restart", "daemonset/hostpath-csi-node"); err != nil {
		t.Fatal(err)
	}
	w.rollout()
	w.stillTicks("a")
	// The new plugin serves: this pod's end, and another one.
	node := w.nodeOf("a")
	w.gone("a")
	w.apply(podWith("b", "data", on(node)))
	w.running("b")
}

// ticks has a pod write into its volume all the time.
func (w *world) ticks(pod string) {
	w.Helper()
	w.inPod(pod, "(while :; do date +%s%N >>/data/ticks || exit; sleep 0.1; done) >/data/log 2>&1 &")
}

// stillTicks fails unless a pod has gone on to write, was refused no write, and was not
// started again.
func (w *world) stillTicks(pod string) {
	w.Helper()
	before := w.inPod(pod, "wc -l </data/ticks")
	w.eventually("the pod still writes", func(context.Context) error {
		if w.inPod(pod, "wc -l </data/ticks") == before {
			return errors.New("there is nothing new")
		}
		return nil
	})
	if got := w.inPod(pod, "cat /data/log"); got != "" {
		w.Errorf("a write failed: %s", got)
	}
	if p, err := kube.CoreV1().Pods(w.ns).Get(w.Context(), pod, metav1.GetOptions{}); err != nil || p.Status.ContainerStatuses[0].RestartCount != 0 {
		w.Errorf("the pod was restarted (%v)", err)
	}
}

func TestAKubeletThatRestartsFindsTheDriver(t *testing.T) {
	w := alone(t)
	w.apply(claim("data", "hostpath-csi", "32Mi") + podWith("a", "data", on("n1")))
	w.running("a")
	w.inPod("a", "echo x >/data/x")
	w.ticks("a")
	for _, verb := range []string{"stop-kubelet", "start-kubelet"} {
		if out, err := script(t.Context(), verb, "1"); err != nil {
			t.Fatal(err, out)
		}
	}
	w.eventually("the kubelet serves", func(context.Context) error { _, err := w.tryInPod("a", "true"); return err })
	w.stillTicks("a")
	w.gone("a")
	w.apply(podWith("b", "data"))
	w.running("b")
	if got := w.inPod("b", "cat /data/x"); got != "x" {
		t.Errorf("the volume has %q", got)
	}
}

const (
	many       = 50
	manyPrefix = "many-"
	manyLabel  = "many=true"
)

// manyClaims are that many claims of the Immediate class, which need no pods.
func manyClaims() string {
	var all strings.Builder
	for i := range many {
		all.WriteString(strings.Replace(claim(fmt.Sprintf("%s%d", manyPrefix, i), "hostpath-csi-immediate", "1Mi"), "metadata: {", "metadata: {labels: {many: 'true'}, ", 1))
	}
	return all.String()
}

// allBound waits until every claim has a volume of its own, and then has all of them go. On
// some nodes none of them may be.
func (w *world) allBound(spared ...string) {
	w.Helper()
	w.eventually("all claims are bound", func(ctx context.Context) error {
		bound, err := w.boundOf(ctx)
		if err == nil && bound != many {
			err = fmt.Errorf("%d of %d are", bound, many)
		}
		return err
	})
	records, err := objects.Resource(volumes).List(w.Context(), metav1.ListOptions{})
	if err != nil {
		w.Fatal(err)
	}
	total, on := 0, make(map[string]int)
	for _, r := range records.Items {
		if claim, _, _ := unstructured.NestedString(r.Object, "spec", "claim", "name"); strings.HasPrefix(claim, manyPrefix) {
			node, _, _ := unstructured.NestedString(r.Object, "spec", "node")
			on[node]++
			total++
		}
	}
	w.Logf("volumes by node: %v", on)
	if total != many {
		w.Errorf("there are %d records for %d claims", total, many)
	}
	if len(on) < 2 { // with Immediate binding, each goes where most room is
		w.Errorf("all volumes are on one node: %v", on)
	}
	for _, node := range spared {
		if on[node] > 0 {
			w.Errorf("%d volumes are on node %s", on[node], node)
		}
	}
	others := len(records.Items) - total
	w.kubectl("delete", "pvc", "--selector="+manyLabel, "--wait=false")
	w.eventually("all records are gone", func(ctx context.Context) error {
		records, err := objects.Resource(volumes).List(ctx, metav1.ListOptions{})
		if err == nil && len(records.Items) > others {
			err = fmt.Errorf("there are %d", len(records.Items))
		}
		return err
	})
}

// someBound waits until some claims are bound, and others are not: in the midst of them.
func (w *world) someBound() {
	w.Helper()
	w.eventually("some claims are bound", func(ctx context.Context) error {
		bound, err := w.boundOf(ctx)
		if err == nil && bound == many {
			w.Fatalf("all %d claims were bound before anything happened", bound)
		}
		if err == nil && bound < 3 {
			err = fmt.Errorf("%d are", bound)
		}
		return err
	})
}

// boundOf counts the many claims that have a volume of their own.
func (w *world) boundOf(ctx context.Context) (int, error) {
	claims, err := kube.CoreV1().PersistentVolumeClaims(w.ns).List(ctx, metav1.ListOptions{LabelSelector: manyLabel})
	if err != nil {
		return 0, err
	}
	bound := make(map[string]bool)
	for _, c := range claims.Items {
		if c.Status.Phase == corev1.ClaimBound {
			bound[c.Spec.VolumeName] = true
		}
	}
	return len(bound), nil
}

func TestADriverThatIsKilledAmidManyClaimsLosesAndLeaksNothing(t *testing.T) {
	for component, pod := range map[string]func(ctx context.Context) (*corev1.Pod, error){
		"controller": func(ctx context.Context) (*corev1.Pod, error) {
			return kube.CoreV1().Pods(driverNamespace).Get(ctx, "hostpath-csi-controller-0", metav1.GetOptions{})
		},
		"node plugin": func(ctx context.Context) (*corev1.Pod, error) { return nodePlugin(ctx, "n1") },
	} {
		t.Run(component, func(t *testing.T) {
			w := alone(t)
			w.apply(manyClaims())
			w.someBound()
			before, err := pod(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			container := driverContainer(before)
			// The process, with no time for anything: its pod stays, and the kubelet starts it again.
			if out, err := onNode(t.Context(), before.Spec.NodeName, "ctr", "--namespace=k8s.io", "tasks", "kill", "--signal=SIGKILL",
				strings.TrimPrefix(container.ContainerID, "containerd://")); err != nil {
				t.Fatal(err, out)
			}
			w.allBound()
			w.rollout()
			after, err := pod(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if after.UID != before.UID || driverContainer(after).RestartCount != container.RestartCount+1 {
				t.Errorf("the container had started %d times, and has %d now, in pod %s and %s", container.RestartCount, driverContainer(after).RestartCount, before.UID, after.UID)
			}
		})
	}
}

// driverContainer returns how the driver is in one of its pods.
func driverContainer(pod *corev1.Pod) corev1.ContainerStatus {
	for _, c := range pod.Status.ContainerStatuses {
		if c.Name == driverNamespace {
			return c
		}
	}
	return corev1.ContainerStatus{}
}

func TestAnAPIServerThatIsAwayAmidManyClaimsIsWaitedFor(t *testing.T) {
	w := alone(t)
	w.apply(claim("data", "hostpath-csi", "32Mi") + podWith("a", "data") + podWith("b", "data"))
	w.running("a")
	w.ticks("a")
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
	w.eventually("the kubelet serves", func(context.Context) error { _, err := w.tryInPod("a", "true"); return err })
	w.stillTicks("a")
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
	w.apply(claim("data", "hostpath-csi", "32Mi") + podWith("a", "data", on("n2"), "restartPolicy: Always") +
		blockClaim("disk", "32Mi") + podWithBlock("b", "disk", on("n2"), "restartPolicy: Always"))
	w.running("a", "b")
	w.inPod("a", "echo kept >/data/file; sync")
	w.inPod("b", "echo kept | dd of=/dev/disk bs=512 count=1 conv=sync,fsync 2>/dev/null")
	w.powerCut("n2")
	w.running("a", "b")
	if got := w.inPod("a", "cat /data/file"); got != "kept" {
		t.Errorf("after the power cut the volume has %q", got)
	}
	if got := w.inPod("b", "head -c 4 /dev/disk && blockdev --getsize64 /dev/disk"); got != "kept33554432" {
		t.Errorf("after the power cut the device has %q", got)
	}
}

// A fourth node serves as soon as it joins. When it is taken out of the cluster, its
// volumes can be deleted; a node that is only down keeps everything. Should it return, what is
// on its disk is told of, left alone, and not served.
func TestANodeJoinsAndIsTakenOut(t *testing.T) {
	w := alone(t)
	if out, err := script(t.Context(), "start", "4"); err != nil {
		t.Fatal(err, out)
	}
	w.nodeReady("n4", corev1.ConditionTrue)
	joined := time.Now()
	w.eventually("the node takes volumes", func(ctx context.Context) error { return w.takesVolumes(ctx, "n4") })
	if took := time.Since(joined); took > time.Minute {
		t.Errorf("a node that is ready takes volumes after %v", took)
	} else {
		t.Logf("a node that is ready takes volumes after %v", took)
	}
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
	w.leftCluster("n4")

	if out, err := script(t.Context(), "start", "4"); err != nil {
		t.Fatal(err, out)
	}
	w.nodeReady("n4", corev1.ConditionTrue)
	w.eventually("what is on its disk is told of", func(ctx context.Context) error {
		got, err := kubectl(ctx, driverNamespace, "", "get", "hostpathnode/n4", "-o", `jsonpath={.status.pools[?(@.name=="default")].orphans}`)
		if err == nil && got != "2" {
			err = fmt.Errorf("it tells of %q orphans, and there are two volumes", got)
		}
		return err
	})
	for _, lost := range []*corev1.PersistentVolume{pv, kept} {
		if _, err := objects.Resource(volumes).Get(t.Context(), lost.Spec.CSI.VolumeHandle, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("the record of volume %s: %v", lost.Name, err)
		}
	}
	if out, err := onNode(t.Context(), "n4", "cat", w.directory(pv)+"/x"); err != nil || strings.TrimSpace(out) != "x" {
		t.Errorf("on the node that has returned, the file has %q (%v)", out, err)
	}
	// The node serves others.
	w.apply(claim("new", "hostpath-csi", "32Mi") + podWith("c", "new", on("n4")))
	w.running("c")
	fresh := w.volumeOf("new").Name
	w.gone("c")
	w.kubectl("delete", "pvc/new")
	w.noVolume(fresh)

	if _, err := script(t.Context(), "kill", "4"); err != nil {
		t.Fatal(err)
	}
	if err := kube.CoreV1().Nodes().Delete(t.Context(), "n4", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.leftCluster("n4")
}

// takesVolumes returns nil if a node has registered the driver, and says how much room it has.
func (w *world) takesVolumes(ctx context.Context, node string) error {
	csi, err := kube.StorageV1().CSINodes().Get(ctx, node, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, d := range csi.Spec.Drivers {
		if d.Name == driverName {
			out, err := kubectl(ctx, driverNamespace, "", "get", "hostpathnode/"+node, "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
			if err == nil && out != "True" {
				err = fmt.Errorf("its record has Ready %q", out)
			}
			return err
		}
	}
	return fmt.Errorf("it has the drivers %v", csi.Spec.Drivers)
}

// leftCluster waits until nothing of the driver's is left of a node that was taken out.
func (w *world) leftCluster(node string) {
	w.Helper()
	w.eventually("the record and the lease of node "+node+" are gone", func(ctx context.Context) error {
		_, record := objects.Resource(hosts).Get(ctx, node, metav1.GetOptions{})
		_, lease := kube.CoordinationV1().Leases(driverNamespace).Get(ctx, "hostpath-csi-node-"+node, metav1.GetOptions{})
		if apierrors.IsNotFound(record) && apierrors.IsNotFound(lease) {
			return nil
		}
		return fmt.Errorf("the record: %v; the lease: %v", record, lease)
	})
}
