package agent

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

func TestCreate(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		want := spec("a", 10*mib)
		want.Mode, want.UserID, want.GroupID = 0o2750, 1000, 2000
		_, err := w.volumes.Create(w.Context(), "a", want)
		w.must(err)
		w.settle()
		v := w.get("a")
		w.wantPhase(v, state.Ready, "")
		if v.Status.Path != "volumes/a" || v.Status.CapacityBytes != 10*mib || v.Status.Enforced || len(v.Status.Health) > 0 {
			w.Errorf("status %+v", v.Status)
		}
		var st unix.Stat_t
		w.must(unix.Stat(w.in("volumes", "a"), &st))
		if st.Mode != unix.S_IFDIR|0o2750 || st.Uid != 1000 || st.Gid != 2000 {
			w.Errorf("mode %#o, owner %d:%d", st.Mode, st.Uid, st.Gid)
		}
		w.wantDisk("a")
		w.wantAllocated(10 * mib)
		f, err := w.agent.Open(v)
		w.must(err)
		w.must(f.Close())
		u, err := w.agent.Usage(w.Context(), v)
		if err != nil || u.TotalBytes != 10*mib || u.UsedInodes != 1 {
			w.Errorf("usage %+v, %v", u, err)
		}
	})
}

func TestOtherNodesVolumesAreNotOurs(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		other := spec("a", mib)
		other.Node = "node-2"
		_, err := w.volumes.Create(w.Context(), "a", other)
		w.must(err)
		w.settle()
		if v := w.get("a"); v.Status.Phase != "" {
			w.Errorf("status %+v", v.Status)
		}
		w.wantDisk()
	})
}

func TestCreateFails(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *world, s *state.VolumeSpec)
		reason state.Reason
	}{
		"more than there is":  {func(_ *world, s *state.VolumeSpec) { s.CapacityBytes = diskBytes + 1 }, state.NoSpace},
		"more than is given":  {func(_ *world, s *state.VolumeSpec) { s.CapacityBytes = diskBytes - 100*mib + 1 }, state.NoSpace},
		"a pool that is not":  {func(_ *world, s *state.VolumeSpec) { s.Pool = "nosuch" }, state.NotReady},
		"a block of odd size": {func(_ *world, s *state.VolumeSpec) { s.AccessType, s.CapacityBytes = state.BlockAccess, mib+1 }, state.Invalid},
		"a clone of nothing":  {func(_ *world, s *state.VolumeSpec) { s.Source = &state.Source{Kind: state.FromVolume, ID: "x"} }, state.NotFound},
		"too long a record":   {func(_ *world, s *state.VolumeSpec) { s.Name = strings.Repeat("x", 10000) }, state.Invalid},
		"a full filesystem":   {func(w *world, _ *state.VolumeSpec) { w.intercept(failing(unix.ENOSPC)) }, state.Defect},
		"a broken filesystem": {func(w *world, _ *state.VolumeSpec) { w.intercept(failing(unix.EIO)) }, state.Defect},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.o.Pools[0].ReserveBytes = 100 * mib
				w.start()
				s := spec("a", mib)
				c.change(w, &s)
				_, err := w.volumes.Create(w.Context(), "a", s)
				w.must(err)
				w.settle()
				w.wantPhase(w.get("a"), state.Failed, c.reason)
				w.wantDisk()
				w.wantAllocated(0)
				// What failed can be deleted, and the name is free again.
				w.delete("a")
				w.wantGone("a")
				w.wantAllocated(0)
			})
		})
	}
}

// TestCreateOverStray: what no record speaks of is never touched, not even by a
// volume of its name.
func TestCreateOverStray(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.mkdir("volumes", "a")
		w.write("volumes", "a")
		w.wantPhase(w.create("a", mib), state.Failed, state.Defect)
		w.wantData("volumes", "a")
		w.delete("a")
		w.wantGone("a")
		w.wantData("volumes", "a")
		w.wantAllocated(0)
	})
}

func TestConcurrentCreatesDoNotOversell(t *testing.T) {
	inWorld(t, func(w *world) {
		const size, room, asked = 10 * mib, 10, 64
		w.o.Pools[0].ReserveBytes = diskBytes - room*size - size/2
		w.start()
		for i := range asked {
			w.declare(number("v", i), size)
		}
		w.settle()
		phases := map[state.Phase]int{}
		for i := range asked {
			v := w.get(number("v", i))
			if phases[v.Status.Phase]++; v.Status.Phase == state.Failed {
				w.wantPhase(v, state.Failed, state.NoSpace)
				w.wantNoFile("volumes", v.ID)
			} else {
				w.wantPhase(v, state.Ready, "")
			}
		}
		if phases[state.Ready] != room || phases[state.Failed] != asked-room {
			w.Errorf("phases %v, want %d Ready and %d Failed", phases, room, asked-room)
		}
		if n := len(w.names("volumes")); n != room {
			w.Errorf("%d volumes are on the disk", n)
		}
		w.wantAllocated(room * size)
		// One goes, one comes.
		for i := range asked {
			if w.get(number("v", i)).Status.Phase == state.Ready {
				w.delete(number("v", i))
				break
			}
		}
		w.wantPhase(w.create("next", size), state.Ready, "")
		w.wantPhase(w.create("one-more", size), state.Failed, state.NoSpace)
		w.wantAllocated(room * size)
	})
}

func TestOvercommit(t *testing.T) {
	inWorld(t, func(w *world) {
		w.o.Pools[0].Overcommit = 2
		w.start()
		// Limits are not enforced: no more than is free now, but that again and again.
		w.wantPhase(w.create("a", diskBytes-mib), state.Ready, "")
		w.wantPhase(w.create("b", diskBytes-mib), state.Ready, "")
		w.wantPhase(w.create("c", 2*mib+1), state.Failed, state.NoSpace)
		w.wantAllocated(2 * (diskBytes - mib))
	})
}

func TestResize(t *testing.T) {
	inWorld(t, func(w *world) {
		w.o.Pools[0].ReserveBytes = diskBytes - 100*mib
		w.start()
		w.create("a", 10*mib)
		w.create("b", 10*mib)
		w.write("volumes", "a")

		v := w.resize("a", 60*mib)
		w.wantPhase(v, state.Ready, "")
		if v.Status.CapacityBytes != 60*mib {
			w.Errorf("status %+v", v.Status)
		}
		w.wantAllocated(70 * mib)
		b, err := w.pool().usable()
		w.must(err)
		if on, err := b.ReadRecord("volumes/a"); err != nil || on.Spec.CapacityBytes != 60*mib {
			w.Errorf("the record on the disk: %+v, %v", on.Spec, err)
		}

		v = w.resize("a", 91*mib)
		w.wantPhase(v, state.Ready, state.NoSpace)
		if v.Status.CapacityBytes != 60*mib || state.Refused(v) == nil {
			w.Errorf("a refused expansion: %+v", v.Status)
		}
		w.wantAllocated(70 * mib)

		// The controller takes it back.
		v = w.resize("a", 60*mib)
		w.wantPhase(v, state.Ready, "")
		if v.Status.Message != "" {
			w.Errorf("status %+v", v.Status)
		}
		w.wantAllocated(70 * mib)

		v = w.resize("a", 20*mib)
		w.wantPhase(v, state.Ready, "")
		if v.Status.CapacityBytes != 20*mib {
			w.Errorf("status %+v", v.Status)
		}
		w.wantAllocated(30 * mib)
		w.wantPhase(w.resize("a", 90*mib), state.Ready, "")
		w.wantAllocated(100 * mib)
		w.wantData("volumes", "a")
	})
}

func TestResizeFails(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.create("a", 10*mib)
		w.intercept(func(b backend.Backend) backend.Backend {
			return &interceptor{Backend: b, resize: func(context.Context, state.Volume) error { return unix.EIO }}
		})
		v := w.resize("a", 20*mib)
		w.wantPhase(v, state.Ready, state.Defect)
		if v.Status.CapacityBytes != 10*mib {
			w.Errorf("status %+v", v.Status)
		}
		w.wantAllocated(10 * mib)
		w.resize("a", 5*mib)
		w.wantAllocated(10 * mib)
	})
}

// TestStoreFails has the store refuse what the agent saw. It is told again, and the
// account stays exact.
func TestStoreFails(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		var broken atomic.Bool
		w.volumes.fail = func(call, _ string) error {
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
		}
		mended := func() { w.pass(2 * reconcileRetry) }
		breaking(func() { w.declare("a", 10*mib) })
		w.wantAllocated(0)
		mended()
		w.wantPhase(w.get("a"), state.Ready, "")
		w.wantAllocated(10 * mib)
		w.pass(purgeRetry) // the leavings of the attempts in between
		w.wantDisk("a")

		breaking(func() { w.resize("a", 50*mib) })
		w.wantAllocated(10 * mib)
		mended()
		w.wantPhase(w.get("a"), state.Ready, "")
		w.wantAllocated(50 * mib)

		breaking(func() { w.resize("a", 20*mib) })
		w.wantAllocated(50 * mib)
		mended()
		w.wantPhase(w.get("a"), state.Ready, "")
		w.wantAllocated(20 * mib)

		breaking(func() { w.delete("a") })
		mended()
		w.wantGone("a")
		w.wantAllocated(0)
		w.pass(2 * purgeRetry)
		w.wantDisk()
	})
}

func TestABlockVolume(t *testing.T) {
	inWorld(t, func(w *world) {
		ids := w.withIDs()
		w.start()
		s := spec("a", mib)
		s.AccessType = state.BlockAccess
		_, err := w.volumes.Create(w.Context(), "a", s)
		w.must(err)
		w.settle()
		v := w.get("a")
		if v.Status.Phase != state.Ready || v.Status.Path != "images/a" || !v.Status.Enforced || v.Status.QuotaID != 0 {
			t.Errorf("status %+v", v.Status)
		}
		if got := ids.all(); len(got) != 0 {
			t.Errorf("%v are held for an image, which needs none", got)
		}
		w.wantAllocated(mib)
		resize := func(bytes int64) {
			_, err := w.volumes.UpdateSpec(w.Context(), "a", func(s *state.VolumeSpec) error { s.CapacityBytes = bytes; return nil })
			w.must(err)
			w.settle()
		}
		// The image has grown, and its device has not: the old size is in force.
		w.publishes.growErr = state.Errorf(state.NotReady, "no device")
		resize(2 * mib)
		if v := w.get("a"); v.Status.CapacityBytes != mib || v.Status.Reason != state.NotReady {
			t.Errorf("status %+v", v.Status)
		}
		w.wantAllocated(mib)
		w.publishes.growErr = nil
		resize(3 * mib)
		if v := w.get("a"); v.Status.CapacityBytes != 3*mib || v.Status.Reason != "" {
			t.Errorf("status %+v", v.Status)
		}
		w.wantAllocated(3 * mib)
		w.delete("a")
		w.wantGone("a")
		w.wantAllocated(0)
	})
}
