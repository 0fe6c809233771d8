package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/pkg/state/kube/v1alpha1"
)

func TestAdoptDeclaresAVolumeAndMakesItsPersistentVolume(t *testing.T) {
	a := serveArchives(t)
	got, err := a.run("adopt", "fast/legacy/db", "--node", "worker-1", "--as", "db", "--size", "20Gi", "--claim", "shop/data-db-0", "--class", "hostpath-csi", "--on-delete", "archive")
	must(t, err)
	wantGolden(t, "adopt", got)
	if s := a.volume.Spec; a.volume.Name != "db" || s.Node != "worker-1" || s.Pool != "fast" || s.Adopt != "legacy/db" || s.CapacityBytes != 20<<30 || s.AccessType != state.MountAccess || s.OnDelete != state.OnDeleteArchive ||
		*s.Claim != (state.Claim{Namespace: "shop", Name: "data-db-0", PV: "db"}) || !slices.Equal(a.volume.Finalizers, []string{v1alpha1.Finalizer}) {
		t.Errorf("the record is %+v", a.volume)
	}
	if spec := a.pv.Spec; a.pv.Name != "db" || spec.CSI.VolumeHandle != "db" || spec.Capacity.Storage().Value() != 20<<30 || spec.PersistentVolumeReclaimPolicy != "Retain" || spec.ClaimRef.Name != "data-db-0" {
		t.Errorf("the PersistentVolume is %+v", a.pv)
	}
}

func TestWhatKeepsADirectoryFromBecomingAVolumeIsTold(t *testing.T) {
	whole := []string{"adopt", "fast/legacy/db", "--node", "worker-1", "--as", "db", "--size", "20Gi"}
	for name, c := range map[string]struct {
		change func(a *archives)
		args   []string
		want   string
	}{
		"no node":           {nil, []string{"adopt", "fast/legacy/db", "--as", "db", "--size", "20Gi"}, "--node is missing"},
		"no name":           {nil, []string{"adopt", "fast/legacy/db", "--node", "worker-1", "--size", "20Gi"}, "--as is missing"},
		"no size":           {nil, []string{"adopt", "fast/legacy/db", "--node", "worker-1", "--as", "db"}, `--size is ""`},
		"a wrong end":       {nil, append(whole, "--on-delete", "keep"), `--on-delete is "keep"; it takes delete, archive or scrub`},
		"no pool":           {nil, []string{"adopt", "/legacy/db", "--node", "worker-1", "--as", "db", "--size", "20Gi"}, "it takes POOL/PATH"},
		"out of the pool":   {nil, []string{"adopt", "fast/x/../../y", "--node", "worker-1", "--as", "db", "--size", "20Gi"}, "it takes POOL/PATH"},
		"the name is taken": {func(a *archives) { a.taken = true }, whole, "--as"},
		"the agent refuses": {func(a *archives) { a.refuse = "that is volume pvc-1 already" }, whole, "that is volume pvc-1 already"},
	} {
		t.Run(name, func(t *testing.T) {
			a := serveArchives(t)
			if c.change != nil {
				c.change(a)
			}
			out, err := a.run(c.args...)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q; printed:\n%s", err, c.want, out)
			}
			if a.pv != nil || a.deleted != (a.refuse != "") {
				t.Errorf("a PersistentVolume: %v; the record was taken back: %v", a.pv != nil, a.deleted)
			}
		})
	}
}
