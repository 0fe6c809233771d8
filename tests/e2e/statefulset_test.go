package e2e

import (
	"context"
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var webs = []string{"web-0", "web-1", "web-2"}

// The example of a StatefulSet, as a user applies it: a volume for each pod, on the
// pod's own node, that outlives the pod, a scale-down and the StatefulSet itself.
func TestAStatefulSetKeepsItsVolumes(t *testing.T) {
	w := beside(t)
	w.example("statefulset.yaml")
	w.running(webs...)
	nodes := make(map[string]string)
	volumes := make(map[string]string)
	for _, pod := range webs {
		nodes[w.nodeOf(pod)] = pod
		volumes[pod] = w.volumeOf("data-" + pod).Name
		w.inPod(pod, "echo "+pod+" >/data/name")
	}
	if len(nodes) != 3 {
		t.Errorf("three pods lie on the nodes %v; they are to spread over three", nodes)
	}
	w.keepsData(volumes)
	w.counted(webs)

	w.gone(webs...)
	w.running(webs...)
	w.keepsData(volumes)

	w.kubectl("scale", "statefulset/web", "--replicas=1")
	w.eventually("web-2 is gone", func(ctx context.Context) error {
		pods, err := kube.CoreV1().Pods(w.ns).List(ctx, metav1.ListOptions{})
		if err == nil && len(pods.Items) > 1 {
			err = fmt.Errorf("there are %d pods", len(pods.Items))
		}
		return err
	})
	w.kubectl("scale", "statefulset/web", "--replicas=3")
	w.running(webs...)
	w.keepsData(volumes)

	w.kubectl("delete", "statefulset/web", "service/web")
	w.kubectl("wait", "--for=delete", "pod", "--all", "--timeout=120s")
	w.example("statefulset.yaml")
	w.running(webs...)
	w.keepsData(volumes)

	// With the claims, the volumes go.
	w.kubectl("delete", "statefulset/web")
	w.kubectl("delete", "pvc", "--all")
	for _, name := range volumes {
		w.noVolume(name)
	}
}

// keepsData has each pod find its own file in its own volume.
func (w *world) keepsData(volumes map[string]string) {
	w.Helper()
	for pod, name := range volumes {
		if got := w.inPod(pod, "cat /data/name"); got != pod {
			w.Errorf("%s finds the file of %q", pod, got)
		}
		if got := w.volumeOf("data-" + pod).Name; got != name {
			w.Errorf("%s has volume %s, had %s", pod, got, name)
		}
	}
}
