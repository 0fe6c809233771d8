package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// archived is what kubectl hostpath tells of one entry of an archive.
type archived struct {
	Name, Node, VolumeID string
	Claim                struct{ Namespace, Name string }
}

// hostpath runs kubectl hostpath in the cluster's own network.
func hostpath(ctx context.Context, args ...string) (string, error) {
	args = append(args, "--kubeconfig", filepath.Join(root, "out/e2e/admin.kubeconfig"))
	cmd := exec.CommandContext(ctx, filepath.Join(root, "bin/kubectl-hostpath"), args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("kubectl hostpath %q: %w: %s", args, err, out)
	}
	return string(out), err
}

func (w *world) hostpath(args ...string) string {
	w.Helper()
	out, err := hostpath(w.Context(), args...)
	if err != nil {
		w.Fatal(err)
	}
	w.Logf("kubectl hostpath %s\n%s", strings.Join(args, " "), out)
	return out
}

// kept lists what the archives of the cluster have of this test's claims.
func (w *world) kept(ctx context.Context) (all []archived, err error) {
	out, err := hostpath(ctx, "archive", "ls", "-o", "json")
	if err != nil {
		return nil, err
	}
	var list struct{ Archived []archived }
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return nil, err
	}
	for _, a := range list.Archived {
		if a.Claim.Namespace == w.ns {
			all = append(all, a)
		}
	}
	return all, nil
}

// archive makes a volume with data of a class that archives, deletes its claim, and returns what
// the volume was and its name in the archive.
func (w *world) archive(class string) (pv *corev1.PersistentVolume, node, name string) {
	w.Helper()
	w.apply(claim("data", class, "64Mi") + podWith("a", "data"))
	w.running("a")
	w.inPod("a", "echo precious >/data/file")
	pv, node = w.volumeOf("data"), w.nodeOf("a")
	w.gone("a")
	w.kubectl("delete", "pvc/data")
	w.noVolume(pv.Name)
	w.eventually("the volume is in the archive", func(ctx context.Context) error {
		all, err := w.kept(ctx)
		if err == nil && (len(all) != 1 || all[0].Node != node || all[0].VolumeID != pv.Spec.CSI.VolumeHandle || !strings.HasPrefix(all[0].Name, w.ns+"_data.")) {
			err = fmt.Errorf("there are %+v", all)
		}
		if err == nil {
			name = all[0].Name
		}
		return err
	})
	return pv, node, name
}

// wantKept waits until the archives have that many of this test's volumes, and returns them.
func (w *world) wantKept(n int) (all []archived) {
	w.Helper()
	w.eventually(fmt.Sprintf("%d are in the archive", n), func(ctx context.Context) (err error) {
		if all, err = w.kept(ctx); err == nil && len(all) != n {
			err = fmt.Errorf("there are %+v", all)
		}
		return err
	})
	return all
}

// A volume whose class archives is kept when its claim is deleted, and is brought back
// into another claim, by kubectl hostpath alone: it, or a copy of it.
func TestADeletedVolumeIsBroughtBackFromTheArchive(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pool string // which shares blocks, and does not
		keep bool
	}{{"default", false}, {"plain", false}, {"default", true}, {"plain", true}} {
		name := c.pool
		if c.keep {
			name += ", kept as well"
		}
		t.Run(name, func(t *testing.T) {
			w := beside(t)
			class := w.class("Delete", "pool: "+c.pool+", onDelete: archive")
			pv, node, name := w.archive(class)
			w.hostpath("archive", "ls")
			restore := []string{"archive", "restore", name, "--claim", w.ns + "/again", "--class", class, "--reclaim-policy", "Delete"}
			left := 0
			if c.keep {
				restore, left = append(restore, "--keep"), 1
			}
			w.hostpath(restore...)
			w.wantKept(left)
			w.hostpath(restore...) // asked again, it goes on
			w.apply(claimFrom("again", class, "64Mi", "volumeName: "+pv.Name) + podWith("b", "again"))
			w.running("b")
			if got := w.inPod("b", "cat /data/file"); got != "precious" || w.nodeOf("b") != node {
				t.Errorf("on node %s, the next claim's pod reads %q", w.nodeOf("b"), got)
			}
			w.inPod("b", "echo more >>/data/file")
			w.gone("b")
			w.kubectl("delete", "pvc/again")
			w.noVolume(pv.Name)

			// It archives what it had then, beside what was kept.
			for _, a := range w.wantKept(left + 1) {
				w.hostpath("archive", "purge", a.Name)
			}
			w.wantKept(0)
		})
	}
}
