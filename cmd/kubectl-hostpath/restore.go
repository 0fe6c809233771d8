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
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

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
	flags.StringVar(&r.class, "class", "", "StorageClass that the PersistentVolume, and so the claim that binds it, names (default: none)")
	flags.StringVar(&r.claim, "claim", "", "NAMESPACE/NAME of the only claim that may bind it (default: any)")
	flags.StringVar(&r.mode, "access-mode", string(corev1.ReadWriteOnce), "access mode that the PersistentVolume allows")
	flags.StringVar(&r.policy, "reclaim-policy", string(corev1.PersistentVolumeReclaimRetain), "what becomes of the volume when that claim is deleted: Retain or Delete")
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
// leaves a volume that 'kubectl hostpath volumes' shows.
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
	if err := c.api.Post().Resource(v1alpha1.Volumes).Body(v).Do(ctx).Into(v); err != nil {
		if apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("there is a volume %s already: have this one called otherwise with --as", v.Name)
		}
		return err
	}
	if err := r.await(ctx, c, v); err != nil {
		return err
	}
	pv := r.persistentVolume(v, a)
	if err := nodes.api.Post().Resource("persistentvolumes").Body(pv).Do(ctx).Error(); err != nil {
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

// await waits until the agent has made the volume. One that it cannot make is taken back.
func (r *restoreOptions) await(ctx context.Context, c *cluster, v *v1alpha1.HostPathVolume) error {
	end := time.Now().Add(r.timeout)
	err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, r.timeout, true, func(ctx context.Context) (bool, error) {
		if err := c.api.Get().Resource(v1alpha1.Volumes).Name(v.Name).Do(ctx).Into(v); err != nil {
			return false, err
		}
		return v.Status.Phase == state.Ready || v.Status.Phase == state.Failed, nil
	})
	switch {
	case wait.Interrupted(err), err != nil && ctx.Err() == nil && time.Now().After(end): // a call that began at the end fails in its own words
		return fmt.Errorf("volume %s is not there yet, and goes on being made: 'kubectl hostpath volumes --node %s' shows when; make its PersistentVolume then, as in deploy/examples/static-pv.yaml", v.Name, v.Spec.Node)
	case err != nil:
		return err
	case v.Status.Phase == state.Failed:
		failed := fmt.Errorf("node %s cannot make the volume: %s", v.Spec.Node, v.Status.Message)
		return errors.Join(failed, c.api.Delete().Resource(v1alpha1.Volumes).Name(v.Name).Do(ctx).Error())
	}
	return nil
}

// provisionedBy has csi-provisioner delete the volume with its PersistentVolume, if that is
// its reclaim policy.
const provisionedBy = "pv.kubernetes.io/provisioned-by"

func (r *restoreOptions) persistentVolume(v *v1alpha1.HostPathVolume, a show.Archived) *corev1.PersistentVolume {
	mode := corev1.PersistentVolumeFilesystem
	if a.AccessType == state.BlockAccess {
		mode = corev1.PersistentVolumeBlock
	}
	pv := &corev1.PersistentVolume{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolume"},
		ObjectMeta: metav1.ObjectMeta{Name: v.Name, Annotations: map[string]string{provisionedBy: v1alpha1.GroupVersion.Group}},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: *resource.NewQuantity(v.Status.CapacityBytes, resource.BinarySI)},
			AccessModes:                   []corev1.PersistentVolumeAccessMode{corev1.PersistentVolumeAccessMode(r.mode)},
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimPolicy(r.policy),
			StorageClassName:              r.class,
			VolumeMode:                    &mode,
			PersistentVolumeSource:        corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: v1alpha1.GroupVersion.Group, VolumeHandle: v.Name}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "topology." + v1alpha1.GroupVersion.Group + "/node", Operator: corev1.NodeSelectorOpIn, Values: []string{v.Spec.Node}}},
			}}}},
		},
	}
	if ns, name, ok := strings.Cut(r.claim, "/"); ok {
		pv.Spec.ClaimRef = &corev1.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: ns, Name: name}
	}
	return pv
}
