package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hostpath-csi/hostpath-csi/pkg/show"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/pkg/state/kube/v1alpha1"
)

// adoptOptions are the flags of adopt; what becomes of the volume is asked as by restore.
type adoptOptions struct {
	restoreOptions
	size, onDelete string
}

func newAdoptCommand(o *options) *cobra.Command {
	a := adoptOptions{restoreOptions: restoreOptions{options: o}}
	cmd := &cobra.Command{
		Use:   "adopt POOL/PATH",
		Short: "Make a volume of a directory that is in a pool already, for a claim to bind",
		Long: `Make a volume of a directory that lies in a pool of a node, with all that is in it, and a
PersistentVolume of it. PATH is relative to the pool: an orphan is at volumes/NAME. The
directory is renamed to its place and nothing copied; its files stay whose they are.

The node's agent refuses what is a volume already, what takes more than --size, and a
mount point or symbolic link. Until the volume is ready, the directory stays where and what
it is. On btrfs, only a subvolume can be adopted.

Of the parameters of --class it takes none: with --reclaim-policy Delete, --on-delete says what
becomes of the contents.

It takes the right to create hostpathvolumes and persistentvolumes.`,
		Example: `  kubectl hostpath adopt fast/legacy/db --node worker-1 --as db --size 20Gi --claim shop/data-db-0`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.run(cmd.Context(), args[0], cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.node, "node", "", "node that the directory is on (required)")
	complete(cmd, "node", o.completeNodes)
	flags.StringVar(&a.as, "as", "", "ID of the volume, and name of the PersistentVolume (required)")
	flags.StringVar(&a.size, "size", "", "the volume's size, such as 20Gi; at least what the directory takes (required)")
	a.addOffer(flags)
	flags.StringVar(&a.onDelete, "on-delete", string(state.OnDeleteRemove), "what becomes of the contents when the volume is deleted: delete, archive or scrub")
	flags.DurationVar(&a.timeout, "timeout", 10*time.Minute, "how long to wait for the node's agent; it goes on afterwards")
	return cmd
}

// record is the record of what is wanted.
func (a *adoptOptions) record(directory string) (*v1alpha1.HostPathVolume, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	onDelete := state.OnDelete(a.onDelete)
	size, err := resource.ParseQuantity(a.size)
	pool, within, ok := strings.Cut(directory, "/")
	switch {
	case !ok || pool == "" || within == "" || path.Clean(within) != within:
		return nil, fmt.Errorf("got %s; it takes POOL/PATH, such as fast/legacy/db", state.Quote(directory))
	case a.node == "":
		return nil, errors.New("--node is missing: it takes the node that the directory is on")
	case a.as == "":
		return nil, errors.New("--as is missing: it takes the volume's ID, such as db")
	case err != nil || size.Value() <= 0:
		return nil, fmt.Errorf("--size is %s; it takes a size such as 20Gi", state.Quote(a.size))
	case onDelete != state.OnDeleteRemove && onDelete != state.OnDeleteArchive && onDelete != state.OnDeleteScrub:
		return nil, fmt.Errorf("--on-delete is %s; it takes %s, %s or %s", state.Quote(a.onDelete), state.OnDeleteRemove, state.OnDeleteArchive, state.OnDeleteScrub)
	}
	v := &v1alpha1.HostPathVolume{TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "HostPathVolume"}}
	v.Name, v.Finalizers = a.as, []string{v1alpha1.Finalizer}
	v.Spec.VolumeSpec = state.VolumeSpec{Name: a.as, Node: a.node, Pool: pool, CapacityBytes: size.Value(), AccessType: state.MountAccess,
		Mode: 0o777, Adopt: within, OnDelete: onDelete, Claim: &state.Claim{PV: a.as}}
	if ns, name, ok := strings.Cut(a.claim, "/"); ok {
		v.Spec.Claim.Namespace, v.Spec.Claim.Name = ns, name
	}
	return v, nil
}

// run declares the volume, waits for the agent, and makes the PersistentVolume. Asked again, it
// goes on.
func (a *adoptOptions) run(ctx context.Context, directory string, out io.Writer) error {
	v, err := a.record(directory)
	if err != nil {
		return err
	}
	nodes, err := a.connectNodes()
	if err != nil {
		return err
	}
	c, err := a.connect()
	if err != nil {
		return err
	}
	if err := a.declare(ctx, c, v); err != nil {
		return err
	}
	pv := a.persistentVolume(v)
	if err := offer(ctx, nodes.api, pv); err != nil {
		return fmt.Errorf("the directory is volume %s, but has no PersistentVolume: %w", v.Name, err)
	}
	claims := "any claim of its size, node and class"
	if a.claim != "" {
		claims = "claim " + a.claim
	}
	_, err = fmt.Fprintf(out, "%s is volume %s, at %s of the pool: PersistentVolume %s, for %s with\n  storageClassName: %q\n  volumeName: %s\n",
		show.Name(directory), show.Name(v.Name), show.Name(v.Status.Path), pv.Name, claims, a.class, pv.Name)
	return err
}
