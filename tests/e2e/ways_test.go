package e2e

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Every other way to install it that docs/install.md names, each after what it says of
// taking the one before out. These are the last of the tests; they end with the default
// overlay in place, as they found it.

func TestTwoControllersServeAndOneTakesOver(t *testing.T) {
	w := alone(t)
	w.install("ha")
	defer w.install("default")
	pods, err := kube.CoreV1().Pods(driverNamespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=controller"})
	if err != nil {
		t.Fatal(err)
	}
	if len(pods.Items) != 2 || pods.Items[0].Spec.NodeName == pods.Items[1].Spec.NodeName {
		t.Fatalf("there are %d controllers; there should be two, on two nodes", len(pods.Items))
	}
	w.apply(manyClaims())
	w.someBound()
	w.driver("delete", "pod", w.leader(), "--grace-period=0", "--force")
	w.allBound()
	w.rolledOut("statefulset/hostpath-csi-controller")
}

// leader waits until the sidecar that provisions has a leader, and returns its pod.
func (w *world) leader() (pod string) {
	w.Helper()
	w.eventually("csi-provisioner has a leader", func(ctx context.Context) error {
		lease, err := kube.CoordinationV1().Leases(driverNamespace).Get(ctx, strings.ReplaceAll(driverName, ".", "-"), metav1.GetOptions{})
		if err != nil {
			return err
		}
		if lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" {
			return errors.New("nobody holds the lease")
		}
		pod = *lease.Spec.HolderIdentity
		return nil
	})
	return pod
}

func TestInstalledByHelm(t *testing.T) {
	w := alone(t)
	w.uninstall("default")
	defer w.install("default")
	for _, args := range [][]string{
		{"create", "namespace", driverNamespace},
		{"label", "namespace", driverNamespace, "pod-security.kubernetes.io/enforce=privileged"},
	} {
		w.kubectl(args...)
	}
	values := filepath.Join(root, "tests/e2e/deploy/helm.yaml")
	w.helm("install", driverNamespace, filepath.Join(root, "deploy/helm/hostpath-csi"), "--values", values, "--wait", "--timeout", patience.String())
	w.life()

	// An upgrade, which replaces every pod of the driver while a volume is in use.
	w.apply(claim("data", "hostpath-csi", "32Mi") + podWith("a", "data"))
	w.running("a")
	w.inPod("a", "echo x >/data/x")
	w.commands(slices.DeleteFunc(documented(t, "docs/install.md", "Upgrade"), func(command string) bool { return strings.HasPrefix(command, "helm ") }))
	w.helm("upgrade", driverNamespace, filepath.Join(root, "deploy/helm/hostpath-csi"), "--values", values, "--set", "log.verbosity=5,environment.HOSTPATH_CSI_MAX_VOLUMES=50", "--wait", "--timeout", patience.String())
	w.rollout()
	if got := w.inPod("a", "cat /data/x"); got != "x" {
		t.Errorf("after an upgrade the volume has %q", got)
	}
	w.eventually("the environment of the ConfigMap is in force", func(ctx context.Context) error {
		out, err := kubectl(ctx, w.ns, "", "get", "csinode/n1", "-o", `jsonpath={.spec.drivers[?(@.name=="`+driverName+`")].allocatable.count}`)
		if err == nil && out != "50" {
			err = fmt.Errorf("n1 takes %q volumes", out)
		}
		return err
	})
	name := w.volumeOf("data").Name
	w.gone("a")
	w.kubectl("delete", "pvc/data")
	w.noVolume(name)

	w.endAgents()
	w.helm("uninstall", driverNamespace, "--wait", "--timeout", patience.String())
	w.driver("delete", "-f", filepath.Join(root, "deploy/helm/hostpath-csi/crds")+"/") // a link
	w.driver("delete", "namespace", driverNamespace)
}

// helm runs Helm, which run.sh has built.
func (w *world) helm(args ...string) {
	w.Helper()
	cmd := exec.CommandContext(w.Context(), filepath.Join(root, "bin/helm"), append(args, "--namespace", driverNamespace, "--kubeconfig", filepath.Join(root, "out/e2e/admin.kubeconfig"))...)
	if out, err := cmd.CombinedOutput(); err != nil {
		w.Fatalf("helm %q: %v\n%s", args, err, out)
	}
}

func TestInstalledOnASingleNode(t *testing.T) {
	w := alone(t)
	w.uninstall("default")
	defer w.install("default")
	w.freshPools()
	w.install("single-node")
	w.life()

	// Its records outlive it: the next pod of the driver knows the volume.
	w.apply(claim("data", "hostpath-csi", "32Mi") + podWith("a", "data"))
	w.running("a")
	w.inPod("a", "echo x >/data/x")
	if at := w.nodeOf("a"); at != "n1" {
		t.Errorf("the pod is on node %s, the driver on n1", at)
	}
	w.driver("delete", "pod", driverNamespace+"-0")
	w.rolledOut("statefulset/" + driverNamespace)
	name := w.volumeOf("data").Name
	w.gone("a")
	w.apply(podWith("b", "data"))
	w.running("b")
	if got := w.inPod("b", "cat /data/x"); got != "x" {
		t.Errorf("the next pod finds %q", got)
	}
	w.gone("b")
	w.kubectl("delete", "pvc/data")
	w.noVolume(name)
	w.driver("delete", "-k", filepath.Join(root, "tests/e2e/deploy/single-node"))
	w.freshPools()
}

// freshPools removes what the driver left on the nodes: pools are those of one store, and
// the next one would refuse them.
func (w *world) freshPools() {
	w.Helper()
	nodes, err := kube.CoreV1().Nodes().List(w.Context(), metav1.ListOptions{})
	if err != nil {
		w.Fatal(err)
	}
	for _, n := range nodes.Items {
		if out, err := onNode(w.Context(), n.Name, "sh", "-c", "cd /var/lib/hostpath-csi && rm -rf state plain default && find btrfs -mindepth 1 -delete"); err != nil {
			w.Fatal(err, out)
		}
	}
}

// life is a volume's: made, written, copied, grown, deleted.
func (w *world) life() {
	w.Helper()
	w.apply(claim("data", "hostpath-csi", "64Mi") + podWith("a", "data"))
	w.running("a")
	w.inPod("a", "echo before >/data/file; sync")
	w.apply(snapshotOf("snap", "data"))
	w.kubectl("wait", "--for=jsonpath={.status.readyToUse}=true", "volumesnapshot/snap", "--timeout=120s")
	w.apply(claimFrom("restored", "hostpath-csi", "64Mi", "dataSource: {apiGroup: snapshot.storage.k8s.io, kind: VolumeSnapshot, name: snap}") + podWith("b", "restored"))
	w.running("b")
	if got := w.inPod("b", "cat /data/file"); got != "before" {
		w.Errorf("the restored volume has %q", got)
	}
	w.kubectl("patch", "pvc/data", "-p", `{"spec":{"resources":{"requests":{"storage":"96Mi"}}}}`)
	w.kubectl("wait", "--for=jsonpath={.status.capacity.storage}=96Mi", "pvc/data", "--timeout=120s")
	if taken := w.fill("a", "rest"); taken < 88*mib || taken > 100*mib {
		w.Errorf("grown to 96 MiB, the volume took %d bytes", taken)
	}
	names := []string{w.volumeOf("data").Name, w.volumeOf("restored").Name}
	w.gone("a", "b")
	w.kubectl("delete", "volumesnapshot/snap", "pvc/data", "pvc/restored")
	for _, name := range names {
		w.noVolume(name)
	}
}

// install applies a directory of tests/e2e/deploy and waits until the driver serves.
func (w *world) install(way string) {
	w.Helper()
	w.driver("apply", "-k", filepath.Join(root, "tests/e2e/deploy", way))
	if way == "single-node" {
		w.rolledOut("statefulset/" + driverNamespace)
		return
	}
	w.rollout()
}

// driver runs kubectl in the driver's namespace, and has to succeed.
func (w *world) driver(args ...string) {
	w.Helper()
	if _, err := kubectl(w.Context(), driverNamespace, "", args...); err != nil {
		w.Fatal(err)
	}
}

// endAgents ends the driver's pods and lets go of the records of the nodes, once there
// are no others: what comes first when the driver is taken out.
func (w *world) endAgents() {
	w.Helper()
	w.noRecords()
	w.driver("delete", "daemonsets,statefulsets", "--all", "--cascade=foreground")
	nodes := strings.Fields(w.kubectl("get", "hostpathnodes", "--output=name"))
	w.kubectl(slices.Concat([]string{"patch", "--type=merge", `--patch={"metadata":{"finalizers":null}}`}, nodes)...)
}

// noRecords waits until there are none of volumes and snapshots.
func (w *world) noRecords() {
	w.Helper()
	w.eventually("there are no records of volumes and snapshots", func(ctx context.Context) error {
		for _, kind := range []schema.GroupVersionResource{volumes, snapshots} {
			records, err := objects.Resource(kind).List(ctx, metav1.ListOptions{})
			if err != nil {
				return err
			}
			if len(records.Items) > 0 {
				return fmt.Errorf("there are %d %s", len(records.Items), kind.Resource)
			}
		}
		return nil
	})
}

// uninstall takes out what a directory of tests/e2e/deploy has installed.
func (w *world) uninstall(way string) {
	w.Helper()
	w.endAgents()
	w.driver("delete", "-k", filepath.Join(root, "tests/e2e/deploy", way), "--ignore-not-found")
	w.eventually("the driver's namespace is gone", func(ctx context.Context) error {
		_, err := kube.CoreV1().Namespaces().Get(ctx, driverNamespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(err, errors.New("it is still there"))
	})
}
