package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// podWithOwn is the manifest of a pod with a volume that it asks for by itself.
func podWithOwn(name, attributes string, more ...string) string {
	return strings.Replace(podWith(name, "none", more...), "persistentVolumeClaim: {claimName: none}",
		fmt.Sprintf("csi: {driver: hostpath-csi.dev, volumeAttributes: {%s}}", attributes), 1)
}

// ownVolume returns the record of the volume that a pod has asked for.
func (w *world) ownVolume(pod string) *unstructured.Unstructured {
	w.Helper()
	all, err := objects.Resource(volumes).List(w.Context(), metav1.ListOptions{})
	if err != nil {
		w.Fatal(err)
	}
	for i, v := range all.Items {
		name, _, _ := unstructured.NestedString(v.Object, "spec", "ephemeral", "podName")
		namespace, _, _ := unstructured.NestedString(v.Object, "spec", "ephemeral", "podNamespace")
		if name == pod && namespace == w.ns {
			return &all.Items[i]
		}
	}
	w.Fatalf("pod %s has no volume of its own", pod)
	return nil
}

// noRecord waits until a volume's record is gone.
func (w *world) noRecord(name string) {
	w.Helper()
	w.eventually("record "+name+" is gone", func(ctx context.Context) error {
		_, err := objects.Resource(volumes).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(err, errors.New("it is still there"))
	})
}

func TestAPodsOwnVolumeHoldsItsSizeAndGoesWithThePod(t *testing.T) {
	w := beside(t)
	w.apply(podWithOwn("a", "size: 64Mi, mode: '0750'", "securityContext: {fsGroup: 2000}"))
	w.running("a")
	if took := w.fill("a", "all"); took < 60*mib || took > 68*mib {
		t.Errorf("a volume of 64 MiB took %d bytes", took)
	}
	if got := w.inPod("a", "stat -c %g /data/all"); got != "2000" {
		t.Errorf("a new file has group %s, want the fsGroup, 2000", got)
	}
	volume := w.ownVolume("a")
	w.kubectl("wait", "--for=condition=Ready", "--timeout=30s", "hostpathvolume/"+volume.GetName())
	node, _, _ := unstructured.NestedString(volume.Object, "spec", "node")
	if node != w.nodeOf("a") {
		t.Errorf("the volume of a pod on %s lies on %s", w.nodeOf("a"), node)
	}
	w.gone("a")
	w.noRecord(volume.GetName())
	w.eventually("nothing of it is on the node", func(ctx context.Context) error {
		out, err := onNode(ctx, node, "find", "/var/lib/hostpath-csi/btrfs", "-name", volume.GetName()+"*")
		if err == nil && strings.TrimSpace(out) != "" {
			err = errors.New(out)
		}
		return err
	})
}

func TestAPodIsToldWhatIsWrongWithItsOwnVolume(t *testing.T) {
	w := beside(t)
	w.apply(podWithOwn("unlimited", "pool: default") + podWithOwn("sly", "size: 1Mi, path: /etc") + podWithOwn("greedy", "size: 100Gi"))
	for pod, want := range map[string]string{
		"unlimited": "size is missing; it takes a size such as 1Gi",
		"sly":       `unknown key "path"; known are mode, pool, size`,
		"greedy":    "volume_context: size asks for 107374182400 bytes; the largest pool that may take the volume has",
	} {
		w.told(pod, want)
	}
}

// told waits until an event says why a pod's volumes are not mounted.
func (w *world) told(pod, want string) {
	w.Helper()
	w.eventually("pod "+pod+" is told", func(ctx context.Context) error {
		out, err := kubectl(ctx, w.ns, "", "get", "events", "--field-selector=reason=FailedMount,involvedObject.name="+pod, "-o", "jsonpath={.items[*].message}")
		if err == nil && !strings.Contains(out, want) {
			err = fmt.Errorf("events: %s", out)
		}
		return err
	})
}

// A node's pool has 2 GiB. The scheduler knows nothing of such volumes, and the pod waits
// where it is.
func TestAPodWithItsOwnVolumeWaitsForRoom(t *testing.T) {
	w := alone(t)
	w.apply(podWithOwn("a", "size: 1200Mi", on("n1")))
	w.running("a")
	w.apply(podWithOwn("b", "size: 1200Mi", on("n1")))
	w.told("b", "ResourceExhausted")
	w.gone("a")
	w.running("b")
}

// A pod that is deleted while its node has no power leaves nothing there: neither what
// it wrote, nor a record.
func TestAPowerCutLeavesNothingOfAPodThatIsGone(t *testing.T) {
	w := alone(t)
	w.apply(podWithOwn("a", "size: 32Mi", on("n3")) + podWithOwn("b", "size: 32Mi", on("n3"), "restartPolicy: Always"))
	w.running("a", "b")
	w.inPod("b", "echo kept >/data/file; sync")
	gone := w.ownVolume("a").GetName()
	w.powerCut("n3", func() { w.kubectl("delete", "pod", "a", "--grace-period=0", "--force") })
	w.noRecord(gone)
	w.running("b")
	if got := w.inPod("b", "cat /data/file"); got != "kept" {
		t.Errorf("after the power cut the volume of the other pod has %q", got)
	}
}
