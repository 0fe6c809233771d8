package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/pkg/state/kube/v1alpha1"
)

// addOffer adds the flags of the PersistentVolume that is made of a volume.
func (r *restoreOptions) addOffer(flags *pflag.FlagSet) {
	flags.StringVar(&r.class, "class", "", "StorageClass that the PersistentVolume, and so the claim that binds it, names (default: none)")
	flags.StringVar(&r.claim, "claim", "", "NAMESPACE/NAME of the only claim that may bind it (default: any)")
	flags.StringVar(&r.mode, "access-mode", string(corev1.ReadWriteOnce), "access mode that the PersistentVolume allows")
	flags.StringVar(&r.policy, "reclaim-policy", string(corev1.PersistentVolumeReclaimRetain), "what becomes of the volume when that claim is deleted: Retain or Delete")
}

// declare makes the record v and waits until the volume is ready. A record that is there and
// says the same is that of a call which was cut short.
func (r *restoreOptions) declare(ctx context.Context, c *cluster, v *v1alpha1.HostPathVolume) error {
	err := c.api.Post().Resource(v1alpha1.Volumes).Body(v).Do(ctx).Into(v)
	if apierrors.IsAlreadyExists(err) {
		var there v1alpha1.HostPathVolume
		if err := c.api.Get().Resource(v1alpha1.Volumes).Name(v.Name).Do(ctx).Into(&there); err != nil {
			return err
		}
		if !sameOrigin(there.Spec.VolumeSpec, v.Spec.VolumeSpec) || there.DeletionTimestamp != nil || there.Spec.DeletedAt != nil {
			return fmt.Errorf("there is a volume %s already: have this one called otherwise with --as", v.Name)
		}
		*v = there
	} else if err != nil {
		return err
	}
	return r.await(ctx, c, v)
}

// sameOrigin tells whether two volumes are made of the same, in the same place and size.
func sameOrigin(a, b state.VolumeSpec) bool {
	from := func(s *state.Source) state.Source {
		if s == nil {
			return state.Source{}
		}
		return *s
	}
	return a.Node == b.Node && a.Pool == b.Pool && a.CapacityBytes == b.CapacityBytes && a.Adopt == b.Adopt && from(a.Source) == from(b.Source)
}

// offer makes the PersistentVolume, unless it is there, of this volume, already.
func offer(ctx context.Context, api rest.Interface, pv *corev1.PersistentVolume) error {
	err := api.Post().Resource("persistentvolumes").Body(pv).Do(ctx).Error()
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	var there corev1.PersistentVolume
	if err := api.Get().Resource("persistentvolumes").Name(pv.Name).Do(ctx).Into(&there); err != nil {
		return err
	}
	if csi := there.Spec.CSI; csi == nil || csi.Driver != pv.Spec.CSI.Driver || csi.VolumeHandle != pv.Spec.CSI.VolumeHandle {
		return err // it is of something else
	}
	return nil
}

// await waits until the agent has made the volume. One that it cannot make is taken back.
func (r *restoreOptions) await(ctx context.Context, c *cluster, v *v1alpha1.HostPathVolume) error {
	begin := time.Now()
	end := begin.Add(r.timeout)
	defer r.progress.End()
	err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, r.timeout, true, func(ctx context.Context) (bool, error) {
		r.progress.Waiting(fmt.Sprintf("node %s makes volume %s", v.Spec.Node, v.Name), time.Since(begin))
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

func (r *restoreOptions) persistentVolume(v *v1alpha1.HostPathVolume) *corev1.PersistentVolume {
	mode := corev1.PersistentVolumeFilesystem
	if v.Spec.AccessType == state.BlockAccess {
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
