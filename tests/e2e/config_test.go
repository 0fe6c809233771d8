package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// readyz asks the node plugin of n1 how it is.
func readyz(ctx context.Context) (string, error) {
	pods, err := kube.CoreV1().Pods(driverNamespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=node", FieldSelector: "spec.nodeName=n1"})
	if err != nil {
		return "", err
	}
	if len(pods.Items) != 1 {
		return "", fmt.Errorf("there are %d node plugins on n1", len(pods.Items))
	}
	return onNode(ctx, "n1", "busybox", "wget", "-qO-", "http://"+pods.Items[0].Status.PodIP+":9810/readyz")
}

// poolsOf returns the names of the pools in a node's record.
func poolsOf(ctx context.Context, node string) (string, error) {
	return kubectl(ctx, driverNamespace, "", "get", "hostpathnode/"+node, "-o", "jsonpath={.status.pools[*].name}")
}

// What is in the ConfigMap takes effect without a restart: a pool appears where a
// label says, a mistake changes nothing and is told, and its mending, too.
func TestTheConfigMapTakesEffectWhileTheDriverRuns(t *testing.T) {
	w := newWorld(t)
	maps := kube.CoreV1().ConfigMaps(driverNamespace)
	edit := func(change func(string) string) {
		t.Helper()
		w.eventually("the ConfigMap is edited", func(ctx context.Context) error {
			m, err := maps.Get(ctx, "hostpath-csi", metav1.GetOptions{})
			if err != nil {
				return err
			}
			m.Data["config.yaml"] = change(m.Data["config.yaml"])
			_, err = maps.Update(ctx, m, metav1.UpdateOptions{})
			return err
		})
	}
	original, err := maps.Get(t.Context(), "hostpath-csi", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := kubectl(context.Background(), driverNamespace, "", "label", "node/n1", "disk-"); err != nil {
			t.Error(err)
		}
	})
	const third = "  - name: third\n    path: /var/lib/hostpath-csi/plain-third\n    nodes:\n      matchLabels: {disk: third}\n"
	edit(func(s string) string { return strings.TrimRight(s, "\n") + "\n" + third })
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

	edit(func(s string) string { return strings.Replace(s, "name: third", "nme: third", 1) })
	w.eventually("/readyz tells of the mistake", func(ctx context.Context) error {
		out, err := readyz(ctx)
		if err == nil && !strings.Contains(out, "nme") {
			err = errors.New(out)
		}
		return err
	})
	if got, err := poolsOf(t.Context(), "n1"); err != nil || got != "default plain third" {
		t.Errorf("after a mistake, n1 has the pools %q (%v); want the last good ones", got, err)
	}

	edit(func(string) string { return original.Data["config.yaml"] })
	w.eventually("the pool is gone, and the mistake", func(ctx context.Context) error {
		got, err := poolsOf(ctx, "n1")
		if err != nil {
			return err
		}
		out, err := readyz(ctx)
		if err == nil && (got != "default plain" || strings.TrimSpace(out) != "ok") {
			err = fmt.Errorf("pools %q, %s", got, out)
		}
		return err
	})
}
