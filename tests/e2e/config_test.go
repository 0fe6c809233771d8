package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// nodePlugin returns the pod of the node plugin of a node.
func nodePlugin(ctx context.Context, node string) (*corev1.Pod, error) {
	pods, err := kube.CoreV1().Pods(driverNamespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=node", FieldSelector: "spec.nodeName=" + node})
	if err != nil {
		return nil, err
	}
	if len(pods.Items) != 1 {
		return nil, fmt.Errorf("there are %d node plugins on %s", len(pods.Items), node)
	}
	return &pods.Items[0], nil
}

// askPlugin asks the node plugin of a node for readyz, or metrics.
func askPlugin(ctx context.Context, node, path string) (string, error) {
	pod, err := nodePlugin(ctx, node)
	if err != nil {
		return "", err
	}
	return onNode(ctx, node, "busybox", "wget", "-qO-", "http://"+pod.Status.PodIP+":9810/"+path)
}

// poolsOf returns the names of the pools in a node's record.
func poolsOf(ctx context.Context, node string) (string, error) {
	return kubectl(ctx, driverNamespace, "", "get", "hostpathnode/"+node, "-o", "jsonpath={.status.pools[*].name}")
}

// What is in the ConfigMap takes effect without a restart: a pool appears where a
// label says, a mistake changes nothing and is told, and its mending, too.
func TestTheConfigMapTakesEffectWhileTheDriverRuns(t *testing.T) {
	w := alone(t)
	original, err := kube.CoreV1().ConfigMaps(driverNamespace).Get(t.Context(), "hostpath-csi", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := kubectl(context.Background(), driverNamespace, "", "label", "node/n1", "disk-"); err != nil {
			t.Error(err)
		}
	})
	const third = "  - name: third\n    path: /var/lib/hostpath-csi/plain-third\n    nodes:\n      matchLabels: {disk: third}\n"
	w.withPool(third)
	w.kubectl("label", "node/n1", "disk=third")
	w.eventually("n1 has the new pool", func(ctx context.Context) error {
		got, err := poolsOf(ctx, "n1")
		if err == nil && got != "default plain third" {
			err = fmt.Errorf("its pools are %q", got)
		}
		return err
	})
	if got, err := poolsOf(t.Context(), "n2"); err != nil || got != "default plain" {
		t.Errorf("n2, which has no such label, has the pools %q (%v)", got, err)
	}

	w.editConfig(func(s string) string { return strings.Replace(s, "name: third", "nme: third", 1) })
	w.eventually("/readyz tells of the mistake", func(ctx context.Context) error {
		out, err := askPlugin(ctx, "n1", "readyz")
		if err == nil && !strings.Contains(out, "nme") {
			err = errors.New(out)
		}
		return err
	})
	const place = "config.yaml:" // and then line, column, key
	w.eventually("the node's record has the condition", func(ctx context.Context) error {
		return configAccepted(ctx, "n1", "False", place, "pools[2].nme")
	})
	for _, who := range []string{"node n1 ", "node n2 ", "the controller "} {
		w.eventually("an event on the ConfigMap is of "+who, func(ctx context.Context) error {
			out, err := kubectl(ctx, driverNamespace, "", "describe", "configmap/hostpath-csi")
			if err == nil && !containsAll(lineWith(out, who+"keeps"), "Warning", "ConfigurationRefused", place, "pools[2].nme: unknown key") {
				err = fmt.Errorf("kubectl describe shows:\n%s", out)
			}
			return err
		})
	}
	if got, err := poolsOf(t.Context(), "n1"); err != nil || got != "default plain third" {
		t.Errorf("after a mistake, n1 has the pools %q (%v); want the last good ones", got, err)
	}

	w.editConfig(func(string) string { return original.Data["config.yaml"] })
	w.eventually("the pool is gone, and the mistake", func(ctx context.Context) error {
		got, err := poolsOf(ctx, "n1")
		if err != nil {
			return err
		}
		out, err := askPlugin(ctx, "n1", "readyz")
		if err == nil && (got != "default plain" || strings.TrimSpace(out) != "ok") {
			err = fmt.Errorf("pools %q, %s", got, out)
		}
		return errors.Join(err, configAccepted(ctx, "n1", "True"))
	})
	w.eventually("an event tells that it is mended", func(ctx context.Context) error {
		out, err := kubectl(ctx, driverNamespace, "", "describe", "configmap/hostpath-csi")
		if err == nil && !containsAll(lineWith(out, "node n1 has"), "Normal", "ConfigurationAccepted") {
			err = fmt.Errorf("kubectl describe shows:\n%s", out)
		}
		return err
	})
}

// withPool adds a pool to the ConfigMap, which is put back when the test ends.
func (w *world) withPool(pool string) {
	w.Helper()
	original, err := kube.CoreV1().ConfigMaps(driverNamespace).Get(w.Context(), "hostpath-csi", metav1.GetOptions{})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { // whatever a test that failed has left of it
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := poll(ctx, func(ctx context.Context) error {
			return putConfig(ctx, func(string) string { return original.Data["config.yaml"] })
		}); err != nil {
			w.Error(err)
		}
	})
	w.editConfig(func(s string) string { return strings.TrimRight(s, "\n") + "\n" + pool })
}

// editConfig changes what is in the driver's ConfigMap.
func (w *world) editConfig(change func(string) string) {
	w.Helper()
	w.eventually("the ConfigMap is edited", func(ctx context.Context) error { return putConfig(ctx, change) })
}

// putConfig changes what is in the driver's ConfigMap.
func putConfig(ctx context.Context, change func(string) string) error {
	maps := kube.CoreV1().ConfigMaps(driverNamespace)
	m, err := maps.Get(ctx, "hostpath-csi", metav1.GetOptions{})
	if err != nil {
		return err
	}
	m.Data["config.yaml"] = change(m.Data["config.yaml"])
	_, err = maps.Update(ctx, m, metav1.UpdateOptions{})
	return err
}

// configAccepted returns nil if a node's record has the condition ConfigAccepted with that
// status, and a message with all of says in it.
func configAccepted(ctx context.Context, node, status string, says ...string) error {
	return condition(ctx, node, "ConfigAccepted", status, says...)
}

func containsAll(s string, all ...string) bool {
	return !slices.ContainsFunc(all, func(part string) bool { return !strings.Contains(s, part) })
}

// lineWith returns the first line with a text in it.
func lineWith(out, text string) string {
	for line := range strings.Lines(out) {
		if strings.Contains(line, text) {
			return line
		}
	}
	return ""
}
