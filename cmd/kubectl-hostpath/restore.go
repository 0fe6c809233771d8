package main

import (
	"cmp"
	"context"
	"errors"
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
	keep                           bool
	timeout                        time.Duration
}

func newArchiveRestoreCommand(o *options) *cobra.Command {
	r := restoreOptions{options: o}
	cmd := &cobra.Command{
		Use:   "restore NAME",
		Short: "Make a deleted volume that is kept a volume again, for a claim to bind",
		Long: `Make a deleted volume that is kept a volume again, with its contents and size, and a
PersistentVolume of it. The node's agent renames it out of the archive to its place: nothing
is copied, and the archive has it no more. With --keep it is copied, and the archive keeps its
own: that takes room for both, and, where the filesystem shares no blocks, time.

Until the volume is ready, the archive has what it had. Asked again, it goes on.

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
	flags.BoolVar(&r.keep, "keep", false, "copy it, and keep it in the archive, too")
	flags.DurationVar(&r.timeout, "timeout", 10*time.Minute, "how long to wait for the node's agent; it goes on afterwards")
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
	c, err := r.connect()
	if err != nil {
		return err
	}
	v, err := r.find(ctx, nodes, c, name)
	if err != nil {
		return err
	}
	if v.UID != "" { // it was declared before
		err = r.await(ctx, c, v)
	} else {
		err = r.declare(ctx, c, v)
	}
	if err != nil {
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
	_, err = fmt.Fprintf(out, "volume %s is there again, in pool %s of node %s: PersistentVolume %s, for %s with\n  storageClassName: %q\n  volumeName: %s\n",
		show.Name(v.Name), show.Name(v.Spec.Pool), show.Name(v.Spec.Node), pv.Name, claims, r.class, pv.Name)
	if err == nil && r.keep {
		_, err = fmt.Fprintf(out, "The archive keeps its own: kubectl hostpath archive purge %s\n", show.Name(name))
	}
	return err
}

// find returns the record of what is wanted. What is not in the archive any more may have come
// back from it, to be asked for again: that is the record that is there.
func (r *restoreOptions) find(ctx context.Context, nodes *nodePods, c *cluster, name string) (*v1alpha1.HostPathVolume, error) {
	a, err := r.inArchive(ctx, nodes, name)
	switch {
	case errors.As(err, new(*notArchived)) && !r.keep:
		return r.cameBack(ctx, c, name, err)
	case err != nil:
		return nil, err
	case a.DeletedAt == nil:
		return nil, fmt.Errorf("%s carries no record of a volume: copy what you need from it, at %s of node %s", show.Name(a.Name), show.Name(a.Path), show.Name(a.Node))
	}
	return r.volume(a), nil
}

// cameBack returns the record of the volume that came out of the archive; without one, the
// error is why.
func (r *restoreOptions) cameBack(ctx context.Context, c *cluster, name string, why error) (*v1alpha1.HostPathVolume, error) {
	all, err := c.volumes(ctx, "")
	if err != nil {
		return nil, errors.Join(why, err)
	}
	for _, v := range all {
		if v.Spec.Adopt == archivedPath(name) && v.DeletionTimestamp == nil && v.Spec.DeletedAt == nil &&
			(r.as == "" || r.as == v.Name) && (r.node == "" || r.node == v.Spec.Node) && (r.pool == "" || r.pool == v.Spec.Pool) {
			return &v, nil
		}
	}
	return nil, why
}

// archivedPath is where something lies that has a name in the archive of its pool.
func archivedPath(name string) string { return "archive/" + name }

// volume is the record of what is wanted: the volume that it was, as far as its node tells. It lies
// where its ID says, whatever it did.
func (r *restoreOptions) volume(a show.Archived) *v1alpha1.HostPathVolume {
	v := &v1alpha1.HostPathVolume{TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "HostPathVolume"}}
	v.Name = cmp.Or(r.as, a.VolumeID)
	v.Finalizers = []string{v1alpha1.Finalizer}
	was := state.VolumeSpec{Mode: 0o777, OnDelete: state.OnDeleteArchive}
	if a.AccessType == state.BlockAccess {
		was.Provisioning = state.Thick
	}
	if a.Spec != nil {
		was = *a.Spec
	}
	v.Spec.VolumeSpec = state.VolumeSpec{Name: v.Name, Node: a.Node, Pool: a.Pool, CapacityBytes: a.CapacityBytes, AccessType: a.AccessType,
		Mode: was.Mode, UserID: was.UserID, GroupID: was.GroupID, Provisioning: was.Provisioning, OnDelete: was.OnDelete, Claim: &state.Claim{PV: v.Name}}
	if ns, name, ok := strings.Cut(r.claim, "/"); ok {
		v.Spec.Claim.Namespace, v.Spec.Claim.Name = ns, name
	} else if a.Claim != nil {
		v.Spec.Claim.Namespace, v.Spec.Claim.Name = a.Claim.Namespace, a.Claim.Name
	}
	if r.keep {
		v.Spec.Source = &state.Source{Kind: state.FromArchive, ID: a.Name}
	} else {
		v.Spec.Adopt = archivedPath(a.Name)
	}
	return v
}
