package e2e

import (
	"context"
	"fmt"
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
	if got := w.inPod("a", "stat -c %s /data/one"); got != strconv.FormatInt(first, 10) {
		t.Errorf("the first file has %s bytes, had %d", got, first)
	}
}

func TestAClaimLargerThanAnyNodeStaysPendingAndSaysWhy(t *testing.T) {
	w := beside(t)
	w.apply(claim("data", "hostpath-csi", "100Gi") + podWith("a", "data"))
	w.eventually("an event says that there is no room", func(ctx context.Context) error {
		events, err := kube.CoreV1().Events(w.ns).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, e := range events.Items {
			if strings.Contains(e.Message, "did not have enough free storage") {
				return nil
			}
		}
		return fmt.Errorf("there are %d others", len(events.Items))
	})
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
