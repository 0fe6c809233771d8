package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
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

// A volume whose class archives is kept when its claim is deleted, and is brought back
// into another claim, by kubectl hostpath alone.
func TestADeletedVolumeIsBroughtBackFromTheArchive(t *testing.T) {
	t.Parallel()
	for _, pool := range []string{"default", "plain"} { // which shares blocks, and does not
		t.Run(pool, func(t *testing.T) {
			w := beside(t)
			class := w.class("Delete", "pool: "+pool+", onDelete: archive")
			w.apply(claim("data", class, "64Mi") + podWith("a", "data"))
			w.running("a")
			w.inPod("a", "echo precious >/data/file")
			pv, node := w.volumeOf("data"), w.nodeOf("a")
			w.gone("a")
			w.kubectl("delete", "pvc/data")
			w.noVolume(pv.Name)

			var name string
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
			w.hostpath("archive", "ls")
			w.hostpath("archive", "restore", name, "--claim", w.ns+"/again", "--class", class, "--reclaim-policy", "Delete")
			w.apply(claimFrom("again", class, "64Mi", "volumeName: "+pv.Name) + podWith("b", "again"))
			w.running("b")
			if got := w.inPod("b", "cat /data/file"); got != "precious" || w.nodeOf("b") != node {
				t.Errorf("on node %s, the next claim's pod reads %q", w.nodeOf("b"), got)
			}
			w.inPod("b", "echo more >>/data/file")
			w.gone("b")
			w.kubectl("delete", "pvc/again")
			w.noVolume(pv.Name)

			// It archives what it had then, beside what there was before.
			w.eventually("both are in the archive", func(ctx context.Context) error {
				all, err := w.kept(ctx)
				if err == nil && len(all) != 2 {
					err = fmt.Errorf("there are %+v", all)
				}
				return err
			})
			all, err := w.kept(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range all {
				w.hostpath("archive", "purge", a.Name)
			}
			w.eventually("the archive is empty", func(ctx context.Context) error {
				all, err := w.kept(ctx)
				if err == nil && len(all) > 0 {
					err = fmt.Errorf("there are %+v", all)
				}
				return err
			})
		})
	}
}
