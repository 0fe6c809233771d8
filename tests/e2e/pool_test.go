package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// A disk that is not where it was: the node says which pool that is and why, its plugin is
// not ready and is not started again, volumes are made elsewhere; and when the disk is back,
// all is as before.
func TestAPoolWhoseDiskIsAwayIsToldOfAndSparedUntilItIsBack(t *testing.T) {
	const node, at = "n3", "/var/lib/hostpath-csi/btrfs"
	w := alone(t)
	w.apply(claim("data", "hostpath-csi", "32Mi") + podWith("a", "data", on(node)))
	w.running("a")
	before, err := nodePlugin(t.Context(), node)
	if err != nil {
		t.Fatal(err)
	}
	// Something else is mounted over it.
	if out, err := onNode(t.Context(), node, "mount", "-t", "tmpfs", "none", at); err != nil {
		t.Fatal(err, out)
	}
	covered := true
	uncover := func() {
		if out, err := onNode(context.Background(), node, "umount", at); err != nil {
			t.Error(err, out)
		}
		covered = false
	}
	t.Cleanup(func() {
		if covered {
			uncover()
		}
	})
	w.eventually("the node's record says so", func(ctx context.Context) error {
		return condition(ctx, node, "PoolsUsable", "False", "pool default:", at)
	})
	w.eventually("the node plugin is not ready", func(ctx context.Context) error { return w.pluginReady(ctx, node, corev1.ConditionFalse) })
	w.apply(manyClaims())
	w.allBound(node)

	uncover()
	w.eventually("the node's record says that all is well", func(ctx context.Context) error { return condition(ctx, node, "PoolsUsable", "True") })
	w.eventually("the node plugin is ready", func(ctx context.Context) error { return w.pluginReady(ctx, node, corev1.ConditionTrue) })
	after, err := nodePlugin(t.Context(), node)
	if err != nil {
		t.Fatal(err)
	}
	if after.UID != before.UID || driverContainer(after).RestartCount != driverContainer(before).RestartCount {
		t.Errorf("the node plugin was started again, %d times", driverContainer(after).RestartCount)
	}
	w.inPod("a", "echo x >/data/x && cat /data/x")
}

// pluginReady returns nil if a node's plugin is ready, or is not.
func (w *world) pluginReady(ctx context.Context, node string, want corev1.ConditionStatus) error {
	pod, err := nodePlugin(ctx, node)
	if err != nil {
		return err
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == want {
			return nil
		}
	}
	return errors.New(fmt.Sprint(pod.Status.Conditions))
}

// condition returns nil if a node's record has a condition with that status, and a message
// with all of says in it.
func condition(ctx context.Context, node, kind, status string, says ...string) error {
	got, err := kubectl(ctx, driverNamespace, "", "get", "hostpathnode/"+node, "-o",
		fmt.Sprintf(`jsonpath={range .status.conditions[?(@.type==%q)]}{.status} {.message}{end}`, kind))
	if err == nil && (!strings.HasPrefix(got, status+" ") || !containsAll(got, says...)) {
		err = fmt.Errorf("%s of node %s is %s", kind, node, got)
	}
	return err
}
