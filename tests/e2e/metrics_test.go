package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The kubelet asks the driver how full a volume is, and tells Prometheus; both roles of
// the driver tell of themselves.
func TestHowFullAVolumeIsAndHowTheDriverIsAreTold(t *testing.T) {
	w := beside(t)
	w.apply(claim("data", "hostpath-csi", "64Mi") + podWith("a", "data"))
	w.running("a")
	const bytes = 9 << 20
	w.inPod("a", fmt.Sprintf("head -c %d /dev/urandom >/data/file && sync", bytes))
	node := w.nodeOf("a")
	w.statsOf("data", "used_bytes", func(used float64) bool { return used >= bytes && used <= 2*bytes })
	told := toldOfRoles(t)
	for component, port := range map[string]string{"node": "9810", "controller": "9808"} {
		selector := metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=hostpath-csi,app.kubernetes.io/component=" + component}
		if component == "node" {
			selector.FieldSelector = "spec.nodeName=" + node
		}
		pods, err := kube.CoreV1().Pods(driverNamespace).List(t.Context(), selector)
		if err != nil || len(pods.Items) == 0 {
			t.Fatalf("there are %d pods of the %s (%v)", len(pods.Items), component, err)
		}
		out, err := onNode(t.Context(), node, "busybox", "wget", "-qO-", "http://"+pods.Items[0].Status.PodIP+":"+port+"/metrics")
		if err != nil {
			t.Fatal(err)
		}
		check := exec.CommandContext(t.Context(), "promtool", "check", "metrics")
		check.Stdin = strings.NewReader(out)
		if said, err := check.CombinedOutput(); err != nil {
			t.Errorf("promtool on the metrics of the %s: %v\n%s", component, err, said)
		}
		for name, role := range told {
			if is, want := strings.Contains(out, "\n# TYPE "+name+" "), role == "both" || role == component; is != want {
				t.Errorf("docs/metrics.md has %s for the role %s; that the %s tells of it is %v", name, role, component, is)
			}
		}
		for _, name := range regexp.MustCompile(`(?m)^# TYPE (hostpath_csi_\w+) `).FindAllStringSubmatch(out, -1) {
			if told[name[1]] == "" {
				t.Errorf("docs/metrics.md does not tell of %s, which the %s has", name[1], component)
			}
		}
		if component == "node" && !strings.Contains(out, "\n"+`hostpath_csi_pool_enforces_limits{pool="default"} 1`) {
			t.Error("the node's metrics do not tell that the pool holds volumes to their size")
		}
	}
}

// toldOfRoles returns which role has each metric of docs/metrics.md.
func toldOfRoles(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(root, "docs/metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(hostpath_csi_\\w+)` \\|.*\\| (both|node) \\| ").FindAllStringSubmatch(string(page), -1) {
		all[row[1]] = row[2]
	}
	if len(all) < 20 {
		t.Fatalf("docs/metrics.md has only %d metrics with a role", len(all))
	}
	return all
}
