package agent

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

func (w *world) removeOrphan(at string) error {
	return w.agent.RemoveOrphan(w.Context(), "default", at)
}

func TestAnOrphanThatIsRemovedIsNoneAnyMore(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.create("a", 10*mib)
		w.mkdir("volumes/stray")
		w.write("volumes/stray")
		w.mkdir("snapshots/stray")
		w.must(os.WriteFile(w.in("images/stray"), []byte("data"), 0o600))
		w.restart()
		if got := w.pool().orphans; !slices.Equal(got, []string{"images/stray", "snapshots/stray", "stray"}) {
			t.Fatalf("orphans are %q", got)
		}
		if got := w.agent.Orphans(); !slices.Equal(got, []string{"default/images/stray", "default/snapshots/stray", "default/volumes/stray"}) {
			t.Fatalf("it lists the orphans %q", got)
		}
		for _, at := range []string{"volumes/stray", "images/stray", "snapshots/stray"} {
			w.must(w.removeOrphan(at))
			w.wantNoFile(at)
			w.wantReason(state.NotFound, w.removeOrphan(at))
		}
		w.settle()
		for range 2 {
			w.wantDisk("a")
			if got := w.status().Orphans; got != 0 {
				t.Errorf("there are %d orphans", got)
			}
			w.restart()
		}
		w.wantAllocated(10 * mib)
		w.wantReason(state.NotReady, w.agent.RemoveOrphan(w.Context(), "nosuch", "volumes/stray"))
	})
}

// TestAnOrphanThatIsCalledAsATrashedVolumeEndsNoRecord: the scan takes what is called ID.UID in
// the trash for a volume whose deletion a crash cut short.
func TestAnOrphanThatIsCalledAsATrashedVolumeEndsNoRecord(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		v := w.create("a", 10*mib)
		w.must(os.Rename(w.in("volumes/a"), w.in("aside"))) // it is lost
		w.mkdir("volumes", backend.PassingName(v))
		w.must(w.removeOrphan("volumes/" + backend.PassingName(v)))
		w.restart()
		w.must(os.Rename(w.in("aside"), w.in("volumes/a")))
		w.restart()
		w.wantPhase(w.get("a"), state.Ready, "")
	})
}

// TestWhatARecordSpeaksOfIsNotRemoved: neither what is a volume or a snapshot, nor what carries
// the record of one, nor what is to become one.
func TestWhatARecordSpeaksOfIsNotRemoved(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.create("a", 10*mib)
		w.declareClaimed("c")
		w.settle()
		w.create("bare", 10*mib) // brought back from a copy that keeps no attributes
		w.must(unix.Removexattr(w.in("volumes/bare"), backend.RecordXattr))
		w.create("moved", 10*mib) // by hand
		w.must(os.Rename(w.in("volumes/moved"), w.in("volumes/elsewhere")))
		w.mkdir("volumes/legacy")
		s := spec("adopting", 1) // which fails: it takes more
		s.Adopt = "volumes/legacy"
		w.write("volumes/legacy")
		_, err := w.volumes.Create(w.Context(), "adopting", s)
		w.must(err)
		w.settle()
		w.wantPhase(w.get("adopting"), state.Failed, state.OutOfRange)
		w.mkdir("volumes/wanted")
		w.wantPhase(w.create("wanted", 10*mib), state.Failed, state.Defect)
		_, err = w.snapshots.Create(w.Context(), "s", state.SnapshotSpec{Name: "s", Volume: "a", VolumeUID: w.get("a").UID, Node: "node-1", Pool: "default", AccessType: state.MountAccess})
		w.must(err)
		w.settle()
		for _, at := range []string{"volumes/a", "claims/shop/data=c", "volumes/bare", "volumes/elsewhere", "volumes/legacy", "volumes/wanted", "snapshots/s"} {
			w.wantReason(state.AlreadyExists, w.removeOrphan(at))
			if _, err := os.Stat(w.in(at)); err != nil {
				t.Error(err)
			}
		}
		// Once the record is gone, it is nobody's.
		w.delete("adopting")
		w.must(w.removeOrphan("volumes/legacy"))
		w.wantNoFile("volumes/legacy")
	})
}

// TestARecordThatCannotBeReadKeepsAnOrphan: not knowing is no leave to remove.
func TestARecordThatCannotBeReadKeepsAnOrphan(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.mkdir("volumes/stray")
		w.volumes.mu.Lock()
		w.volumes.fail = func(call, _ string) error { return state.Errorf(state.Unavailable, "%s fails", call) }
		w.volumes.mu.Unlock()
		w.wantReason(state.Unavailable, w.removeOrphan("volumes/stray"))
		w.volumes.mu.Lock()
		w.volumes.fail = nil
		w.volumes.mu.Unlock()
		w.must(w.removeOrphan("volumes/stray"))
	})
}

func TestAnOrphanThatIsInUseIsKept(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.mkdir("volumes/stray/within")
		target := t.TempDir()
		for _, m := range [][2]string{{w.in("volumes/stray"), target}, {w.in("volumes/stray/within"), target}, {target, w.in("volumes/stray/within")}, {target, w.in("volumes/stray")}} {
			w.must(unix.Mount(m[0], m[1], "", unix.MS_BIND, ""))
			err := w.removeOrphan("volumes/stray")
			w.must(unix.Unmount(m[1], 0))
			w.wantReason(state.InUse, err)
		}
		w.must(w.removeOrphan("volumes/stray"))
	})
}

// TestWhatIsAnotherNodesIsKept: a disk was brought from there. What this node has forgotten goes.
func TestWhatIsAnotherNodesIsKept(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		for id, node := range map[string]string{"theirs": "node-2", "ours": "node-1"} {
			for _, dir := range []string{"volumes", "snapshots"} {
				record := state.Volume{Meta: state.Meta{ID: id, UID: "5ca1ab1e"}, Spec: spec(id, mib)}
				record.Spec.Node = node
				b, err := json.Marshal(record)
				w.must(err)
				w.must(unix.Setxattr(w.mkdir(dir, id), backend.RecordXattr, b, 0))
				if id == "theirs" {
					w.wantReason(state.AlreadyExists, w.removeOrphan(dir+"/"+id))
				} else {
					w.must(w.removeOrphan(dir + "/" + id))
				}
			}
		}
	})
}
