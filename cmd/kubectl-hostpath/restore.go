package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hostpath-csi/hostpath-csi/pkg/show"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/pkg/state/kube/v1alpha1"
)

type restoreOptions struct {
	*options
	as, class, claim, mode, policy string
	timeout                        time.Duration
}

func newArchiveRestoreCommand(o *options) *cobra.Command {
	r := restoreOptions{options: o}
	cmd := &cobra.Command{
		Use:   "restore NAME",
		Short: "Make a volume of a deleted one that is kept, for a claim to bind",
		Long: `Make a volume with the contents of one in the archive, on its node and in its pool, and a
PersistentVolume of it. The node's agent copies the contents, which takes milliseconds
where the filesystem shares blocks, and room for the whole size. The archive keeps its own:
'archive purge' removes it.

It takes the right to create hostpathvolumes and persistentvolumes.`,
		Example: `  kubectl hostpath archive restore shop_data-db-0.2026-03-01.6f1e2d1c --claim shop/data-db-0`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			if err := r.check(); err != nil {
				return err
			}
			return r.run(cmd.Context(), names[0], cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&r.as, "as", "", "ID of the volume, and name of the PersistentVolume (default: those that it had)")
	r.addOffer(flags)
	flags.DurationVar(&r.timeout, "timeout", 10*time.Minute, "how long to wait for the copy; it goes on afterwards")
	o.addChoice(cmd)
	return cmd
}

func (r *restoreOptions) check() error {
	if ns, name, ok := strings.Cut(r.claim, "/"); r.claim != "" && (!ok || ns == "" || name == "") {
		return fmt.Errorf("--claim is %q; it takes NAMESPACE/NAME", r.claim)
	}
	if r.as != "" && !state.ValidID(r.as) {
		return fmt.Errorf("--as is %q; it takes lower-case letters, digits and inner hyphens, at most %d bytes", r.as, state.MaxIDBytes)
	}
	if p := corev1.PersistentVolumeReclaimPolicy(r.policy); p != corev1.PersistentVolumeReclaimRetain && p != corev1.PersistentVolumeReclaimDelete {
		return fmt.Errorf("--reclaim-policy is %q; it takes Retain or Delete", r.policy)
	}
	return nil
}

// run declares the volume, waits for the agent, and makes the PersistentVolume. Cut short, it
// leaves a volume that 'kubectl hostpath volumes' shows; asked again, it goes on.
func (r *restoreOptions) run(ctx context.Context, name string, out io.Writer) error {
	nodes, err := r.connectNodes()
	if err != nil {
		return err
	}
	a, err := r.inArchive(ctx, nodes, name)
	if err != nil {
		return err
	}
	if a.DeletedAt == nil {
		return fmt.Errorf("%s carries no record of a volume: copy what you need from it, at %s of node %s", show.Name(a.Name), show.Name(a.Path), show.Name(a.Node))
	}
	c, err := r.connect()
	if err != nil {
		return err
	}
	v := r.volume(a)
	if err := r.declare(ctx, c, v); err != nil {
		return err
	}
	pv := r.persistentVolume(v)
	if err := offer(ctx, nodes.api, pv); err != nil {
		return fmt.Errorf("volume %s is there again, but has no PersistentVolume: %w", v.Name, err)
	}
	claims := "any claim of its size, node and class"
	if r.claim != "" {
		claims = "claim " + r.claim
	}
	_, err = fmt.Fprintf(out, "volume %s is there again, in pool %s of node %s: PersistentVolume %s, for %s with\n  storageClassName: %q\n  volumeName: %s\nThe archive keeps its own: kubectl hostpath archive purge %s\n",
		show.Name(v.Name), show.Name(a.Pool), show.Name(a.Node), pv.Name, claims, r.class, pv.Name, show.Name(a.Name))
	return err
}

// volume is the record of what is wanted.
func (r *restoreOptions) volume(a show.Archived) *v1alpha1.HostPathVolume {
	v := &v1alpha1.HostPathVolume{TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "HostPathVolume"}}
	v.Name = cmp.Or(r.as, a.VolumeID)
	v.Finalizers = []string{v1alpha1.Finalizer}
	v.Spec.VolumeSpec = state.VolumeSpec{Name: v.Name, Node: a.Node, Pool: a.Pool, CapacityBytes: a.CapacityBytes, AccessType: a.AccessType,
		Mode: 0o777, Source: &state.Source{Kind: state.FromArchive, ID: a.Name}, OnDelete: state.OnDeleteArchive, Claim: &state.Claim{PV: v.Name}}
	if ns, name, ok := strings.Cut(r.claim, "/"); ok {
		v.Spec.Claim.Namespace, v.Spec.Claim.Name = ns, name
	}
	if a.AccessType == state.BlockAccess {
		v.Spec.Provisioning = state.Thick
	}
	return v
}
