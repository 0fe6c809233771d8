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

const mib = 1 << 20

// fill writes into a pod's volume until nothing more fits, and returns how many bytes
// that were.
func (w *world) fill(pod, file string) int64 {
	w.Helper()
	out, err := w.tryInPod(pod, "dd if=/dev/zero of=/data/"+file+" bs=1M count=300 2>&1")
	if err == nil {
		w.Errorf("%s wrote 300 MiB, and nothing stopped it", pod)
	} else if !strings.Contains(out, "No space left") && !strings.Contains(out, "quota exceeded") {
		w.Fatalf("a write that is too much fails with: %s (%v)", out, err)
	}
	size, err := strconv.ParseInt(w.inPod(pod, "stat -c %s /data/"+file), 10, 64)
	if err != nil {
		w.Fatal(err)
	}
	return size
}

func TestAVolumeHoldsItsSizeAndGrowsOnline(t *testing.T) {
	w := beside(t)
	w.apply(claim("data", "hostpath-csi", "64Mi") + podWith("a", "data"))
	w.running("a")
	first := w.fill("a", "one")
	if first < 60*mib || first > 68*mib {
		t.Errorf("a volume of 64 MiB took %d bytes", first)
	}
	w.kubectl("patch", "pvc/data", "-p", `{"spec":{"resources":{"requests":{"storage":"128Mi"}}}}`)
	w.eventually("the claim has 128Mi", func(ctx context.Context) error {
		pvc, err := kube.CoreV1().PersistentVolumeClaims(w.ns).Get(ctx, "data", metav1.GetOptions{})
		if err == nil && pvc.Status.Capacity.Storage().Value() != 128*mib {
			err = fmt.Errorf("it has %s", pvc.Status.Capacity.Storage())
		}
		return err
	})
	if both := first + w.fill("a", "two"); both < 120*mib || both > 133*mib {
		t.Errorf("grown to 128 MiB, the volume took %d bytes", both)
	}
	// statfs knows of no qgroup: df shows the pool's filesystem, as docs/filesystems.md says.
	// The kubelet tells the volume's size.
	if size := w.dfSize("a"); size < 1800*mib || size > 2048*mib {
		t.Errorf("df shows %d bytes, want those of the pool of 2 GiB", size)
	}
	w.statsOf("data", "capacity_bytes", func(size float64) bool { return size == 128*mib })
	w.statsOf("data", "available_bytes", func(left float64) bool { return left < 4*mib })
	if got := w.inPod("a", "stat -c %s /data/one"); got != strconv.FormatInt(first, 10) {
		t.Errorf("the first file has %s bytes, had %d", got, first)
	}
}

// dfSize returns how large df says that a pod's volume is.
func (w *world) dfSize(pod string) int64 {
	w.Helper()
	out := w.inPod(pod, "df -P -k /data | tail -n 1")
	fields := strings.Fields(out)
	if len(fields) != 6 || fields[5] != "/data" {
		w.Fatalf("df shows %q", out)
	}
	kib, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		w.Fatal(err)
	}
	return kib << 10
}

// statsOf waits until what the kubelet tells of a claim's volume is right.
func (w *world) statsOf(claim, what string, right func(float64) bool) {
	w.Helper()
	node := nodeFor(w.volumeOf(claim))
	told := regexp.MustCompile(`(?m)^kubelet_volume_stats_` + what + `\{namespace="` + w.ns + `",persistentvolumeclaim="` + claim + `"\} (\S+)`)
	w.eventually("the kubelet tells "+what, func(ctx context.Context) error {
		out, err := kubectl(ctx, w.ns, "", "get", "--raw", "/api/v1/nodes/"+node+"/proxy/metrics")
		if err != nil {
			return err
		}
		found := told.FindStringSubmatch(out)
		if found == nil {
			return fmt.Errorf("it tells of volumes:\n%s", strings.Join(regexp.MustCompile(`(?m)^kubelet_volume_stats_\S+ \S+`).FindAllString(out, -1), "\n"))
		}
		if n, err := strconv.ParseFloat(found[1], 64); err != nil || !right(n) {
			return fmt.Errorf("it tells of %s", found[1])
		}
		return nil
	})
}

func TestAClaimLargerThanAnyNodeStaysPendingAndSaysWhy(t *testing.T) {
	w := beside(t)
	w.apply(claim("data", "hostpath-csi", "100Gi") + podWith("a", "data") + claim("at-once", "hostpath-csi-immediate", "100Gi"))
	for object, want := range map[string]string{
		"pod/a":       "did not have enough free storage", // which the scheduler knows
		"pvc/at-once": "the largest pool that may take the volume has",
	} {
		w.eventually(object+" is told why", func(ctx context.Context) error {
			out, err := kubectl(ctx, w.ns, "", "describe", object)
			if err == nil && !strings.Contains(out, want) {
				err = fmt.Errorf("kubectl describe shows:\n%s", out)
			}
			return err
		})
	}
	if got := w.kubectl("get", "pvc", "-o", "jsonpath={.items[*].status.phase}"); got != "Pending Pending" {
		t.Errorf("the claims are %s", got)
	}
}

// A node's pool has less than 2 GiB: of volumes of 1200 MiB each has room for one, and
// pods that have a choice find the node that has room.
func TestPodsLandWhereThereIsRoom(t *testing.T) {
	w := alone(t)
	var all string
	names := []string{"a", "b", "c"}
	for _, name := range names {
		all += claim(name, "hostpath-csi", "1200Mi") + podWith(name, name)
	}
	w.apply(all)
	w.running(names...)
	nodes := make(map[string]bool)
	for _, name := range names {
		nodes[w.nodeOf(name)] = true
	}
	if len(nodes) != 3 {
		t.Errorf("three volumes, of which a node has room for one, lie on %d nodes", len(nodes))
	}
	// A fourth waits until there is room again.
	w.apply(claim("d", "hostpath-csi", "1200Mi") + podWith("d", "d"))
	w.eventually("the fourth is told to have no room", func(ctx context.Context) error {
		out, err := kubectl(ctx, w.ns, "", "get", "events", "-o", "jsonpath={.items[*].message}")
		if err == nil && !strings.Contains(out, "did not have enough free storage") && !strings.Contains(out, "ResourceExhausted") {
			err = fmt.Errorf("events: %s", out)
		}
		return err
	})
	w.gone("a")
	w.kubectl("delete", "pvc/a")
	w.running("d")
}
