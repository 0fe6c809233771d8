package agent

import (
	"slices"
	"sync"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// limited is a backend whose volumes need quota IDs. It notes which ones volumes were
// built with.
type limited struct {
	backend.Backend
	ids *fakeIDs
}

func (l limited) QuotaIDs() backend.IDs { return l.ids }

func (l limited) Features() backend.Features {
	f := l.Backend.Features()
	f.EnforcesLimits = true
	return f
}

func (l limited) Sweep() (int, error) {
	l.ids.mu.Lock()
	defer l.ids.mu.Unlock()
	l.ids.swept = len(l.ids.held)
	return 0, nil
}

// fakeIDs gives out the IDs from 1 on.
type fakeIDs struct {
	mu    sync.Mutex
	held  map[uint32]bool
	swept int // how many were held when Sweep was called
	fail  error
}

func (f *fakeIDs) Take() (uint32, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return 0, f.fail
	}
	for id := uint32(1); ; id++ {
		if !f.held[id] {
			f.held[id] = true
			return id, nil
		}
	}
}

func (f *fakeIDs) Hold(id uint32) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.held[id] {
		return state.Errorf(state.Defect, "ID %d is held twice", id)
	}
	f.held[id] = true
	return nil
}

func (f *fakeIDs) Release(id uint32) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.held, id)
	return nil
}

func (f *fakeIDs) all() []uint32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ids []uint32
	for id := range f.held {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// withIDs has the world's pools opened with a backend that needs quota IDs.
func (w *world) withIDs() *fakeIDs {
	ids := &fakeIDs{held: map[uint32]bool{}}
	w.o.open = func(o PoolOptions) (backend.Backend, error) {
		b, err := openBackend(o)
		return limited{b, ids}, err
	}
	return ids
}

func TestQuotaIDsAreRecordedAndGivenBack(t *testing.T) {
	inWorld(t, func(w *world) {
		ids := w.withIDs()
		w.start()
		a, b := w.create("a", mib), w.create("b", mib)
		if a.Status.QuotaID != 1 || b.Status.QuotaID != 2 || a.Status.Phase != state.Ready {
			t.Errorf("volumes have %+v and %+v", a.Status, b.Status)
		}
		w.delete("a")
		if got := ids.all(); !slices.Equal(got, []uint32{2}) {
			t.Errorf("after a deletion %v are held", got)
		}
		if c := w.create("c", mib); c.Status.QuotaID != 1 {
			t.Errorf("the next volume has %+v", c.Status)
		}
	})
}

func TestQuotaIDsOfRecordsAreHeldBeforeOthersAreCleared(t *testing.T) {
	inWorld(t, func(w *world) {
		w.withIDs()
		w.start()
		w.create("a", mib)
		w.create("b", mib)
		w.stop()
		ids := w.withIDs() // as after a restart
		w.start()
		if got := ids.all(); !slices.Equal(got, []uint32{1, 2}) || ids.swept != 2 {
			t.Errorf("%v are held, %d when the others were cleared", got, ids.swept)
		}
	})
}

func TestAVolumeThatGetsNoQuotaIDFails(t *testing.T) {
	inWorld(t, func(w *world) {
		ids := w.withIDs()
		ids.fail = state.Errorf(state.NoSpace, "all IDs are taken")
		w.start()
		if v := w.create("a", mib); v.Status.Phase != state.Failed || v.Status.Reason != state.NoSpace {
			t.Errorf("the volume has %+v", v.Status)
		}
		w.delete("a")
		ids.mu.Lock()
		ids.fail = nil
		ids.mu.Unlock()
		if v := w.create("a", mib); v.Status.Phase != state.Ready || v.Status.QuotaID != 1 {
			t.Errorf("tried again, it has %+v", v.Status)
		}
	})
}

func TestAFailedVolumeGivesItsQuotaIDBack(t *testing.T) {
	inWorld(t, func(w *world) {
		ids := w.withIDs()
		w.start()
		s := spec("a", mib)
		s.Source = &state.Source{Kind: state.FromVolume, ID: "x"} // which a plain pool does not serve
		_, err := w.volumes.Create(w.Context(), "a", s)
		w.must(err)
		w.settle()
		if v := w.get("a"); v.Status.Phase != state.Failed || v.Status.QuotaID != 1 {
			t.Errorf("the volume has %+v", v.Status)
		}
		w.delete("a")
		if got := ids.all(); len(got) != 0 {
			t.Errorf("%v are held for no record", got)
		}
	})
}
