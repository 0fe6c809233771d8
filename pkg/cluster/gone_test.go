package cluster

import (
	"slices"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/pkg/state/pebble"
)

func openStore(t *testing.T) state.Store {
	t.Helper()
	store, err := pebble.Open(t.TempDir(), pebble.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

func TestRecordsOfGoneNodesEndAsFarAsNobodyNeedsThem(t *testing.T) {
	// n1 is there, n2 is gone with volumes that are needed, n3 is gone without.
	client := fake.NewClientset(node("n1"))
	for _, name := range []string{"n1", "n2", "n3"} {
		beatOnce(t, client, name)
	}
	nodes, err := WatchNodes(soon(t), of(client))
	if err != nil {
		t.Fatal(err)
	}
	later(nodes, patience+time.Second)
	store := openStore(t)
	volume := func(id, node string, phase state.Phase, deleted bool) {
		if _, err := store.Volumes().Create(soon(t), id, state.VolumeSpec{Name: id, Node: node, Pool: "default"}); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Volumes().UpdateStatus(soon(t), id, func(u *state.VolumeStatus) error { u.Phase = phase; return nil }); err != nil {
			t.Fatal(err)
		}
		if !deleted {
			return
		}
		if err := store.Volumes().Delete(soon(t), id); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []string{"n1", "n2", "n3"} {
		if _, err := store.Nodes().Create(soon(t), n, state.NodeSpec{}); err != nil {
			t.Fatal(err)
		}
		volume("deleted-"+n, n, state.Ready, true)
		volume("pending-"+n, n, state.Pending, false)
		volume("deleting-"+n, n, state.Deleting, true)
	}
	volume("kept-n2", "n2", state.Ready, false)
	volume("refused-n2", "n2", state.Ready, true)
	_, err = store.Volumes().UpdateStatus(soon(t), "refused-n2", func(u *state.VolumeStatus) error {
		u.Reason, u.ObservedGeneration = state.InUse, 2
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"n1", "n2"} {
		if _, err := store.Volumes().Create(soon(t), "inline-"+n, state.VolumeSpec{Node: n, Pool: "default", Ephemeral: &state.Ephemeral{Target: "/t"}}); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Volumes().UpdateStatus(soon(t), "inline-"+n, func(u *state.VolumeStatus) error { u.Phase = state.Ready; return nil }); err != nil {
			t.Fatal(err)
		}
	}

	for id, phase := range map[string]state.Phase{"pending": state.Pending, "copying": state.Copying, "ready": state.Ready} {
		if _, err := store.Snapshots().Create(soon(t), id, state.SnapshotSpec{Name: id, Node: "n2", Pool: "default"}); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Snapshots().UpdateStatus(soon(t), id, func(u *state.SnapshotStatus) error { u.Phase = phase; return nil }); err != nil {
			t.Fatal(err)
		}
	}

	u := Undertaker{Nodes: nodes, Store: store}
	if err := u.sweep(soon(t)); err != nil {
		t.Fatal(err)
	}
	var volumes, left []string
	all, _, err := store.Volumes().List(soon(t), state.Page{})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range all {
		volumes = append(volumes, v.ID)
	}
	if want := []string{"deleted-n1", "deleting-n1", "inline-n1", "kept-n2", "pending-n1", "refused-n2"}; !slices.Equal(volumes, want) {
		t.Errorf("volumes left: %q, want %q", volumes, want)
	}
	var snapshots []string
	copies, _, err := store.Snapshots().List(soon(t), state.Page{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range copies {
		snapshots = append(snapshots, s.ID)
	}
	if want := []string{"copying", "ready"}; !slices.Equal(snapshots, want) { // whoever waits for a copy was answered
		t.Errorf("snapshots left: %q, want %q", snapshots, want)
	}
	hosts, _, err := store.Nodes().List(soon(t), state.Page{})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range hosts {
		left = append(left, n.ID)
	}
	if want := []string{"n1", "n2"}; !slices.Equal(left, want) {
		t.Errorf("nodes left: %q, want %q", left, want)
	}
	for name, want := range map[string]bool{"n1": true, "n2": true, "n3": false} {
		_, err := client.CoordinationV1().Leases(namespace).Get(soon(t), leasePrefix+name, metav1.GetOptions{})
		if (err == nil) != want || err != nil && !apierrors.IsNotFound(err) {
			t.Errorf("the lease of %s: %v; is it to be there: %v", name, err, want)
		}
	}
}
