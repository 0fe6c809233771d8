package agent

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// archived makes a volume with data, deletes it, and returns its name in the archive.
func (w *world) archived(id string) string {
	w.Helper()
	w.createToBe(id, state.OnDeleteArchive)
	w.write("volumes", id)
	w.delete(id)
	names := w.names("archive")
	if len(names) != 1 {
		w.Fatalf("the archive holds %q", names)
	}
	return names[0]
}

// bringBack asks for a volume with the contents of one in the archive.
func (w *world) bringBack(id, name string, bytes int64) state.Volume {
	w.Helper()
	s := spec(id, bytes)
	s.Source = &state.Source{Kind: state.FromArchive, ID: name}
	_, err := w.volumes.Create(w.Context(), id, s)
	w.must(err)
	w.settle()
	return w.get(id)
}

func TestAnArchivedVolumeIsBroughtBackAndTheArchiveKeepsItsOwn(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		name := w.archived("a")
		v := w.bringBack("a", name, mib)
		if v.Status.Phase != state.Ready {
			t.Fatalf("it is %+v", v.Status)
		}
		w.wantData("volumes", "a")
		w.wantData("archive", name)
		// It is a volume as any other: deleted, it goes its own way.
		w.delete("a")
		w.wantGone("a")
		w.wantData("archive", name)
		if v := w.bringBack("another-name", name, 2*mib); v.Status.Phase != state.Ready {
			t.Errorf("under another name, and larger, it is %+v", v.Status)
		}
	})
}

func TestWhatCannotBeBroughtBackSaysWhy(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		name := w.archived("a")
		w.must(os.Mkdir(filepath.Join(w.in(), "archive", "by-hand"), 0o700))
		for _, c := range []struct {
			name   string
			bytes  int64
			reason state.Reason
			says   string
		}{
			{"nosuch", mib, state.NotFound, `no "nosuch"`},
			{"by-hand", mib, state.NotFound, `no "by-hand"`},
			{"../volumes", mib, state.Invalid, "../volumes"},
			{name, mib / 2, state.OutOfRange, "and a copy no less"},
			{name, 10 * diskBytes, state.NoSpace, "has room for"},
		} {
			v := w.bringBack("b", c.name, c.bytes)
			if v.Status.Phase != state.Failed || v.Status.Reason != c.reason || !strings.Contains(v.Status.Message, c.says) {
				t.Errorf("of %q with %d bytes: %+v; want %s, %s", c.name, c.bytes, v.Status, c.reason, c.says)
			}
			w.delete("b")
		}
		w.wantData("archive", name)
	})
}

// comeBack asks for a volume that is made of one in the archive.
func (w *world) comeBack(id, name string, change func(*state.VolumeSpec)) state.Volume {
	w.Helper()
	s := spec(id, mib)
	s.Adopt = "archive/" + name
	if change != nil {
		change(&s)
	}
	_, err := w.volumes.Create(w.Context(), id, s)
	w.must(err)
	w.settle()
	return w.get(id)
}

func TestAnArchivedVolumeComesBackInPlaceWithItsRoom(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		name := w.archived("a")
		// There is room for nothing but what has it already.
		total := w.status().AvailableBytes
		w.wantPhase(w.create("large", total), state.Ready, "")
		w.wantPhase(w.comeBack("a", name, nil), state.Ready, "")
		for range 2 {
			w.wantData("volumes", "a")
			w.wantAllocated(total + mib)
			if names := w.names("archive"); len(names) > 0 {
				t.Errorf("the archive holds %q", names)
			}
			if got := w.status().AvailableBytes; got != 0 {
				t.Errorf("%d bytes can be promised", got)
			}
			w.restart()
		}
		w.delete("a")
		w.wantGone("a")
		w.delete("large")
		w.wantAllocated(0)
		if got := w.pool().archived; got != 0 {
			t.Errorf("once all is gone, the archive has %d bytes", got)
		}
	})
}

func TestWhatDoesNotComeBackStaysInTheArchiveWithItsRoom(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		name := w.archived("a")
		free := w.status().AvailableBytes
		w.must(os.Mkdir(filepath.Join(w.in(), "archive", "by-hand"), 0o700))
		w.mkdir("volumes/taken")
		for what, c := range map[string]struct {
			id, name string
			change   func(*state.VolumeSpec)
			reason   state.Reason
		}{
			"nothing":               {"b", "nosuch", nil, state.NotFound},
			"a directory of nobody": {"b", "by-hand", nil, state.NotFound},
			"a larger one":          {"b", name, func(s *state.VolumeSpec) { s.CapacityBytes *= 2 }, state.OutOfRange},
			"a smaller one":         {"b", name, func(s *state.VolumeSpec) { s.CapacityBytes /= 2 }, state.OutOfRange},
			"a device":              {"b", name, func(s *state.VolumeSpec) { s.AccessType = state.BlockAccess }, state.Incompatible},
			"a place that is taken": {"taken", name, nil, state.Defect},
		} {
			v := w.comeBack(c.id, c.name, c.change)
			if v.Status.Phase != state.Failed || v.Status.Reason != c.reason {
				t.Errorf("%s: %+v; want %s", what, v.Status, c.reason)
			}
			w.delete(c.id)
			w.wantData("archive", name)
			w.wantAllocated(0)
			w.pass(2 * purgeRetry) // the archive is counted anew
			if got := w.status().AvailableBytes; got != free {
				t.Errorf("%s: %d bytes can be promised, and %d could before", what, got, free)
			}
		}
		w.wantPhase(w.comeBack("b", name, nil), state.Ready, "")
	})
}

func TestAVolumeThatWasNotAnsweredForIsInTheArchiveAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		name := w.archived("a")
		w.stop()
		s := spec("b", mib)
		s.Adopt = "archive/" + name
		v, err := w.volumes.Create(w.Context(), "b", s)
		w.must(err)
		b, err := openBackend(PoolOptions{Path: w.in()})
		w.must(err)
		w.must(b.Adopt(w.Context(), v, func(*state.Meta) error { return nil }))
		w.must(b.Close())
		w.start()
		_, err = w.volumes.Get(w.Context(), "b")
		w.wantReason(state.NotFound, err)
		w.wantData("archive", name)
		w.must(w.agent.PurgeArchived(w.Context(), "default", name))
		w.settle()
		if names := w.names("archive"); len(names) > 0 {
			t.Errorf("the archive holds %q", names)
		}
		w.wantDisk()
	})
}

// TestWhatIsAboutToComeBackIsNotRemoved: neither by hand nor because its time is over, nor is it
// given to another. A promise to a volume whose record is gone does not count.
func TestWhatIsAboutToComeBackIsNotRemoved(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.agent.Configure(w.Context(), []PoolOptions{{Name: "default", Path: w.in(), ArchiveRetention: time.Hour}})
		name := w.archived("a")
		first := w.declareClaimed("first") // stands for one that is being made: its place is free
		w.settle()
		first = w.get("first")
		first.Spec.Path, first.Spec.Adopt = "", "archive/"+name
		w.must(w.pool().b.Adopt(w.Context(), first, func(*state.Meta) error { return nil }))
		w.wantReason(state.AlreadyExists, w.agent.PurgeArchived(w.Context(), "default", name))
		v := w.comeBack("second", name, nil)
		w.wantPhase(v, state.Failed, state.AlreadyExists)
		w.delete("second")
		w.pass(2 * time.Hour)
		w.wantData("archive", name)
		w.delete("first")
		w.pass(2 * purgeRetry)
		if names := w.names("archive"); len(names) > 0 {
			t.Errorf("after its time, the archive holds %q", names)
		}
		w.wantReason(state.NotFound, w.agent.PurgeArchived(w.Context(), "default", name))
	})
}

// TestRoomThatLeavesTheArchiveIsCountedOnce, also while the archive is counted anew.
func TestRoomThatLeavesTheArchiveIsCountedOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		name := w.archived("a")
		p := w.pool()
		want := func(when string, allocated, archived int64) {
			t.Helper()
			for range 2 {
				if p.allocated != allocated || p.archived != archived {
					t.Errorf("%s: %d bytes are allocated, and %d archived; want %d and %d", when, p.allocated, p.archived, allocated, archived)
				}
				p.countArchive(p.b)
			}
		}
		want("before", 0, mib)
		v := state.Volume{Meta: state.Meta{ID: "b"}, Spec: spec("b", mib)}
		stay, err := p.bringRoom(p.b, name, v)
		w.must(err)
		want("while it leaves", mib, 0)
		_, err = p.bringRoom(p.b, name, v)
		w.wantReason(state.AlreadyExists, err)
		stay()
		want("when it stays", 0, mib)
	})
}

// removing is a backend whose archive is purged by hand while it is copied from.
type removing struct{ backend.Backend }

func (r removing) BuildFrom(ctx context.Context, v state.Volume, from *os.File, progress func(state.Progress)) error {
	if err := r.Expire(v.Spec.Source.ID, nil); err != nil {
		return err
	}
	return r.Backend.BuildFrom(ctx, v, from, progress)
}

func TestWhatIsRemovedFromTheArchiveWhileItIsCopiedIsNotBroughtBackInPart(t *testing.T) {
	inWorld(t, func(w *world) {
		w.o.open = func(o PoolOptions) (backend.Backend, error) {
			b, err := openBackend(o)
			return removing{b}, err
		}
		w.start()
		name := w.archived("a")
		if v := w.bringBack("a", name, mib); v.Status.Phase != state.Failed || v.Status.Reason != state.NotFound {
			t.Errorf("it is %+v", v.Status)
		}
	})
}
