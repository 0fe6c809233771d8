package cluster

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

const (
	// ReclaimAnnotation is set on a PersistentVolume that is to be used again when its claim
	// is gone; Recycle is the one value that it takes.
	ReclaimAnnotation = "hostpath-csi.dev/reclaim"
	Recycle           = "recycle"

	driverName = "hostpath-csi.dev"
	// boundByController is what Kubernetes' own controller marks a claimRef with, which
	// goes with it.
	boundByController = "pv.kubernetes.io/bound-by-controller"
	byHandle          = "handle"
)

// Recycler does for released PersistentVolumes what the reclaim policy Recycle once did:
//
//	PV Released, annotated     the record asks the agent to empty the volume (EmptyFor)
//	the agent has done it      the PV loses its claimRef, by which it is Available
//	PV otherwise before that   the record asks no more
//
// A crash anywhere in between loses nothing: what is to be done next is told by the PV and
// the record. Several recyclers at once do no harm: the PV is changed only as it was seen.
type Recycler struct {
	Client   *Client
	Volumes  state.DesiredVolumes
	Recorder *Recorder

	pvs   cache.Indexer
	queue workqueue.TypedRateLimitingInterface[string] // of volume IDs
	told  sync.Map                                     // names of PVs whose annotation was complained of
}

// Run recycles until ctx ends.
func (r *Recycler) Run(ctx context.Context) {
	if err := r.run(ctx); err != nil && ctx.Err() == nil {
		klog.ErrorS(err, "PersistentVolumes are not recycled")
	}
}

func (r *Recycler) run(ctx context.Context) error {
	r.queue = workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]())
	defer r.queue.ShutDown()

	changes := r.Volumes.Watch(ctx)
	informer, taken, err := follow(ctx, r.Client.PersistentVolumes, &corev1.PersistentVolume{}, "", cache.Indexers{byHandle: handles}, r.changed)
	if err != nil {
		return err
	}
	r.pvs = informer.GetIndexer()
	if !cache.WaitForCacheSync(ctx.Done(), taken) {
		return ctx.Err()
	}
	all, _, err := r.Volumes.List(ctx, state.Page{})
	if err != nil {
		return err
	}
	for _, v := range all { // whose PV may be gone by now
		if state.Emptying(v) {
			r.queue.Add(v.ID)
		}
	}
	var work sync.WaitGroup
	work.Go(func() {
		for e := range changes {
			if !e.Gone && e.Object.Spec.EmptyFor != "" {
				r.queue.Add(e.Object.ID)
			}
		}
	})
	work.Go(func() {
		for r.next(ctx) {
		}
	})
	<-ctx.Done()
	r.queue.ShutDown()
	work.Wait()
	return nil
}

// handles indexes this driver's PersistentVolumes by their volume's ID.
func handles(obj any) ([]string, error) {
	if pv, ok := obj.(*corev1.PersistentVolume); ok && ours(pv) {
		return []string{pv.Spec.CSI.VolumeHandle}, nil
	}
	return nil, nil
}

func ours(pv *corev1.PersistentVolume) bool {
	return pv.Spec.CSI != nil && pv.Spec.CSI.Driver == driverName
}

func (r *Recycler) changed(pv *corev1.PersistentVolume, gone bool) {
	if !ours(pv) {
		return
	}
	if gone {
		r.told.Delete(pv.Name)
	} else if value, given := pv.Annotations[ReclaimAnnotation]; given && value != Recycle {
		if before, known := r.told.Swap(pv.Name, value); !known || before != value {
			klog.ErrorS(nil, "A PersistentVolume's annotation has a value that is not known, and has no effect", "pv", pv.Name,
				"annotation", ReclaimAnnotation, "value", value, "takes", Recycle)
		}
	}
	r.queue.Add(pv.Spec.CSI.VolumeHandle)
}

func (r *Recycler) next(ctx context.Context) bool {
	id, shutDown := r.queue.Get()
	if shutDown {
		return false
	}
	defer r.queue.Done(id)
	soon, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := r.reconcile(soon, id)
	switch {
	case err == nil:
		r.queue.Forget(id)
		return true
	case apierrors.IsConflict(err): // somebody changed the PV: look again
	case ctx.Err() == nil:
		klog.ErrorS(err, "Recycling a PersistentVolume failed; it will be tried again", "volumeID", id)
	}
	r.queue.AddRateLimited(id)
	return true
}

func (r *Recycler) reconcile(ctx context.Context, id string) error {
	if !state.ValidID(id) {
		return nil
	}
	v, err := r.Volumes.Get(ctx, id)
	if state.ReasonOf(err) == state.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	pv, err := r.released(ctx, id)
	if err != nil {
		return err
	}
	switch {
	case v.DeletedAt != nil || v.Status.Phase != state.Ready:
		return nil
	case pv == nil && state.Emptying(v):
		return r.ask(ctx, v, "")
	case pv == nil:
		return nil
	case v.Status.EmptiedFor != string(pv.Spec.ClaimRef.UID):
		return r.ask(ctx, v, string(pv.Spec.ClaimRef.UID))
	}
	return r.free(ctx, pv)
}

// released returns the PersistentVolume of a volume if it is to be recycled now, as the API
// server has it; nil otherwise. A volume that another PersistentVolume leads to as well is
// not emptied: that one may have a claim.
func (r *Recycler) released(ctx context.Context, id string) (*corev1.PersistentVolume, error) {
	known, err := r.pvs.ByIndex(byHandle, id)
	if err != nil || len(known) != 1 {
		return nil, err
	}
	pv, ok := known[0].(*corev1.PersistentVolume)
	if !ok || !recyclable(pv) {
		return nil, nil
	}
	pv, err = r.Client.PersistentVolumes.Get(ctx, pv.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading PersistentVolume: %w", err)
	}
	if !recyclable(pv) || pv.Spec.CSI.VolumeHandle != id {
		return nil, nil
	}
	return pv, nil
}

func recyclable(pv *corev1.PersistentVolume) bool {
	return ours(pv) && pv.Annotations[ReclaimAnnotation] == Recycle && pv.DeletionTimestamp == nil &&
		pv.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRetain &&
		pv.Status.Phase == corev1.VolumeReleased && pv.Spec.ClaimRef != nil && pv.Spec.ClaimRef.UID != ""
}

// ask has the volume emptied for the sake of a claim that is gone; "": of none any more.
func (r *Recycler) ask(ctx context.Context, v state.Volume, claimUID string) error {
	if v.Spec.EmptyFor == claimUID {
		return nil
	}
	_, err := r.Volumes.UpdateSpec(ctx, v.ID, func(spec *state.VolumeSpec) error {
		spec.EmptyFor = claimUID
		return nil
	})
	if err == nil {
		klog.InfoS("A released volume is to be emptied; none if claimUID is empty", "volumeID", v.ID, "claimUID", claimUID)
	}
	return err
}

// free lets an emptied PersistentVolume be claimed again.
func (r *Recycler) free(ctx context.Context, pv *corev1.PersistentVolume) error {
	was := pv.Spec.ClaimRef
	pv = pv.DeepCopy()
	pv.Spec.ClaimRef = nil
	delete(pv.Annotations, boundByController)
	// With its resourceVersion: it is done only to what was looked at.
	now, err := r.Client.PersistentVolumes.Update(ctx, pv, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	klog.InfoS("A PersistentVolume was recycled", "pv", now.Name, "volumeID", now.Spec.CSI.VolumeHandle, "claim", klog.KRef(was.Namespace, was.Name))
	err = r.Recorder.Tell(ctx, referenceTo(now), corev1.EventTypeNormal, "Recycled",
		fmt.Sprintf("The volume was emptied of what claim %s/%s left in it, and can be claimed again", was.Namespace, was.Name))
	if err != nil {
		klog.ErrorS(err, "It is not told that a PersistentVolume was recycled", "pv", now.Name)
	}
	return nil
}

func referenceTo(pv *corev1.PersistentVolume) corev1.ObjectReference {
	return corev1.ObjectReference{APIVersion: "v1", Kind: "PersistentVolume", Name: pv.Name, UID: pv.UID, ResourceVersion: pv.ResourceVersion}
}
