package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// class makes a StorageClass of this test's own, with parameters such as "pool: plain", and
// returns its name.
func (w *world) class(reclaim, parameters string) string {
	w.Helper()
	name := "class-" + w.ns
	w.apply(fmt.Sprintf(`
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: %s}
provisioner: hostpath-csi.dev
reclaimPolicy: %s
volumeBindingMode: WaitForFirstConsumer
allowVolumeExpansion: true
parameters: {%s}
`, name, reclaim, parameters))
	w.Cleanup(func() {
		if _, err := kubectl(context.Background(), w.ns, "", "delete", "storageclass/"+name); err != nil {
			w.Error(err)
		}
	})
	return name
}

// Whoever has a volume is told what is wrong with it where he looks: on his claim.
func TestAClaimIsToldThatNothingHoldsItsVolumeToItsSize(t *testing.T) {
	w := beside(t)
	w.apply(claim("data", w.class("Delete", "pool: plain"), "64Mi") + podWith("a", "data"))
	w.running("a")
	pv := w.volumeOf("data")
	for _, object := range []string{"pvc/data", "pv/" + pv.Name} {
		w.eventually(object+" has an event", func(ctx context.Context) error {
			out, err := kubectl(ctx, w.ns, "", "describe", object)
			if err == nil && !containsAll(lineWith(out, "SizeNotEnforced"), "Warning", "hostpath-csi.dev", "nothing holds the volume to its size") {
				err = fmt.Errorf("kubectl describe shows:\n%s", out)
			}
			return err
		})
	}
	if out := w.kubectl("describe", "pvc/data"); strings.Count(out, "SizeNotEnforced") != 1 {
		t.Errorf("it is told more than once:\n%s", out)
	}
}

func TestAClaimIsToldThatBtrfsCannotScrub(t *testing.T) {
	w := beside(t)
	w.apply(claim("data", w.class("Delete", "pool: default, onDelete: scrub"), "64Mi") + podWith("a", "data"))
	w.eventually("the claim has an event", func(ctx context.Context) error {
		out, err := kubectl(ctx, w.ns, "", "describe", "pvc/data")
		if err == nil && !containsAll(lineWith(out, "onDelete"), "Warning", "ProvisioningFailed", "pool default is on btrfs", "onDelete: scrub takes a pool on XFS or ext4") {
			err = fmt.Errorf("kubectl describe shows:\n%s", out)
		}
		return err
	})
}
