package agent

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

func snapshotSpec(id string, v state.Volume) state.SnapshotSpec {
	return state.SnapshotSpec{Name: id, Volume: v.ID, VolumeUID: v.UID, Node: v.Spec.Node, Pool: v.Spec.Pool, AccessType: v.Spec.AccessType}
}

// declareSnapshot asks for a snapshot.
func (w *world) declareSnapshot(id string, v state.Volume) {
	w.Helper()
	_, err := w.snapshots.Create(w.Context(), id, snapshotSpec(id, v))
	w.must(err)
}

// snap asks for a snapshot and returns what became of it.
func (w *world) snap(id string, v state.Volume) state.Snapshot {
	w.Helper()
	w.declareSnapshot(id, v)
	w.settle()
	return w.getSnapshot(id)
}

func (w *world) getSnapshot(id string) state.Snapshot {
	w.Helper()
	s, err := w.snapshots.Get(w.Context(), id)
	w.must(err)
	return s
}

func (w *world) deleteSnapshot(id string) {
	w.Helper()
	w.must(w.snapshots.Delete(w.Context(), id))
	w.settle()
}

// clone asks for a volume that begins as a copy, and returns what became of it.
func (w *world) clone(id string, bytes int64, kind state.SourceKind, source string, change ...func(*state.VolumeSpec)) state.Volume {
	w.Helper()
	s := spec(id, bytes)
	s.Source = &state.Source{Kind: kind, ID: source}
	for _, c := range change {
		c(&s)
	}
	_, err := w.volumes.Create(w.Context(), id, s)
	w.must(err)
	w.settle()
	return w.get(id)
}

func (w *world) wantSnapshot(s state.Snapshot, phase state.Phase, reason state.Reason) {
	w.Helper()
	if s.Status.Phase != phase || s.Status.Reason != reason || s.Status.ReadyToUse != (phase == state.Ready) {
		w.Errorf("snapshot %s: %+v, want %q with reason %q", s.ID, s.Status, phase, reason)
	}
	if reason != "" && s.Status.Message == "" {
		w.Errorf("snapshot %s tells no more than %q", s.ID, reason)
	}
	if s.Status.ObservedGeneration != s.Generation {
		w.Errorf("snapshot %s: generation %d of %d was observed", s.ID, s.Status.ObservedGeneration, s.Generation)
	}
}

func (w *world) wantNoSnapshot(id string) {
	w.Helper()
	if s, err := w.snapshots.Get(w.Context(), id); state.ReasonOf(err) != state.NotFound {
		w.Errorf("record of snapshot %s: %v, %+v, want it gone", id, err, s)
	}
	w.wantNoFile("snapshots", id)
}

func TestASnapshotIsTakenRestoredAndDeleted(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		v := w.create("a", 10*mib)
		w.write("volumes", "a")
		s := w.snap("s", v)
		w.wantSnapshot(s, state.Ready, "")
		st := s.Status
		if st.Path != "snapshots/s" || st.SizeBytes != 10*mib || st.UsedBytes < 4 || st.CreationTime == nil || st.Progress != nil || st.Atomic {
			w.Errorf("status %+v", st)
		}
		w.wantData("snapshots", "s")
		w.wantAllocated(10*mib + st.UsedBytes)
		b, err := w.pool().usable()
		w.must(err)
		on, err := b.ReadSnapshotRecord("snapshots/s")
		if err != nil || on.UID != s.UID || on.Status.SizeBytes != st.SizeBytes || on.Status.UsedBytes != st.UsedBytes || !on.Status.CreationTime.Equal(*st.CreationTime) {
			w.Errorf("the record on the disk: %+v, %v", on, err)
		}

		// What was copied needs its source no more.
		w.delete("a")
		w.wantGone("a")
		w.wantPhase(w.clone("b", 20*mib, state.FromSnapshot, "s"), state.Ready, "")
		w.deleteSnapshot("s")
		w.wantNoSnapshot("s")
		w.wantData("volumes", "b")
		w.wantPhase(w.clone("c", 20*mib, state.FromVolume, "b"), state.Ready, "")
		w.delete("b")
		w.wantData("volumes", "c")
		w.wantAllocated(20 * mib)
		w.wantDisk("c")
		if n := w.agent.copies.length(); n != 0 || len(w.agent.copies.readers) != 0 || len(w.agent.copies.going) != 0 {
			w.Errorf("left of the copies: %d, %v, %v", n, w.agent.copies.readers, w.agent.copies.going)
		}
	})
}

func TestSnapshotsAndCopiesOfABlockVolume(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		asBlock := func(s *state.VolumeSpec) { s.AccessType, s.Provisioning = state.BlockAccess, state.Thick }
		s := spec("a", mib)
		asBlock(&s)
		_, err := w.volumes.Create(w.Context(), "a", s)
		w.must(err)
		w.settle()
		v := w.get("a")
		w.must(os.WriteFile(w.in("images", "a"), append([]byte("data"), make([]byte, mib-4)...), 0o600))
		snap := w.snap("s", v)
		w.wantSnapshot(snap, state.Ready, "")
		if snap.Status.SizeBytes != mib || snap.Status.UsedBytes != mib {
			w.Errorf("status %+v", snap.Status)
		}
		w.wantPhase(w.clone("b", 2*mib, state.FromSnapshot, "s", asBlock), state.Ready, "")
		w.wantPhase(w.clone("c", mib, state.FromVolume, "a", asBlock), state.Ready, "")
		w.wantPhase(w.clone("d", mib, state.FromVolume, "a"), state.Failed, state.Incompatible)
		for id, size := range map[string]int64{"b": 2 * mib, "c": mib} {
			if got, err := os.ReadFile(w.in("images", id)); err != nil || int64(len(got)) != size || string(got[:5]) != "data\x00" {
				w.Errorf("image %s has %d bytes, %v", id, len(got), err)
			}
		}
		w.wantAllocated(5 * mib)
	})
}

// gate holds copies up until it is told to let them go on.
type gate struct {
	mu      sync.Mutex
	arrived []string
	open    chan struct{} // one copy goes on for each receive; closed: all
}

func (g *gate) copy(ctx context.Context, id string, progress func(state.Progress)) error {
	g.mu.Lock()
	g.arrived = append(g.arrived, id)
	g.mu.Unlock()
	if progress != nil {
		progress(state.Progress{Bytes: 7, Inodes: 3})
	}
	select {
	case <-g.open:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// holdCopies puts a gate before every copy.
func (w *world) holdCopies() *gate {
	g := &gate{open: make(chan struct{})}
	w.intercept(func(b backend.Backend) backend.Backend { return &interceptor{Backend: b, copy: g.copy} })
	return g
}

func TestASnapshotThatTakesLongIsToldOfBeforeItIsReady(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		v := w.create("a", 10*mib)
		w.write("volumes", "a")
		g := w.holdCopies()
		s := w.snap("s", v)
		if s.Status.Phase != "" {
			w.Errorf("at once: %+v", s.Status)
		}
		w.pass(copyingAfter)
		s = w.getSnapshot("s")
		w.wantSnapshot(s, state.Copying, "")
		if s.Status.SizeBytes != 10*mib || s.Status.CreationTime == nil || s.Status.Progress == nil || *s.Status.Progress != (state.Progress{Bytes: 7, Inodes: 3}) {
			w.Errorf("status %+v", s.Status)
		}
		w.wantNoFile("snapshots", "s")
		w.wantPhase(w.clone("b", 10*mib, state.FromSnapshot, "s"), state.Failed, state.Unavailable)

		// Others are created meanwhile; the source stays.
		w.wantPhase(w.create("c", 10*mib), state.Ready, "")
		w.delete("a")
		w.wantPhase(w.get("a"), state.Ready, state.InUse)
		w.must(w.volumes.Keep(w.Context(), "a", v.UID))
		w.settle()

		began := *s.Status.CreationTime
		close(g.open)
		w.settle()
		s = w.getSnapshot("s")
		w.wantSnapshot(s, state.Ready, "")
		if s.Status.Progress != nil || s.Status.CreationTime == nil || !s.Status.CreationTime.Equal(began) {
			w.Errorf("status %+v", s.Status)
		}
		w.wantData("snapshots", "s")
		w.delete("a")
		w.wantGone("a")
	})
}

func TestSoManyCopiesAtATime(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		v := w.create("a", 10*mib)
		g := w.holdCopies()
		for i := range parallelCopies {
			w.declareSnapshot(number("s", i), v)
		}
		w.settle()
		w.declareSnapshot("late", v)
		w.clone("b", 10*mib, state.FromVolume, "a")
		if len(g.arrived) != parallelCopies {
			w.Errorf("%q are being copied", g.arrived)
		}
		w.pass(2 * copyingAfter)
		if s := w.getSnapshot("late"); s.Status.Phase != "" {
			w.Errorf("one that waits for its turn: %+v", s.Status)
		}
		g.open <- struct{}{}
		g.open <- struct{}{}
		w.settle()
		slices.Sort(g.arrived)
		if want := []string{"b", "late", "s-0", "s-1", "s-2", "s-3"}; !slices.Equal(g.arrived, want) {
			w.Errorf("%q are being copied, want %q", g.arrived, want)
		}
		close(g.open)
		w.settle()
		w.wantPhase(w.get("b"), state.Ready, "")
		w.wantSnapshot(w.getSnapshot("late"), state.Ready, "")
	})
}

func TestADeletionCallsACopyOff(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		v := w.create("a", 10*mib)
		w.write("volumes", "a")
		w.holdCopies()
		w.snap("young", v)
		w.snap("old", v)
		w.pass(copyingAfter)
		w.clone("b", 10*mib, state.FromVolume, "a")
		w.snap("s", v)
		for _, id := range []string{"young", "old", "s"} {
			w.deleteSnapshot(id)
			w.wantNoSnapshot(id)
		}
		w.delete("b")
		w.wantGone("b")
		w.wantAllocated(10 * mib)
		w.wantDisk("a")
		w.delete("a")
		w.wantGone("a")
	})
}

func TestSnapshotFails(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *world, s *state.SnapshotSpec)
		reason state.Reason
	}{
		"of an unknown volume":  {func(_ *world, s *state.SnapshotSpec) { s.Volume = "nosuch" }, state.NotFound},
		"of another life":       {func(_ *world, s *state.SnapshotSpec) { s.VolumeUID = "f" }, state.NotFound},
		"of a lost volume":      {func(w *world, _ *state.SnapshotSpec) { w.must(os.RemoveAll(w.in("volumes", "a"))) }, state.Lost},
		"in a pool that is not": {func(_ *world, s *state.SnapshotSpec) { s.Pool = "nosuch" }, state.NotReady},
		"without room":          {func(w *world, _ *state.SnapshotSpec) { w.create("filler", diskBytes-120*mib) }, state.NoSpace},
		"on a broken filesystem": {func(w *world, _ *state.SnapshotSpec) {
			w.intercept(func(b backend.Backend) backend.Backend {
				return &interceptor{Backend: b, copy: func(context.Context, string, func(state.Progress)) error { return unix.EIO }}
			})
		}, state.Defect},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.o.Pools[0].ReserveBytes = 100 * mib
				w.start()
				v := w.create("a", 10*mib)
				w.must(os.WriteFile(w.in("volumes", "a", "file"), make([]byte, 11*mib), 0o600))
				s := snapshotSpec("s", v)
				c.change(w, &s)
				before := w.status().AllocatedBytes
				_, err := w.snapshots.Create(w.Context(), "s", s)
				w.must(err)
				w.settle()
				w.wantSnapshot(w.getSnapshot("s"), state.Failed, c.reason)
				w.wantAllocated(before)
				w.deleteSnapshot("s")
				w.wantNoSnapshot("s")
				for _, dir := range []string{".tmp", ".trash", "snapshots"} {
					if got := w.names(dir); len(got) > 0 {
						w.Errorf("%s holds %q", dir, got)
					}
				}
				w.wantAllocated(before)
				w.delete("a") // nothing keeps it any more
				w.wantGone("a")
			})
		})
	}
}

func TestWhatIsNoSourceIsRefused(t *testing.T) {
	inWorld(t, func(w *world) {
		w.o.Pools = append(w.o.Pools, PoolOptions{Name: "other", Path: w.in("..", "other")})
		w.start()
		v := w.create("a", 10*mib)
		w.snap("s", v)
		w.create("failed", diskBytes*2)
		toOther := func(s *state.VolumeSpec) { s.Pool = "other" }
		for name, c := range map[string]struct {
			v      state.Volume
			reason state.Reason
		}{
			"an unknown snapshot":           {w.clone("x1", 10*mib, state.FromSnapshot, "nosuch"), state.NotFound},
			"an unknown volume":             {w.clone("x2", 10*mib, state.FromVolume, "nosuch"), state.NotFound},
			"a smaller volume":              {w.clone("x3", 10*mib-1, state.FromSnapshot, "s"), state.OutOfRange},
			"a smaller clone":               {w.clone("x4", 10*mib-1, state.FromVolume, "a"), state.OutOfRange},
			"a volume in another pool":      {w.clone("x5", 10*mib, state.FromSnapshot, "s", toOther), state.Incompatible},
			"a clone in another pool":       {w.clone("x6", 10*mib, state.FromVolume, "a", toOther), state.Incompatible},
			"a volume that never was ready": {w.clone("x7", 10*mib, state.FromVolume, "failed"), state.Unavailable},
			"a source of another kind":      {w.clone("x8", 10*mib, "Tape", "a"), state.Unsupported},
		} {
			if c.v.Status.Reason != c.reason {
				w.Errorf("%s:", name)
			}
			w.wantPhase(c.v, state.Failed, c.reason)
		}
		w.wantDisk("a")
	})
}

func TestASnapshotThatIsRestoredFromStays(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		s := w.snap("s", w.create("a", 10*mib))
		g := w.holdCopies()
		w.clone("b", 10*mib, state.FromSnapshot, "s")
		w.deleteSnapshot("s")
		now := w.getSnapshot("s")
		w.wantSnapshot(now, state.Ready, state.InUse)
		if now.DeletedAt == nil {
			w.Error("a refused deletion is forgotten before it is taken back")
		}
		w.must(w.snapshots.Keep(w.Context(), "s", s.UID))
		w.settle()
		w.wantSnapshot(w.getSnapshot("s"), state.Ready, "")
		close(g.open)
		w.settle()
		w.wantPhase(w.get("b"), state.Ready, "")
		w.deleteSnapshot("s")
		w.wantNoSnapshot("s")
	})
}

// TestStoreFailsForSnapshots has the store refuse what the agent saw.
func TestStoreFailsForSnapshots(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		v := w.create("a", 10*mib)
		w.write("volumes", "a")
		var broken atomic.Bool
		w.snapshots.fail = func(call, _ string) error {
			if broken.Load() && (call == "UpdateStatus" || call == "Finalize") {
				return state.Errorf(state.Unavailable, "the store is broken")
			}
			return nil
		}
		breaking := func(what func()) {
			broken.Store(true)
			what()
			w.pass(5 * reconcileRetry)
			broken.Store(false)
			w.wantAllocated(10*mib + w.getSnapshot("s").Status.UsedBytes)
			w.pass(2 * reconcileRetry)
		}
		breaking(func() { w.declareSnapshot("s", v) })
		s := w.getSnapshot("s")
		w.wantSnapshot(s, state.Ready, "")
		w.wantAllocated(10*mib + s.Status.UsedBytes)
		breaking(func() { w.deleteSnapshot("s") })
		w.wantNoSnapshot("s")
		w.wantAllocated(10 * mib)
		w.pass(2 * purgeRetry)
		w.wantDisk("a")
	})
}

func TestADeletionOfASnapshotThatFailsIsTold(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.snap("s", w.create("a", 10*mib))
		w.intercept(func(b backend.Backend) backend.Backend {
			return &interceptor{Backend: b, discardSnapshot: func(context.Context, state.Snapshot) error { return errors.New("no") }}
		})
		w.deleteSnapshot("s")
		w.wantSnapshot(w.getSnapshot("s"), state.Ready, state.Defect)
	})
}

func TestAPoolWithSnapshotsIsNotLetGo(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.snap("s", w.create("a", 10*mib))
		w.delete("a")
		w.agent.Configure(w.Context(), nil)
		w.pass(2 * inspectEvery)
		if w.pool() == nil {
			w.Fatal("the pool was let go, and a snapshot with it")
		}
		// One that is wanted no more can be restored from no more, but deleted.
		w.deleteSnapshot("s")
		w.wantNoSnapshot("s")
		w.pass(2 * inspectEvery)
		if w.pool() != nil {
			w.Error("the pool was not let go")
		}
	})
}

// TestWithoutSnapshots: an agent that was not given their records.
func TestWithoutSnapshots(t *testing.T) {
	inWorld(t, func(w *world) {
		w.o.Snapshots = nil
		w.start()
		w.create("a", 10*mib)
		w.mkdir("snapshots", "s")
		w.wantPhase(w.clone("b", 10*mib, state.FromSnapshot, "s"), state.Failed, state.Unsupported)
		w.wantPhase(w.clone("c", 10*mib, state.FromVolume, "a"), state.Ready, "")
		w.restart()
		if n := w.status().Orphans; n != 1 {
			w.Errorf("%d orphans", n)
		}
	})
}

func TestACopyThatARestartCutsShort(t *testing.T) {
	for name, c := range map[string]struct {
		shared  bool
		waiting time.Duration
		again   bool // it is made again
	}{
		"and was not answered for":                        {true, 0, false},
		"and was told of":                                 {true, copyingAfter, true},
		"and whose caller lives on":                       {false, 0, true},
		"and whose caller lives on, and that was told of": {false, copyingAfter, true},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.o.CallersShareProcess = c.shared
				w.start()
				v := w.create("a", 10*mib)
				w.write("volumes", "a")
				w.holdCopies()
				w.snap("s", v)
				w.clone("b", 10*mib, state.FromVolume, "a")
				w.pass(c.waiting)
				w.restart() // without the gate
				if c.again {
					w.wantSnapshot(w.getSnapshot("s"), state.Ready, "")
					w.wantData("snapshots", "s")
				} else {
					w.wantNoSnapshot("s")
				}
				if c.shared {
					w.wantGone("b")
					w.wantDisk("a")
				} else {
					w.wantPhase(w.get("b"), state.Ready, "")
					w.wantData("volumes", "b")
					w.wantDisk("a", "b")
				}
			})
		})
	}
}
