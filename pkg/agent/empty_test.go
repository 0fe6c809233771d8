package agent

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// emptyFor asks that a volume be emptied for a claim's sake, and returns what became of it.
func (w *world) emptyFor(id, claim string) state.Volume {
	w.Helper()
	_, err := w.volumes.UpdateSpec(w.Context(), id, func(s *state.VolumeSpec) error { s.EmptyFor = claim; return nil })
	w.must(err)
	w.settle()
	return w.get(id)
}

func (w *world) wantEmptiedFor(id, claim string) {
	w.Helper()
	v := w.get(id)
	if v.Status.EmptiedFor != claim {
		w.Errorf("volume %s was emptied for %q, want %q: %+v", id, v.Status.EmptiedFor, claim, v.Status)
	}
	if claim != "" {
		w.wantPhase(v, state.Ready, "")
	}
}

func TestAVolumeIsEmptiedOnceForEachClaim(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.create("a", mib)
		w.create("b", mib)
		w.write("volumes", "a")
		w.write("volumes", "b")
		w.emptyFor("a", "claim-1")
		w.wantEmptiedFor("a", "claim-1")
		w.wantNoFile("volumes", "a", "file")
		w.wantData("volumes", "b")

		w.write("volumes", "a")
		w.resize("a", 2*mib)
		w.restart()
		w.wantData("volumes", "a")
		w.emptyFor("a", "")
		w.wantData("volumes", "a")
		w.emptyFor("a", "claim-2")
		w.wantEmptiedFor("a", "claim-2")
		w.wantNoFile("volumes", "a", "file")
		w.wantAllocated(3 * mib)
		w.wantDisk("a", "b")
	})
}

func TestAPublishedVolumeIsNotEmptiedBeforeItIsUnpublished(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.create("a", mib)
		w.write("volumes", "a")
		w.publishes.set("a", true)
		v := w.emptyFor("a", "claim-1")
		w.wantPhase(v, state.Ready, state.InUse)
		w.pass(10 * reconcileRetry)
		w.wantData("volumes", "a")
		w.wantEmptiedFor("a", "")
		w.publishes.set("a", false)
		w.pass(2 * reconcileRetry)
		w.wantEmptiedFor("a", "claim-1")
		w.wantNoFile("volumes", "a", "file")
		if w.publishes.retired["a"] {
			t.Error("an emptied volume cannot be published")
		}
	})
}

func TestWhatIsTakenBackBeforeItIsDoneIsNotDone(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.create("a", mib)
		w.write("volumes", "a")
		w.publishes.set("a", true)
		w.emptyFor("a", "claim-1")
		v := w.emptyFor("a", "")
		w.wantPhase(v, state.Ready, "")
		w.publishes.set("a", false)
		w.pass(10 * reconcileRetry)
		w.wantData("volumes", "a")
		w.wantEmptiedFor("a", "")
	})
}

// TestWhatWasTakenBackBeforeTheVolumeWasRetiredIsNotDone: until then it may have been
// published, written to and unpublished again.
func TestWhatWasTakenBackBeforeTheVolumeWasRetiredIsNotDone(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.create("a", mib)
		w.write("volumes", "a")
		w.volumes.fail = func(_, id string) error { // which is called with the records locked
			w.publishes.mu.Lock()
			defer w.publishes.mu.Unlock()
			if v := w.volumes.byID[id]; w.publishes.retired[id] && v.Spec.EmptyFor != "" {
				v.Spec.EmptyFor = ""
				w.volumes.byID[id] = v
			}
			return nil
		}
		w.emptyFor("a", "claim-1")
		w.wantData("volumes", "a")
		w.wantEmptiedFor("a", "")
	})
}

func TestEmptyingThatWasAskedForWhileTheAgentWasAwayIsDone(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.create("a", mib)
		w.write("volumes", "a")
		w.stop()
		w.emptyFor("a", "claim-1")
		w.start()
		w.wantEmptiedFor("a", "claim-1")
		w.wantNoFile("volumes", "a", "file")
	})
}

// slowEmpty is a backend whose Empty lasts until it is called off.
type slowEmpty struct {
	backend.Backend
	begun chan struct{}
}

func (b slowEmpty) Empty(ctx context.Context, _ state.Volume) error {
	b.begun <- struct{}{}
	<-ctx.Done()
	return ctx.Err()
}

func TestEmptyingIsCalledOff(t *testing.T) {
	for what, end := range map[string]func(w *world){
		"by the volume's deletion": func(w *world) {
			w.delete("a")
			w.wantGone("a")
			w.wantDisk()
		},
		"by its being taken back": func(w *world) {
			w.wantPhase(w.emptyFor("a", ""), state.Ready, "")
			w.wantData("volumes", "a")
		},
		"by the agent's end": func(w *world) {
			w.restart()
			w.wantEmptiedFor("a", "claim-1")
		},
	} {
		t.Run(what, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.start()
				w.create("a", mib)
				w.write("volumes", "a")
				begun := make(chan struct{}, 100)
				w.intercept(func(b backend.Backend) backend.Backend { return slowEmpty{b, begun} })
				w.emptyFor("a", "claim-1")
				<-begun
				w.pass(time.Minute)
				w.wantEmptiedFor("a", "")
				end(w)
			})
		})
	}
}

func TestAVolumeThatCannotBeEmptiedSaysWhy(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.create("a", mib)
		away := w.in("away")
		w.must(os.Rename(w.in("volumes", "a"), away))
		w.wantPhase(w.emptyFor("a", "claim-1"), state.Ready, state.Lost)
		w.must(os.Rename(away, w.in("volumes", "a")))
		w.pass(2 * reconcileRetry)
		w.wantEmptiedFor("a", "claim-1")
	})
}

// TestARecoveredVolumeIsNotEmptied: what its record asked for once may be another's data.
func TestARecoveredVolumeIsNotEmptied(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.create("a", mib)
		w.publishes.set("a", true)
		w.emptyFor("a", "claim-1")
		w.resize("a", 2*mib) // writes the record on the volume
		w.emptyFor("a", "")
		w.publishes.set("a", false)
		w.write("volumes", "a")
		w.stop()
		w.volumes, w.nodes = newRecords[state.VolumeSpec, state.VolumeStatus](), newRecords[state.NodeSpec, state.NodeStatus]()
		w.o.Volumes, w.o.Nodes = w.volumes, w.nodes
		_, err := Recover(w.Context(), RecoverOptions{Pools: w.o.Pools, Volumes: w.volumes, Snapshots: w.snapshots, Nodes: w.nodes, Store: "store-1"})
		w.must(err)
		w.start()
		if v := w.get("a"); v.Spec.EmptyFor != "" {
			t.Errorf("it is to be emptied for %q", v.Spec.EmptyFor)
		}
		w.wantData("volumes", "a")
	})
}
