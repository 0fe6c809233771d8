package cluster

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// heralding is a cluster with node n1, whose pool is right, and a Herald.
type heralding struct {
	*testing.T
	kube   *fake.Clientset
	store  state.Store
	herald *Herald
}

func newHeralding(t *testing.T) *heralding {
	t.Helper()
	h := &heralding{T: t, kube: fake.NewClientset(node("n1")), store: openStore(t)}
	nodes, err := WatchNodes(soon(t), of(h.kube))
	h.must(err)
	for _, name := range []string{"n1", "n2"} { // n2 was taken out of the cluster
		_, err = h.store.Nodes().Create(soon(t), name, state.NodeSpec{})
		h.must(err)
		h.pool(name, state.PoolStatus{})
	}
	client := of(h.kube)
	h.herald = &Herald{Client: client, Recorder: NewRecorder(client, ""), Nodes: nodes, Store: h.store}
	return h
}

func (h *heralding) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// pool writes what a node tells of its only pool.
func (h *heralding) pool(node string, p state.PoolStatus) {
	h.Helper()
	p.Name, p.Enforcement = "default", state.EnforcementPreferred
	_, err := h.store.Nodes().UpdateStatus(soon(h.T), node, func(st *state.NodeStatus) error { st.Pools = []state.PoolStatus{p}; return nil })
	h.must(err)
}

// volume makes one that is held to its size, and a PersistentVolume of another name that a
// claim is bound to.
func (h *heralding) volume(id, node string) {
	h.Helper()
	_, err := h.store.Volumes().Create(soon(h.T), id, state.VolumeSpec{Name: id, Node: node, Pool: "default", Claim: &state.Claim{Namespace: "shop", Name: "first", PV: "pv-" + id}})
	h.must(err)
	h.status(id, func(st *state.VolumeStatus) { st.Phase, st.Enforced = state.Ready, true })
	_, err = h.kube.CoreV1().PersistentVolumes().Create(soon(h.T), &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "pv-" + id, UID: "pv-uid"},
		Spec: corev1.PersistentVolumeSpec{ClaimRef: &corev1.ObjectReference{Namespace: "shop", Name: "now", UID: "claim-uid"},
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: driverName, VolumeHandle: id}}},
		Status: corev1.PersistentVolumeStatus{Phase: corev1.VolumeBound},
	}, metav1.CreateOptions{})
	h.must(err)
}

func (h *heralding) status(id string, change func(st *state.VolumeStatus)) {
	h.Helper()
	_, err := h.store.Volumes().UpdateStatus(soon(h.T), id, func(st *state.VolumeStatus) error { change(st); return nil })
	h.must(err)
}

// sweep returns what is told that was not told before.
func (h *heralding) sweep() []string {
	h.Helper()
	before := told(h.T, h.kube)
	h.must(h.herald.sweep(soon(h.T)))
	return slices.DeleteFunc(told(h.T, h.kube), func(line string) bool { return slices.Contains(before, line) })
}

func (h *heralding) wantTold(when string, got []string, want ...string) {
	h.Helper()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		h.Errorf("%s, it is told:\n%s\nwant\n%s", when, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

var poolGone = state.Health{Type: state.Inaccessible, Reason: "PoolGone", Message: "mount its disk"}

func TestWhatIsWrongWithAVolumeIsToldOnItsClaimOnce(t *testing.T) {
	h := newHeralding(t)
	h.volume("a", "n1")
	h.wantTold("while nothing is wrong", h.sweep())
	h.pool("n1", state.PoolStatus{Health: []state.Health{poolGone}})
	h.wantTold("when its pool has vanished", h.sweep(),
		"Warning PoolGone on PersistentVolume /pv-a: mount its disk",
		"Warning PoolGone on PersistentVolumeClaim shop/now: mount its disk")
	h.wantTold("while that lasts", h.sweep())
	h.status("a", func(st *state.VolumeStatus) {
		st.Health = []state.Health{{Type: state.DataLoss, Reason: "DirectoryMissing", Message: "it is not there"}}
	})
	h.wantTold("when more is wrong", h.sweep(),
		"Warning DirectoryMissing on PersistentVolume /pv-a: it is not there",
		"Warning DirectoryMissing on PersistentVolumeClaim shop/now: it is not there")
	h.pool("n1", state.PoolStatus{})
	h.wantTold("while only some of it is mended", h.sweep())
	h.status("a", func(st *state.VolumeStatus) { st.Health = nil })
	h.wantTold("when all is mended", h.sweep(),
		"Normal Recovered on PersistentVolume /pv-a: Nothing is wrong with the volume any more: it was DirectoryMissing",
		"Normal Recovered on PersistentVolumeClaim shop/now: Nothing is wrong with the volume any more: it was DirectoryMissing")
	h.wantTold("after that", h.sweep())
	if len(h.herald.told) > 0 {
		t.Errorf("of volumes that are well it remembers %v", h.herald.told)
	}
}

func TestAVolumeOfAPoolWithoutLimitsSaysSo(t *testing.T) {
	h := newHeralding(t)
	h.volume("a", "n1")
	h.status("a", func(st *state.VolumeStatus) { st.Enforced = false })
	h.pool("n1", state.PoolStatus{Unenforced: "it is tmpfs"})
	got := h.sweep()
	if len(got) != 2 || !strings.HasPrefix(got[1], "Warning SizeNotEnforced on PersistentVolumeClaim shop/now: nothing holds the volume to its size: it is tmpfs") {
		t.Errorf("it is told:\n%s", strings.Join(got, "\n"))
	}
}

func TestAVolumeOfANodeThatIsGoneSaysWhereItsDataIs(t *testing.T) {
	h := newHeralding(t)
	h.volume("a", "n2")
	h.pool("n2", state.PoolStatus{Health: []state.Health{poolGone}}) // its last words, which do not count
	got := h.sweep()
	if len(got) != 2 || !strings.HasPrefix(got[1], "Warning NodeGone on PersistentVolumeClaim shop/now: node n2 was taken out of the cluster") {
		t.Errorf("it is told:\n%s", strings.Join(got, "\n"))
	}
}

func TestAVolumeWithoutAPersistentVolumeIsToldOfOnItsRecord(t *testing.T) {
	h := newHeralding(t)
	h.volume("a", "n1")
	h.must(h.kube.CoreV1().PersistentVolumes().Delete(soon(t), "pv-a", metav1.DeleteOptions{}))
	h.pool("n1", state.PoolStatus{Health: []state.Health{poolGone}})
	h.wantTold("without one", h.sweep(), "Warning PoolGone on HostPathVolume /a: mount its disk")

	h.volume("b", "n1")
	pv, err := h.kube.CoreV1().PersistentVolumes().Get(soon(t), "pv-b", metav1.GetOptions{})
	h.must(err)
	pv.Status.Phase = corev1.VolumeReleased
	_, err = h.kube.CoreV1().PersistentVolumes().Update(soon(t), pv, metav1.UpdateOptions{})
	h.must(err)
	h.wantTold("of one that is released", h.sweep(), "Warning PoolGone on PersistentVolume /pv-b: mount its disk")
}

func TestAVolumeThatCannotBeRecycledSaysWhy(t *testing.T) {
	h := newHeralding(t)
	h.volume("a", "n1")
	_, err := h.store.Volumes().UpdateSpec(soon(t), "a", func(s *state.VolumeSpec) error { s.EmptyFor = "uid-1"; return nil })
	h.must(err)
	h.wantTold("while it is being emptied", h.sweep())
	h.status("a", func(st *state.VolumeStatus) { st.Reason, st.Message = state.InUse, "it is published" })
	if got := h.sweep(); len(got) != 2 || !strings.Contains(got[0], "NotEmptied") {
		t.Errorf("it is told:\n%s", strings.Join(got, "\n"))
	}
}

func TestWhatCouldNotBeToldIsToldLater(t *testing.T) {
	h := newHeralding(t)
	h.volume("a", "n1")
	h.pool("n1", state.PoolStatus{Health: []state.Health{poolGone}})
	refuse := true
	h.kube.PrependReactor("create", "events", func(clienttesting.Action) (bool, runtime.Object, error) {
		return refuse, nil, errors.New("the API server is away")
	})
	if err := h.herald.sweep(soon(t)); err == nil {
		t.Error("that it was not told is not an error")
	}
	refuse = false
	h.wantTold("at the next attempt", h.sweep(),
		"Warning PoolGone on PersistentVolume /pv-a: mount its disk",
		"Warning PoolGone on PersistentVolumeClaim shop/now: mount its disk")
}

// countingSink takes any event at once.
type countingSink struct{ written int }

func (c *countingSink) Create(e *corev1.Event) (*corev1.Event, error) { c.written++; return e, nil }
func (c *countingSink) Update(e *corev1.Event) (*corev1.Event, error) { return e, nil }
func (c *countingSink) Patch(e *corev1.Event, _ []byte) (*corev1.Event, error) {
	return e, nil
}

func TestHowMuchIsToldInAWhileIsBounded(t *testing.T) {
	sink := &countingSink{}
	began := time.Now()
	r := NewRecorder(&Client{Events: sink}, "")
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	for r.Tell(ctx, corev1.ObjectReference{Kind: "PersistentVolume", Name: "a"}, corev1.EventTypeWarning, "R", "m") == nil {
	}
	if most := eventsAtOnce + 1 + eventsPerSecond*time.Since(began).Seconds(); sink.written < eventsAtOnce || float64(sink.written) > most {
		t.Errorf("%d events were written; it takes %d to %.0f", sink.written, eventsAtOnce, most)
	}
}
