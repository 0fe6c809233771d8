package e2e

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
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
	used := regexp.MustCompile(`(?m)^kubelet_volume_stats_used_bytes\{namespace="` + w.ns + `",persistentvolumeclaim="data"\} (\S+)`)
	w.eventually("the kubelet tells what the volume holds", func(ctx context.Context) error {
		out, err := kubectl(ctx, w.ns, "", "get", "--raw", "/api/v1/nodes/"+node+"/proxy/metrics")
		if err != nil {
			return err
		}
		found := used.FindStringSubmatch(out)
		if found == nil {
			return fmt.Errorf("it tells of volumes:\n%s", strings.Join(regexp.MustCompile(`(?m)^kubelet_volume_stats_\S+ \S+`).FindAllString(out, -1), "\n"))
		}
		if n, err := strconv.ParseFloat(found[1], 64); err != nil || n < bytes || n > 2*bytes {
			return fmt.Errorf("it tells of %s bytes; the pod wrote %d", found[1], bytes)
		}
		return nil
	})
	for component, c := range map[string]struct {
		port string
		want []string
	}{
		"node": {"9810", []string{`hostpath_csi_volumes{phase="Ready",pool="default"} `, `hostpath_csi_pool_size_bytes{pool="default"} `, `hostpath_csi_pool_enforces_limits{pool="default"} 1`,
			`hostpath_csi_rpc_duration_seconds_count{code="OK",method="/csi.v1.Node/NodePublishVolume"} `, "hostpath_csi_reconcile_lag_seconds ",
			"hostpath_csi_store_commit_duration_seconds_count ", "hostpath_csi_config_last_reload_successful 1", "hostpath_csi_build_info{"}},
		"controller": {"9808", []string{`hostpath_csi_rpc_duration_seconds_count{code="OK",method="/csi.v1.Controller/CreateVolume"} `,
			"hostpath_csi_store_commit_duration_seconds_count ", "hostpath_csi_config_last_reload_successful 1", "hostpath_csi_build_info{"}},
	} {
		selector := metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=hostpath-csi,app.kubernetes.io/component=" + component}
		if component == "node" {
			selector.FieldSelector = "spec.nodeName=" + node
		}
		pods, err := kube.CoreV1().Pods(driverNamespace).List(t.Context(), selector)
		if err != nil || len(pods.Items) == 0 {
			t.Fatalf("there are %d pods of the %s (%v)", len(pods.Items), component, err)
		}
		out, err := onNode(t.Context(), node, "busybox", "wget", "-qO-", "http://"+pods.Items[0].Status.PodIP+":"+c.port+"/metrics")
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range c.want {
			if !strings.Contains(out, "\n"+want) {
				t.Errorf("the %s does not tell of %s:\n%s", component, want, strings.Join(regexp.MustCompile(`(?m)^hostpath_csi_\S+ \S+`).FindAllString(out, -1), "\n"))
			}
		}
	}
}
