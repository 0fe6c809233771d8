package agent

import (
	"os"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// TestRecoverFindsSnapshots: those in place, one that a crash left in .tmp though it was
// answered for, and none in what is left of a copy.
func TestRecoverFindsSnapshots(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		v := w.create("a", 10*mib)
		w.write("volumes", "a")
		s := w.snap("s", v)
		built := w.snap("built", v)
		w.stop()
		w.must(os.Rename(w.in("snapshots", "built"), w.in(".tmp", backend.PassingName(built))))
		w.mkdir(".tmp", "left."+s.UID)
		w.mkdir("snapshots", "stray")

		lost := w.snapshots
		w.volumes, w.snapshots, w.nodes = newRecords[state.VolumeSpec, state.VolumeStatus](), newRecords[state.SnapshotSpec, state.SnapshotStatus](), newRecords[state.NodeSpec, state.NodeStatus]()
		w.o.Volumes, w.o.Snapshots, w.o.Nodes, w.o.Store = w.volumes, w.snapshots, w.nodes, "store-2"
		o := RecoverOptions{Pools: w.o.Pools, Volumes: w.volumes, Snapshots: w.snapshots, Nodes: w.nodes, Store: "store-2"}
		for _, want := range []Outcome{Recorded, Known} { // it can be repeated
			found, err := Recover(w.Context(), o)
			w.must(err)
			got := map[string]Found{}
			for _, f := range found {
				got[f.Path] = f
			}
			for path, outcome := range map[string]Outcome{"volumes/a": want, "snapshots/s": want, "snapshots/built": want, "snapshots/stray": Orphan, ".tmp/left." + s.UID: Orphan} {
				if got[path].Outcome != outcome || len(found) != 5 {
					w.Errorf("%s: %+v, want %s, in %+v", path, got[path], outcome, found)
				}
			}
			if got["snapshots/s"].CapacityBytes != 10*mib {
				w.Errorf("%+v", got["snapshots/s"])
			}
		}
		w.start()
		for _, id := range []string{"s", "built"} {
			now, was := w.getSnapshot(id), lost.byID[id]
			w.wantSnapshot(now, state.Ready, "")
			w.wantData("snapshots", id)
			if now.Spec != was.Spec || now.Status.UsedBytes != was.Status.UsedBytes || !now.Status.CreationTime.Equal(*was.Status.CreationTime) || now.Status.Path != was.Status.Path {
				w.Errorf("it was %+v, and is %+v", was, now)
			}
		}
		w.wantPhase(w.clone("b", 10*mib, state.FromSnapshot, "s"), state.Ready, "")
		w.wantData("volumes", "b")
		// What was recovered is this store's to remove.
		for _, id := range []string{"s", "built"} {
			w.deleteSnapshot(id)
			w.wantNoSnapshot(id)
		}
	})
}
