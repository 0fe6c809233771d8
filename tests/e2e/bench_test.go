package e2e

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// BenchmarkClaims makes many claims at once and waits until all are bound, then deletes
// them at once and waits until all volumes are gone. It tells how long a claim takes as its
// owner sees it, how much of that is the driver's, and what the API server had to write.
//
//	make bench-cluster
func BenchmarkClaims(b *testing.B) {
	for _, n := range []int{100, 500} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			for b.Loop() {
				claimsAtOnce(b, n)
			}
		})
	}
}

func claimsAtOnce(b *testing.B, n int) {
	ctx, cancel := context.WithTimeout(b.Context(), 10*time.Minute)
	defer cancel()
	ns, err := kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "bench-"}}, metav1.CreateOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := kube.CoreV1().Namespaces().Delete(context.WithoutCancel(ctx), ns.Name, metav1.DeleteOptions{}); err != nil {
			b.Error(err)
		}
	}()
	before := takeFigures(b, ctx)
	bound, all := create(b, ctx, ns.Name, n)
	created := takeFigures(b, ctx)
	began := time.Now()
	if _, err := kubectl(ctx, ns.Name, "", "delete", "pvc", "--all", "--wait=false"); err != nil {
		b.Fatal(err)
	}
	if err := poll(ctx, func(ctx context.Context) error {
		left, err := objects.Resource(volumes).List(ctx, metav1.ListOptions{})
		if err == nil && len(left.Items) > 0 {
			err = fmt.Errorf("%d volumes are left", len(left.Items))
		}
		return err
	}); err != nil {
		b.Fatal(err)
	}
	deletion := time.Since(began)
	deleted := takeFigures(b, ctx)

	slices.Sort(bound)
	for name, share := range map[string]int{"p50": 50, "p95": 95, "p99": 99} {
		b.ReportMetric(bound[(len(bound)-1)*share/100].Seconds(), name+"-s/claim")
	}
	b.ReportMetric(0, "ns/op") // of both together, which says nothing
	b.ReportMetric(all.Seconds(), "all-bound-s")
	b.ReportMetric(deletion.Seconds(), "all-deleted-s")
	b.ReportMetric((created.createSeconds-before.createSeconds)/(created.creates-before.creates)*1000, "driver-ms/create")
	b.ReportMetric(median(before.createBuckets, created.createBuckets)*1000, "p50-driver-ms/create")
	b.ReportMetric((deleted.deleteSeconds-created.deleteSeconds)/(deleted.deletes-created.deletes)*1000, "driver-ms/delete")
	b.ReportMetric((created.writes-before.writes)/float64(n), "writes/create")
	b.ReportMetric((deleted.writes-created.writes)/float64(n), "writes/delete")
	b.ReportMetric(created.controllerBytes/mib, "controller-MiB")
	b.ReportMetric(created.nodeBytes/mib, "node-MiB")
}

// create makes claims at once, and returns how long each took to be bound, and all.
func create(b *testing.B, ctx context.Context, ns string, n int) (each []time.Duration, all time.Duration) {
	claims := kube.CoreV1().PersistentVolumeClaims(ns)
	changes, err := claims.Watch(ctx, metav1.ListOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer changes.Stop()
	var manifests strings.Builder
	for i := range n {
		manifests.WriteString(claim(fmt.Sprintf("c%d", i), "hostpath-csi-immediate", "1Mi"))
	}
	began := time.Now()
	seen := make(map[string]time.Time)
	failed := make(chan error, 1)
	go func() {
		_, err := kubectl(ctx, ns, manifests.String(), "create", "-f", "-")
		failed <- err
	}()
	for len(each) < n {
		select {
		case err := <-failed:
			if err != nil {
				b.Fatal(err)
			}
			failed = nil
		case <-ctx.Done():
			b.Fatalf("%d of %d claims were bound in time", len(each), n)
		case change, ok := <-changes.ResultChan():
			if !ok {
				b.Fatal("the watch ended")
			}
			c, ok := change.Object.(*corev1.PersistentVolumeClaim)
			if !ok {
				b.Fatalf("%T: %v", change.Object, change.Object)
			}
			if _, ok := seen[c.Name]; !ok {
				seen[c.Name] = time.Now()
			}
			if first := seen[c.Name]; c.Status.Phase == corev1.ClaimBound && !first.IsZero() {
				each = append(each, time.Since(first))
				seen[c.Name] = time.Time{} // counted
			}
		}
	}
	return each, time.Since(began)
}

// figures are counters of the driver and of the API server.
type figures struct {
	creates, createSeconds, deletes, deleteSeconds float64
	createBuckets                                  map[float64]float64 // how many took at most so many seconds
	writes                                         float64             // of volume records
	controllerBytes, nodeBytes                     float64             // resident
}

func takeFigures(b *testing.B, ctx context.Context) (f figures) {
	pods, err := kube.CoreV1().Pods(driverNamespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		b.Fatal(err)
	}
	for _, p := range pods.Items {
		port := map[string]string{"controller": "9808", "node": "9810"}[p.Labels["app.kubernetes.io/component"]]
		out, err := onNode(ctx, p.Spec.NodeName, "busybox", "wget", "-qO-", "http://"+p.Status.PodIP+":"+port+"/metrics")
		if err != nil {
			b.Fatal(err)
		}
		rss := sumOf(out, "process_resident_memory_bytes")
		if port == "9810" {
			f.nodeBytes = max(f.nodeBytes, rss)
			continue
		}
		f.controllerBytes = rss
		const create, remove = `method="/csi.v1.Controller/CreateVolume"`, `method="/csi.v1.Controller/DeleteVolume"`
		f.creates, f.createSeconds = sumOf(out, "hostpath_csi_rpc_duration_seconds_count", create), sumOf(out, "hostpath_csi_rpc_duration_seconds_sum", create)
		f.createBuckets = bucketsOf(out, "hostpath_csi_rpc_duration_seconds", create)
		f.deletes, f.deleteSeconds = sumOf(out, "hostpath_csi_rpc_duration_seconds_count", remove), sumOf(out, "hostpath_csi_rpc_duration_seconds_sum", remove)
	}
	out, err := kubectl(ctx, driverNamespace, "", "get", "--raw", "/metrics")
	if err != nil {
		b.Fatal(err)
	}
	for _, verb := range []string{"POST", "PUT", "PATCH", "DELETE"} {
		f.writes += sumOf(out, "apiserver_request_total", `resource="hostpathvolumes"`, `verb="`+verb+`"`)
	}
	return f
}

// bucketsOf returns the buckets of a histogram that have a label.
func bucketsOf(metrics, name, label string) map[float64]float64 {
	counts := map[float64]float64{}
	for _, found := range regexp.MustCompile(name+`_bucket\{[^}]*le="([^"]+)"`).FindAllStringSubmatch(metrics, -1) {
		if le, err := strconv.ParseFloat(found[1], 64); err == nil {
			counts[le] = sumOf(metrics, name+"_bucket", label, `le="`+found[1]+`"`)
		}
	}
	return counts
}

// median is that of what came into a histogram between two looks at it, as Prometheus has it:
// between the bounds of its bucket, in proportion.
func median(before, after map[float64]float64) float64 {
	half := (after[math.Inf(1)] - before[math.Inf(1)]) / 2
	var lower, below float64
	for _, le := range slices.Sorted(maps.Keys(after)) {
		count := after[le] - before[le]
		if count >= half {
			return lower + (le-lower)*(half-below)/(count-below)
		}
		lower, below = le, count
	}
	return math.NaN()
}

// sumOf adds the samples of a metric that have all these labels.
func sumOf(metrics, name string, labels ...string) (sum float64) {
	lines := bufio.NewScanner(strings.NewReader(metrics))
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), name)
		if !ok || rest == "" || rest[0] != ' ' && rest[0] != '{' || slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(rest, l) }) {
			continue
		}
		fields := strings.Fields(rest)
		value, err := strconv.ParseFloat(fields[len(fields)-1], 64)
		if err == nil {
			sum += value
		}
	}
	return sum
}
