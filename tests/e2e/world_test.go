package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// patience bounds every wait: much more than anything takes, on a machine that does
// much else.
const patience = 3 * time.Minute

// world is a test's namespace, and the cluster around it.
type world struct {
	*testing.T
	ns string
}

// beside makes the world of a test that keeps to its namespace, and runs beside others: most
// of it is waiting. They begin when those that are alone have ended.
func beside(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	return newWorld(t)
}

// alone makes the world of a test that changes the driver or the nodes under everybody, or
// counts what all have, or takes most of a node's room. When it has ended, nothing is left in
// the cluster.
func alone(t *testing.T) *world {
	t.Helper()
	t.Cleanup(func() { // after its namespace
		if t.Failed() {
			return
		}
		if err := nothingLeft(); err != nil {
			t.Error(err)
		}
	})
	return newWorld(t)
}

// newWorld makes a namespace that ends with the test, and waits until it has ended:
// tests leave nothing to each other.
func newWorld(t *testing.T) *world {
	t.Helper()
	ns, err := kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t, ns.Name}
	t.Cleanup(func() {
		if t.Failed() {
			w.describe()
			if os.Getenv("KEEP") != "" {
				return
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := kube.CoreV1().Namespaces().Delete(ctx, w.ns, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
		if err := poll(ctx, func(ctx context.Context) error {
			_, err := kube.CoreV1().Namespaces().Get(ctx, w.ns, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return nil
			}
			return errors.Join(err, errors.New("it is still there"))
		}); err != nil {
			t.Errorf("the end of namespace %s: %v", w.ns, err)
		}
	})
	return w
}

// describe shows what a failed test left.
func (w *world) describe() {
	for _, args := range [][]string{{"get", "pods,pvc", "-o", "wide"}, {"get", "events", "--sort-by=.lastTimestamp"}} {
		out, err := kubectl(context.Background(), w.ns, "", args...)
		w.Logf("kubectl %s (%v)\n%s", strings.Join(args, " "), err, out)
	}
}

// kubectl runs in a namespace with an input.
func kubectl(ctx context.Context, ns, input string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(root, "tests/e2e/cluster/kubectl"), append([]string{"-n", ns}, args...)...)
	cmd.Stdin = strings.NewReader(input)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("kubectl %q: %w: %s", args, err, stderr.String())
	}
	return string(out), nil
}

// kubectl runs in the test's namespace, and has to succeed.
func (w *world) kubectl(args ...string) string {
	w.Helper()
	out, err := kubectl(w.Context(), w.ns, "", args...)
	if err != nil {
		w.Fatal(err)
	}
	return out
}

// apply makes objects of manifests.
func (w *world) apply(manifests string) {
	w.Helper()
	if _, err := kubectl(w.Context(), w.ns, manifests, "apply", "-f", "-"); err != nil {
		w.Fatal(err)
	}
}

// example applies a file of deploy/examples as it is.
func (w *world) example(name string) {
	w.Helper()
	w.kubectl("apply", "-f", filepath.Join(root, "deploy/examples", name))
}

// exampleWith returns a file of deploy/examples with some of its words replaced by others, all
// of which it has.
func (w *world) exampleWith(name string, oldnew ...string) string {
	w.Helper()
	content, err := os.ReadFile(filepath.Join(root, "deploy/examples", name))
	if err != nil {
		w.Fatal(err)
	}
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(string(content), oldnew[i]) {
			w.Fatalf("%s has no %q", name, oldnew[i])
		}
	}
	return strings.NewReplacer(oldnew...).Replace(string(content))
}

// inPod runs a shell command in a pod, and has to succeed.
func (w *world) inPod(pod, command string) string {
	w.Helper()
	out, err := w.tryInPod(pod, command)
	if err != nil {
		w.Fatal(err)
	}
	return out
}

func (w *world) tryInPod(pod, command string) (string, error) {
	out, err := kubectl(w.Context(), w.ns, "", "exec", pod, "--", "sh", "-c", command)
	return strings.TrimSpace(out), err
}

// at runs a shell command on a node, with arguments that are $0, $1 and so on; it has to
// succeed.
func (w *world) at(node, command string, args ...string) string {
	w.Helper()
	out, err := onNode(w.Context(), node, append([]string{"sh", "-ec", command}, args...)...)
	if err != nil {
		w.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// tidies removes from a node, when the test has ended, what it put there by hand.
func (w *world) tidies(node string, paths ...string) {
	w.Cleanup(func() {
		if _, err := onNode(context.Background(), node, append([]string{"rm", "-rf", "--"}, paths...)...); err != nil {
			w.Error(err)
		}
	})
}

// eventually waits until holds returns nil.
func (w *world) eventually(what string, holds func(ctx context.Context) error) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	if err := poll(ctx, holds); err != nil {
		w.Fatalf("%s: not within %v: %v", what, patience, err)
	}
}

// poll asks until it is told nil, or ctx ends; then it returns what it was told last.
func poll(ctx context.Context, holds func(ctx context.Context) error) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := holds(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

// running waits until a pod runs and is ready.
func (w *world) running(pods ...string) {
	w.Helper()
	for _, name := range pods {
		w.eventually("pod "+name+" is Ready", func(ctx context.Context) error {
			pod, err := kube.CoreV1().Pods(w.ns).Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			for _, c := range pod.Status.Conditions {
				if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue && pod.DeletionTimestamp == nil {
					return nil
				}
			}
			return fmt.Errorf("it is %s", pod.Status.Phase)
		})
	}
}

// gone deletes a pod at once and waits for its end.
func (w *world) gone(pods ...string) {
	w.Helper()
	w.kubectl(append([]string{"delete", "pod", "--grace-period=1", "--wait=true"}, pods...)...)
}

// nodeOf returns where a pod is.
func (w *world) nodeOf(pod string) string {
	w.Helper()
	p, err := kube.CoreV1().Pods(w.ns).Get(w.Context(), pod, metav1.GetOptions{})
	if err != nil {
		w.Fatal(err)
	}
	return p.Spec.NodeName
}

// volumeOf returns the PersistentVolume of a claim.
func (w *world) volumeOf(claim string) *corev1.PersistentVolume {
	w.Helper()
	pvc, err := kube.CoreV1().PersistentVolumeClaims(w.ns).Get(w.Context(), claim, metav1.GetOptions{})
	if err != nil {
		w.Fatal(err)
	}
	pv, err := kube.CoreV1().PersistentVolumes().Get(w.Context(), pvc.Spec.VolumeName, metav1.GetOptions{})
	if err != nil {
		w.Fatal(err)
	}
	return pv
}

// noVolume waits until a PersistentVolume is gone.
func (w *world) noVolume(name string) {
	w.Helper()
	w.eventually("volume "+name+" is gone", func(ctx context.Context) error {
		_, err := kube.CoreV1().PersistentVolumes().Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(err, errors.New("it is still there"))
	})
}

// directory returns where the volume of a PersistentVolume lies on its node.
func (w *world) directory(pv *corev1.PersistentVolume) string {
	return "/var/lib/hostpath-csi/btrfs/volumes/" + pv.Spec.CSI.VolumeHandle
}

// claim is the manifest of a claim.
func claim(name, class, size string) string {
	return claimFrom(name, class, size, "")
}

// claimFrom is that of one with a source, which is a line of dataSource.
func claimFrom(name, class, size, source string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: %s}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: %s
  resources: {requests: {storage: %s}}
  %s
---
`, name, class, size, source)
}

// podWith is the manifest of a pod that has a claim at /data; more are lines of its
// spec.
func podWith(name, claim string, more ...string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: %s}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: busybox:1.37.0
      command: [sh, -c, 'trap "exit 0" TERM; while :; do sleep 1; done']
      volumeMounts: [{name: data, mountPath: /data}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: %s}}]
  %s
---
`, name, claim, strings.Join(more, "\n  "))
}

// on is a line of a pod's spec that has it on a node, by way of the scheduler.
func on(node string) string {
	return fmt.Sprintf("nodeSelector: {kubernetes.io/hostname: %s}", node)
}
