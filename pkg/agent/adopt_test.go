package agent

import (
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// adopt asks for a volume that is made of a directory of the pool, and returns what
// became of it.
func (w *world) adopt(id, at string) state.Volume {
	w.Helper()
	s := spec(id, 10*mib)
	s.Adopt = at
	_, err := w.volumes.Create(w.Context(), id, s)
	w.must(err)
	w.settle()
	return w.get(id)
}

func TestADirectoryBecomesAVolume(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.mkdir("legacy/db")
		w.write("legacy/db")
		v := w.adopt("a", "legacy/db")
		w.wantPhase(v, state.Ready, "")
		if v.Status.Path != "volumes/a" || v.Status.CapacityBytes != 10*mib {
			t.Errorf("it is %+v", v)
		}
		w.wantDisk("a")
		w.wantData("volumes/a")
		w.wantAllocated(10 * mib)
		w.restart()
		w.wantData("volumes/a")
		if got := w.status().Orphans; got != 0 {
			t.Errorf("there are %d orphans", got)
		}
		w.delete("a")
		w.wantDisk()
		if got := w.names("legacy"); len(got) > 0 {
			t.Errorf("legacy/ holds %q", got)
		}
	})
}

func TestAnOrphanBecomesAVolumeAndIsNoneAnyMore(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		for _, name := range []string{"same", "other"} {
			w.mkdir("volumes", name)
			w.write("volumes", name)
		}
		w.restart()
		if got := w.pool().orphans; !slices.Equal(got, []string{"other", "same"}) {
			t.Fatalf("orphans are %q", got)
		}
		w.wantPhase(w.adopt("same", "volumes/same"), state.Ready, "")
		w.wantPhase(w.adopt("a", "volumes/other"), state.Ready, "")
		for range 2 {
			w.wantDisk("a", "same")
			w.wantData("volumes/a")
			w.wantData("volumes/same")
			if got := w.pool().orphans; len(got) > 0 {
				t.Errorf("orphans are %q", got)
			}
			w.restart()
		}
	})
}

// TestWhatIsNoOrphanIsNotAdopted: nothing of it changes, and the volume that it is lives on.
func TestWhatIsNoOrphanIsNotAdopted(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		v := w.create("a", 10*mib)
		c := w.declareClaimed("c")
		w.settle()
		bare := w.create("bare", 10*mib) // brought back from a copy that keeps no attributes
		w.must(unix.Removexattr(w.in("volumes/bare"), backend.RecordXattr))
		for id, at := range map[string]string{"x": "volumes/a", "y": "claims/shop/data=c", "z": "volumes/bare"} {
			got := w.adopt(id, at)
			w.wantPhase(got, state.Failed, state.AlreadyExists)
			w.delete(id)
		}
		for _, at := range []string{"volumes/a", "claims/shop/data=c"} {
			b, err := w.agent.pools.get("default").usable()
			w.must(err)
			if there, err := b.ReadRecord(at); err != nil || there.UID != v.UID && there.UID != c.UID {
				t.Errorf("%s carries %+v (%v)", at, there, err)
			}
		}
		w.wantDisk("a", "bare")
		w.restart()
		for _, id := range []string{"a", "c", bare.ID} {
			if got := w.get(id); got.Status.Phase != state.Ready || len(got.Status.Health) > 0 {
				t.Errorf("%s is %+v", id, got)
			}
		}
		w.wantAllocated(30 * mib)
	})
}

func TestAnAdoptionThatWasNotAnsweredIsUndone(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.mkdir("legacy/db")
		w.write("legacy/db")
		w.mkdir("volumes/b")
		w.write("volumes/b")
		for id, at := range map[string]string{"a": "legacy/db", "b": "volumes/b"} {
			s := spec(id, 10*mib)
			s.Adopt = at
			w.stop()
			v, err := w.volumes.Create(w.Context(), id, s)
			w.must(err)
			b, err := openBackend(PoolOptions{Path: w.in()})
			w.must(err)
			w.must(b.Adopt(w.Context(), v, func(*state.Meta) error { return nil }))
			w.must(b.Close())
			w.start()
			_, err = w.volumes.Get(w.Context(), id)
			w.wantReason(state.NotFound, err)
			w.wantData(at)
			if _, err := os.Stat(w.in(".trash")); err != nil || len(w.names(".trash")) > 0 {
				t.Errorf(".trash holds %q (%v)", w.names(".trash"), err)
			}
		}
		w.wantAllocated(0)
	})
}

func TestAnAdoptionThatCannotBeSaysWhyAndCanBeDeleted(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.mkdir("legacy/db")
		for id, c := range map[string]struct {
			at     string
			reason state.Reason
		}{"a": {"nosuch", state.Invalid}, "b": {"../pool/legacy", state.Invalid}, "c": {"volumes", state.Invalid}, "d": {".trash/x", state.Invalid}} {
			w.wantPhase(w.adopt(id, c.at), state.Failed, c.reason)
			w.delete(id)
		}
		w.wantAllocated(0)
		w.wantDisk()
	})
}
