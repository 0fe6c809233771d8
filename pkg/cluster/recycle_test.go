package cluster

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// releasedPV is a PersistentVolume that is to be recycled, of a volume of its name.
func releasedPV(name string, claim types.UID) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{ReclaimAnnotation: Recycle, boundByController: "yes"}},
		Spec: corev1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
			PersistentVolumeSource:        corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: driverName, VolumeHandle: name}},
			ClaimRef:                      &corev1.ObjectReference{Namespace: "default", Name: "data", UID: claim},
		},
		Status: corev1.PersistentVolumeStatus{Phase: corev1.VolumeReleased},
	}
}

// recycling is a cluster with a Recycler at work.
type recycling struct {
	*testing.T
	client *fake.Clientset
	store  state.Store
}

// recycle starts a Recycler in a cluster with these PersistentVolumes, each of which has a
// ready volume.
func recycle(t *testing.T, pvs ...*corev1.PersistentVolume) *recycling {
	t.Helper()
	r := &recycling{T: t, client: fake.NewClientset(), store: openStore(t)}
	for _, pv := range pvs {
		r.add(pv)
	}
	r.start()
	return r
}

func (r *recycling) start() (stop func()) {
	ctx, cancel := context.WithCancel(r.Context())
	var work sync.WaitGroup
	client := of(r.client)
	recycler := Recycler{Client: client, Volumes: r.store.Volumes(), Recorder: NewRecorder(client, "")}
	before := r.watches()
	work.Go(func() { recycler.Run(ctx) })
	// What happens between the list and the watch a fake cluster tells nobody.
	eventually(r.T, "PersistentVolumes are watched", func() bool { return r.watches() > before })
	stop = func() { cancel(); work.Wait() }
	r.Cleanup(stop)
	return stop
}

// watches counts how often the PersistentVolumes were watched.
func (r *recycling) watches() (n int) {
	for _, action := range r.client.Actions() {
		if action.Matches("watch", "persistentvolumes") {
			n++
		}
	}
	return n
}

func (r *recycling) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *recycling) add(pv *corev1.PersistentVolume) {
	r.Helper()
	// The volume first: so they come in a cluster, too.
	id := pv.Spec.CSI.VolumeHandle
	_, err := r.store.Volumes().Create(soon(r.T), id, state.VolumeSpec{Name: id, Node: "n1", Pool: "default"})
	if state.ReasonOf(err) != state.AlreadyExists {
		r.must(err)
		r.status(id, func(st *state.VolumeStatus) { st.Phase = state.Ready })
	}
	_, err = r.client.CoreV1().PersistentVolumes().Create(soon(r.T), pv, metav1.CreateOptions{})
	r.must(err)
}

func (r *recycling) status(id string, change func(st *state.VolumeStatus)) {
	r.Helper()
	_, err := r.store.Volumes().UpdateStatus(soon(r.T), id, func(st *state.VolumeStatus) error { change(st); return nil })
	r.must(err)
}

// emptied does what an agent does.
func (r *recycling) emptied(id string, claim types.UID) {
	r.Helper()
	r.status(id, func(st *state.VolumeStatus) { st.EmptiedFor = string(claim) })
}

func (r *recycling) pv(name string) *corev1.PersistentVolume {
	r.Helper()
	pv, err := r.client.CoreV1().PersistentVolumes().Get(soon(r.T), name, metav1.GetOptions{})
	r.must(err)
	return pv
}

func (r *recycling) update(name string, change func(pv *corev1.PersistentVolume)) {
	r.Helper()
	pv := r.pv(name)
	change(pv)
	_, err := r.client.CoreV1().PersistentVolumes().Update(soon(r.T), pv, metav1.UpdateOptions{})
	r.must(err)
}

func (r *recycling) asked(id string) string {
	r.Helper()
	v, err := r.store.Volumes().Get(soon(r.T), id)
	r.must(err)
	return v.Spec.EmptyFor
}

func (r *recycling) awaitAsked(id, claim string) {
	r.Helper()
	eventually(r.T, "volume "+id+" is to be emptied for "+claim, func() bool { return r.asked(id) == claim })
}

// flush waits until the Recycler has seen all that was done so far: it takes things in turn.
func (r *recycling) flush() {
	r.Helper()
	r.add(releasedPV("flush", "flush"))
	r.awaitAsked("flush", "flush")
}

func TestAReleasedPersistentVolumeIsEmptiedAndMadeAvailable(t *testing.T) {
	r := recycle(t, releasedPV("a", "uid-1"))
	r.awaitAsked("a", "uid-1")
	r.flush()
	if r.pv("a").Spec.ClaimRef == nil {
		t.Error("it can be claimed before it is empty")
	}
	r.emptied("a", "uid-1")
	eventually(t, "it can be claimed", func() bool { return r.pv("a").Spec.ClaimRef == nil })
	if pv := r.pv("a"); pv.Annotations[boundByController] != "" || pv.Annotations[ReclaimAnnotation] != Recycle {
		t.Errorf("its annotations are %v", pv.Annotations)
	}
	eventually(t, "it is told in an event", func() bool {
		events, err := r.client.CoreV1().Events("").List(soon(t), metav1.ListOptions{})
		r.must(err)
		return len(events.Items) == 1 && events.Items[0].Reason == "Recycled" && events.Items[0].InvolvedObject.Name == "a" &&
			strings.Contains(events.Items[0].Message, "default/data")
	})

	// And again.
	r.update("a", func(pv *corev1.PersistentVolume) {
		pv.Spec.ClaimRef = &corev1.ObjectReference{Name: "next", UID: "uid-2"}
	})
	r.awaitAsked("a", "uid-2")
	r.emptied("a", "uid-2")
	eventually(t, "it can be claimed again", func() bool { return r.pv("a").Spec.ClaimRef == nil })
}

func TestOnlyWhatIsReleasedAndSaysSoIsRecycled(t *testing.T) {
	var pvs []*corev1.PersistentVolume
	for name, change := range map[string]func(pv *corev1.PersistentVolume){
		"bound":      func(pv *corev1.PersistentVolume) { pv.Status.Phase = corev1.VolumeBound },
		"failed":     func(pv *corev1.PersistentVolume) { pv.Status.Phase = corev1.VolumeFailed },
		"available":  func(pv *corev1.PersistentVolume) { pv.Spec.ClaimRef = nil },
		"no-uid":     func(pv *corev1.PersistentVolume) { pv.Spec.ClaimRef.UID = "" },
		"unannotate": func(pv *corev1.PersistentVolume) { pv.Annotations = nil },
		"misspelt":   func(pv *corev1.PersistentVolume) { pv.Annotations[ReclaimAnnotation] = "Recycle" },
		"policy": func(pv *corev1.PersistentVolume) {
			pv.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimDelete
		},
		"going":   func(pv *corev1.PersistentVolume) { now := metav1.Now(); pv.DeletionTimestamp = &now },
		"foreign": func(pv *corev1.PersistentVolume) { pv.Spec.CSI.Driver = "other.example.com" },
	} {
		pv := releasedPV(name, "uid-1")
		change(pv)
		pvs = append(pvs, pv)
	}
	r := recycle(t, pvs...)
	r.flush()
	for _, pv := range pvs {
		if got := r.asked(pv.Name); got != "" {
			t.Errorf("%s: the volume is to be emptied for %q", pv.Name, got)
		}
	}
}

func TestAVolumeWithTwoPersistentVolumesIsNotEmptied(t *testing.T) {
	other := releasedPV("other", "uid-2")
	other.Spec.CSI.VolumeHandle = "a"
	other.Status.Phase = corev1.VolumeBound
	r := recycle(t, releasedPV("a", "uid-1"), other)
	r.flush()
	if got := r.asked("a"); got != "" {
		t.Errorf("it is to be emptied for %q while another claim has it", got)
	}
}

func TestWhatIsNotReleasedAnyMoreIsNotEmptied(t *testing.T) {
	for what, change := range map[string]func(r *recycling){
		"somebody made it available": func(r *recycling) {
			r.update("a", func(pv *corev1.PersistentVolume) { pv.Spec.ClaimRef, pv.Status.Phase = nil, corev1.VolumeAvailable })
		},
		"the annotation is gone": func(r *recycling) { r.update("a", func(pv *corev1.PersistentVolume) { pv.Annotations = nil }) },
		"the PersistentVolume is gone": func(r *recycling) {
			r.must(r.client.CoreV1().PersistentVolumes().Delete(soon(r.T), "a", metav1.DeleteOptions{}))
		},
	} {
		t.Run(what, func(t *testing.T) {
			r := recycle(t, releasedPV("a", "uid-1"))
			r.awaitAsked("a", "uid-1")
			change(r)
			r.awaitAsked("a", "")
		})
	}
}

func TestWhatHappensWhileNoRecyclerIsThereIsSeenByTheNext(t *testing.T) {
	r := &recycling{T: t, client: fake.NewClientset(), store: openStore(t)}
	r.add(releasedPV("a", "uid-1"))
	r.add(releasedPV("b", "uid-1"))
	stop := r.start()
	r.awaitAsked("a", "uid-1")
	r.awaitAsked("b", "uid-1")
	stop()
	r.emptied("a", "uid-1")
	r.must(r.client.CoreV1().PersistentVolumes().Delete(soon(t), "b", metav1.DeleteOptions{}))
	r.start()
	eventually(t, "a can be claimed", func() bool { return r.pv("a").Spec.ClaimRef == nil })
	r.awaitAsked("b", "")
}

func TestAPersistentVolumeThatChangesMeanwhileIsLookedAtAgain(t *testing.T) {
	r := &recycling{T: t, client: fake.NewClientset(), store: openStore(t)}
	var refused atomic.Int32
	r.client.PrependReactor("update", "persistentvolumes", func(clienttesting.Action) (bool, runtime.Object, error) {
		if refused.Add(1) > 3 {
			return false, nil, nil
		}
		return true, nil, apierrors.NewConflict(schema.GroupResource{Resource: "persistentvolumes"}, "a", nil)
	})
	r.add(releasedPV("a", "uid-1"))
	r.emptied("a", "uid-1")
	r.start()
	eventually(t, "it can be claimed", func() bool { return r.pv("a").Spec.ClaimRef == nil })
}
