package agent

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

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

// removing is a backend whose archive is purged by hand while it is copied from.
type removing struct{ backend.Backend }

func (r removing) BuildFrom(ctx context.Context, v state.Volume, from *os.File, progress func(state.Progress)) error {
	if err := r.Expire(v.Spec.Source.ID); err != nil {
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
