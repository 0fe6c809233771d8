package agent

import (
	"os"
	"testing"
	"time"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// laidSnapshot is what a test lays out before the agent starts, as found is for a volume:
// a volume "a" with data, and the snapshot "s" of it.
type laidSnapshot struct {
	phase                  state.Phase
	deleted, lost          bool
	built, placed, trashed bool
}

func (w *world) laySnapshot(f laidSnapshot) {
	w.Helper()
	w.lay(found{phase: state.Ready, placed: true})
	v := w.get("a")
	w.declareSnapshot("s", v)
	s := w.getSnapshot("s")
	b, err := openBackend(PoolOptions{Path: w.in()})
	w.must(err)
	defer func() { w.must(b.Close()) }()
	from, err := b.Open(v)
	w.must(err)
	defer from.Close()
	if f.trashed {
		w.must(b.Snapshot(w.Context(), s, from, nil))
		w.must(b.DiscardSnapshot(w.Context(), s))
	}
	if f.placed {
		w.must(b.Snapshot(w.Context(), s, from, nil))
		_, err := b.PlaceSnapshot(w.Context(), s)
		w.must(err)
	}
	if f.built {
		w.must(b.Snapshot(w.Context(), s, from, nil))
	}
	s.Status.Phase = f.phase
	if f.phase == state.Ready || f.phase == state.Deleting {
		began := time.Now().UTC()
		s.Status = state.SnapshotStatus{Phase: f.phase, Path: "snapshots/s", SizeBytes: 10 * mib, UsedBytes: mib, CreationTime: &began,
			ReadyToUse: f.phase == state.Ready && !f.lost, ObservedGeneration: 1}
	}
	if f.lost {
		s.Status.Reason, s.Status.Message = state.Lost, "it is not there"
	}
	if f.deleted {
		now := time.Now().UTC()
		s.DeletedAt = &now
		s.Generation++
	}
	w.snapshots.byID["s"] = s
}

// What the scan leaves of a snapshot.
const (
	gone  = "gone"
	there = "there" // as it was
	again = "again" // copied anew
	lost  = "lost"
)

func TestScanOfSnapshots(t *testing.T) {
	for name, c := range map[string]struct {
		laid   laidSnapshot
		shared string // with CallersShareProcess
		apart  string // without; "": the same
	}{
		"Ready, placed":                 {laidSnapshot{phase: state.Ready, placed: true}, there, ""},
		"Ready, built":                  {laidSnapshot{phase: state.Ready, built: true}, there, ""},
		"Ready, nothing":                {laidSnapshot{phase: state.Ready}, lost, ""},
		"Ready, only trashed":           {laidSnapshot{phase: state.Ready, trashed: true}, gone, ""},
		"Ready, placed, was lost":       {laidSnapshot{phase: state.Ready, placed: true, lost: true}, there, ""},
		"Ready, nothing, was lost":      {laidSnapshot{phase: state.Ready, lost: true}, lost, ""},
		"Ready, placed, to be deleted":  {laidSnapshot{phase: state.Ready, placed: true, deleted: true}, there, gone},
		"Deleting, placed":              {laidSnapshot{phase: state.Deleting, placed: true}, gone, ""},
		"Deleting, trashed":             {laidSnapshot{phase: state.Deleting, trashed: true}, gone, ""},
		"Deleting, nothing":             {laidSnapshot{phase: state.Deleting}, gone, ""},
		"Pending, nothing":              {laidSnapshot{phase: state.Pending}, gone, again},
		"new, built":                    {laidSnapshot{built: true}, gone, again},
		"Pending, built":                {laidSnapshot{phase: state.Pending, built: true}, gone, again},
		"Pending, built, to be deleted": {laidSnapshot{phase: state.Pending, built: true, deleted: true}, gone, ""},
		"Failed, nothing":               {laidSnapshot{phase: state.Failed}, gone, "failed"},
		"Copying, nothing":              {laidSnapshot{phase: state.Copying}, again, ""},
		"Copying, built":                {laidSnapshot{phase: state.Copying, built: true}, again, ""},
		"Copying, trashed":              {laidSnapshot{phase: state.Copying, trashed: true}, again, ""},
		"Copying, built, to be deleted": {laidSnapshot{phase: state.Copying, built: true, deleted: true}, again, gone},
	} {
		for how, shared := range map[string]bool{"callers share the process": true, "callers live on": false} {
			want := c.shared
			if !shared && c.apart != "" {
				want = c.apart
			}
			t.Run(name+", "+how, func(t *testing.T) {
				inWorld(t, func(w *world) {
					w.o.CallersShareProcess = shared
					w.laySnapshot(c.laid)
					w.pass(time.Second)
					w.start()
					w.wantScanned(want)
					w.wantDisk("a")
					w.wantData("volumes", "a")
				})
			})
		}
	}
}

func (w *world) wantScanned(want string) {
	w.Helper()
	allocated := int64(10 * mib)
	switch want {
	case gone:
		w.wantNoSnapshot("s")
	case "failed":
		if s := w.getSnapshot("s"); s.Status.Phase != state.Failed {
			w.Errorf("status %+v", s.Status)
		}
	case there, again:
		s := w.getSnapshot("s")
		w.wantSnapshot(s, state.Ready, "")
		w.wantData("snapshots", "s")
		if allocated += s.Status.UsedBytes; (s.Status.UsedBytes == mib) != (want == there) {
			w.Errorf("status %+v, want it to be %s", s.Status, want)
		}
	case lost:
		s := w.getSnapshot("s")
		if s.Status.Phase != state.Ready || s.Status.ReadyToUse || s.Status.Reason != state.Lost {
			w.Errorf("status %+v", s.Status)
		}
		allocated += mib
	}
	w.wantAllocated(allocated)
	if n := w.status().Orphans; n != 0 {
		w.Errorf("%d orphans", n)
	}
}

// TestALostSnapshotIsNotRestoredFrom, can be deleted, and is there again once it is
// brought back.
func TestALostSnapshotIsNotRestoredFrom(t *testing.T) {
	inWorld(t, func(w *world) {
		w.laySnapshot(laidSnapshot{phase: state.Ready, placed: true})
		w.must(os.Rename(w.in("snapshots", "s"), w.in("aside")))
		w.start()
		w.wantScanned(lost)
		w.wantPhase(w.clone("b", 10*mib, state.FromSnapshot, "s"), state.Failed, state.Lost)
		w.delete("b")
		w.must(os.Rename(w.in("aside"), w.in("snapshots", "s")))
		w.restart()
		w.wantScanned(there)
		w.must(os.RemoveAll(w.in("snapshots", "s")))
		w.restart()
		w.wantScanned(lost)
		w.deleteSnapshot("s")
		w.wantNoSnapshot("s")
		w.wantAllocated(10 * mib)
	})
}

func TestASnapshotThatNoRecordSpeaksOfIsAnOrphan(t *testing.T) {
	inWorld(t, func(w *world) {
		w.laySnapshot(laidSnapshot{phase: state.Ready, placed: true})
		delete(w.snapshots.byID, "s")
		w.start()
		if n := w.status().Orphans; n != 1 {
			w.Errorf("%d orphans", n)
		}
		w.wantData("snapshots", "s")
		// A snapshot of its name is refused, and leaves it alone.
		s := w.snap("s", w.get("a"))
		w.wantSnapshot(s, state.Failed, state.Defect)
		w.deleteSnapshot("s")
		w.wantData("snapshots", "s")
		if got := w.names(".tmp"); len(got) > 0 {
			w.Errorf(".tmp holds %q", got)
		}
	})
}

// TestACopyInTwoPlaces: neither is removed.
func TestACopyInTwoPlaces(t *testing.T) {
	inWorld(t, func(w *world) {
		w.laySnapshot(laidSnapshot{phase: state.Ready, placed: true})
		other := w.in(".tmp", backend.PassingName(w.getSnapshot("s")))
		w.must(os.Mkdir(other, 0o700))
		w.start()
		w.wantScanned(there)
		if _, err := os.Stat(other); err != nil {
			w.Error(err)
		}
	})
}
