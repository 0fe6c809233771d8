package agent

import (
	"context"
	"os"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

func TestRemove(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.create("a", 10*mib)
		w.create("b", 10*mib)
		w.write("volumes", "a")
		w.delete("a")
		w.wantGone("a")
		w.wantDisk("b")
		w.wantAllocated(10 * mib)
		// The next life of the name is another volume.
		w.create("a", 20*mib)
		w.wantNoFile("volumes", "a", "file")
		w.wantAllocated(30 * mib)
		if len(w.publishes.retired) > 0 {
			w.Errorf("publishes of %v are still forbidden", w.publishes.retired)
		}
	})
}

func TestRemoveInUse(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		v := w.create("a", 10*mib)
		w.write("volumes", "a")
		w.publishes.set("a", true)
		w.delete("a")
		now := w.get("a")
		w.wantPhase(now, state.Ready, state.InUse)
		if now.DeletedAt == nil || state.ReasonOf(state.Refused(now)) != state.InUse {
			w.Errorf("a refused deletion: %+v", now)
		}
		w.wantData("volumes", "a")
		w.wantAllocated(10 * mib)

		// The controller takes it back, and nothing of it is left.
		w.must(w.volumes.Keep(w.Context(), "a", v.UID))
		w.settle()
		w.wantPhase(w.get("a"), state.Ready, "")
		w.wantData("volumes", "a")

		w.publishes.set("a", false)
		w.delete("a")
		w.wantGone("a")
		w.wantDisk()
	})
}

// TestARefusedDeletionIsNotDoneLater: whoever asked was told that the volume stays. The
// agent may look at its record again before the controller has taken the deletion back.
func TestARefusedDeletionIsNotDoneLater(t *testing.T) {
	refused := func(t *testing.T, restart bool) {
		inWorld(t, func(w *world) {
			w.o.CallersShareProcess = false
			w.start()
			v := w.create("a", 10*mib)
			s := w.snap("s", v)
			w.write("volumes", "a")
			g := w.holdCopies()
			w.clone("b", 10*mib, state.FromSnapshot, "s")
			w.publishes.set("a", true)
			w.delete("a")
			w.deleteSnapshot("s")

			w.publishes.set("a", false)
			close(g.open)
			w.settle()
			if restart {
				w.restart()
			}
			w.agent.queue.add("a")
			w.agent.snapshots.add("s")
			w.settle()
			w.wantPhase(w.get("a"), state.Ready, state.InUse)
			w.wantData("volumes", "a")
			w.wantSnapshot(w.getSnapshot("s"), state.Ready, state.InUse)

			// The controller takes it back, and whoever asks then is asking anew.
			w.must(w.volumes.Keep(w.Context(), "a", v.UID))
			w.must(w.snapshots.Keep(w.Context(), "s", s.UID))
			w.settle()
			w.deleteSnapshot("s")
			w.wantNoSnapshot("s")
			w.delete("a")
			w.wantGone("a")
			w.wantDisk("b")
		})
	}
	t.Run("while the agent works", func(t *testing.T) { refused(t, false) })
	t.Run("after a restart", func(t *testing.T) { refused(t, true) })
}

func TestRemoveFails(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		v := w.create("a", 10*mib)
		w.write("volumes", "a")
		var failing atomic.Bool
		failing.Store(true)
		w.intercept(func(b backend.Backend) backend.Backend {
			return &interceptor{Backend: b, discard: func(ctx context.Context, v state.Volume) error {
				if failing.Load() {
					return unix.EIO
				}
				return b.Discard(ctx, v)
			}}
		})
		w.delete("a")
		w.wantPhase(w.get("a"), state.Ready, state.Defect)
		w.wantData("volumes", "a")
		w.wantAllocated(10 * mib)
		failing.Store(false)
		w.must(w.volumes.Keep(w.Context(), "a", v.UID))
		w.settle()
		w.delete("a")
		w.wantGone("a")
		w.wantDisk()
		w.wantAllocated(0)
	})
}

// TestRemoveOfLostVolume: there may be nothing left to remove.
func TestRemoveOfLostVolume(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		v := w.create("a", 10*mib)
		w.must(os.Remove(w.in("volumes", "a")))
		_, err := w.agent.Open(v)
		w.wantReason(state.Lost, err)
		w.delete("a")
		w.wantGone("a")
		w.wantAllocated(0)
	})
}
