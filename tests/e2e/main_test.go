package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	driverName      = "hostpath-csi.dev"
	driverNamespace = "hostpath-csi"
)

var (
	root    string // of the repository
	kube    kubernetes.Interface
	objects dynamic.Interface
)

// The driver's own resources.
var (
	volumes   = schema.GroupVersionResource{Group: driverName, Version: "v1alpha1", Resource: "hostpathvolumes"}
	snapshots = schema.GroupVersionResource{Group: driverName, Version: "v1alpha1", Resource: "hostpathsnapshots"}
	hosts     = schema.GroupVersionResource{Group: driverName, Version: "v1alpha1", Resource: "hostpathnodes"}
)

// contents are what VolumeSnapshots are bound to, as claims are to PersistentVolumes.
var contents = schema.GroupVersionResource{Group: "snapshot.storage.k8s.io", Version: "v1", Resource: "volumesnapshotcontents"}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if err := connect(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if code != 0 {
		return code
	}
	if err := nothingLeft(); err != nil {
		fmt.Fprintln(os.Stderr, "when all tests had ended:", err)
		return 1
	}
	fmt.Println("nothing is left: no claims, volumes, records, directories, mounts or loop devices")
	return 0
}

func connect() error {
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	root = filepath.Dir(filepath.Dir(here))
	kubeconfig := filepath.Join(root, "out/e2e/admin.kubeconfig")
	if _, err := os.Stat(kubeconfig); err != nil {
		return fmt.Errorf("no cluster is up; tests/e2e/run.sh brings one up and tests it: %w", err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 200, 400
	if kube, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	objects, err = dynamic.NewForConfig(config)
	return err
}

// nothingLeft waits until what the tests made is gone: from the API and from the nodes.
func nothingLeft() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	return poll(ctx, func(ctx context.Context) error {
		claims, err := kube.CoreV1().PersistentVolumeClaims("").List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		pvs, err := kube.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		if len(claims.Items)+len(pvs.Items) > 0 {
			return fmt.Errorf("there are %d claims and %d volumes", len(claims.Items), len(pvs.Items))
		}
		for _, kind := range []schema.GroupVersionResource{volumes, snapshots, contents} {
			records, err := objects.Resource(kind).List(ctx, metav1.ListOptions{})
			if err != nil {
				return err
			}
			if len(records.Items) > 0 {
				return fmt.Errorf("there are %d %s, such as %s", len(records.Items), kind.Resource, records.Items[0].GetName())
			}
		}
		nodes, err := kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, n := range nodes.Items {
			if err := nodeIsEmpty(ctx, n.Name); err != nil {
				return err
			}
		}
		return nil
	})
}

// nodeIsEmpty looks at a node's pools, mounts and loop devices.
func nodeIsEmpty(ctx context.Context, node string) error {
	const script = `cd /var/lib/hostpath-csi
for pool in btrfs plain; do for d in volumes claims images snapshots archive .tmp .trash; do ls -A $pool/$d 2>/dev/null | sed "s|^|$pool/$d/|"; done; done
findmnt -rno TARGET | grep -e /kubernetes.io~csi/ -e /volumeDevices/ || true
losetup -nO BACK-FILE | grep /var/lib/hostpath-csi/.*/images/ || true`
	out, err := onNode(ctx, node, "sh", "-c", script)
	if err != nil {
		return err
	}
	if left := slices.DeleteFunc(strings.Split(strings.TrimSpace(out), "\n"), func(line string) bool { return line == "" }); len(left) > 0 {
		return fmt.Errorf("node %s still has %q", node, left)
	}
	return nil
}

// onNode runs a command inside a node, as its root.
func onNode(ctx context.Context, node string, command ...string) (string, error) {
	return script(ctx, append([]string{"exec", strings.TrimPrefix(node, "n")}, command...)...)
}

// script runs cluster/node.sh.
func script(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(root, "tests/e2e/cluster/node.sh"), args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("node.sh %q: %w: %s", args, err, out)
	}
	return string(out), nil
}
