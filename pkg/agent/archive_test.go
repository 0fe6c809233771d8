package agent

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// createToBe is create for a volume with onDelete.
func (w *world) createToBe(id string, what state.OnDelete) state.Volume {
	w.Helper()
	s := spec(id, mib)
	s.OnDelete = what
	_, err := w.volumes.Create(w.Context(), id, s)
	w.must(err)
	w.settle()
	return w.get(id)
}

func TestADeletedVolumeIsKeptInTheArchiveForAsLongAsItIsToBe(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		total := w.status().Usage.TotalBytes
		w.createToBe("a", state.OnDeleteArchive)
		w.write("volumes", "a")
		w.delete("a")
		w.wantGone("a")
		w.wantDisk()
		names := w.names("archive")
		if len(names) != 1 {
			t.Fatalf("the archive holds %q", names)
		}
		w.wantData("archive", names[0])
		if got := w.status().AvailableBytes; got > total-mib {
			t.Errorf("%d of %d bytes can be promised: those of the archive, too", got, total)
		}
		w.restart()
		if got := w.status().AvailableBytes; got > total-mib {
			t.Errorf("after a restart, %d of %d bytes can be promised", got, total)
		}
		w.agent.Configure(w.Context(), []PoolOptions{{Name: "default", Path: w.in(), ArchiveRetention: 24 * time.Hour}})
		w.pass(23 * time.Hour)
		w.wantData("archive", names[0])
		w.pass(2 * time.Hour)
		if names := w.names("archive"); len(names) > 0 {
			t.Errorf("after its time, the archive holds %q", names)
		}
		w.wantDisk()
		if got := w.status().AvailableBytes; got <= total-mib {
			t.Errorf("%d of %d bytes can be promised", got, total)
		}
	})
}

func TestAFateThatIsNotKnownKeepsTheVolume(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		var unreadable atomic.Bool
		unreadable.Store(true)
		w.intercept(func(b backend.Backend) backend.Backend { return &fateless{b, &unreadable} })
		w.createToBe("a", state.OnDeleteArchive)
		w.write("volumes", "a")
		w.delete("a")
		w.pass(2 * purgeRetry)
		if names := w.names(".trash"); len(names) != 1 {
			t.Fatalf("the trash holds %q", names)
		}
		unreadable.Store(false)
		w.pass(2 * purgeRetry)
		w.wantDisk()
		if names := w.names("archive"); len(names) != 1 {
			t.Errorf("the archive holds %q", names)
		}
	})
}

// fateless is a disk that cannot read.
type fateless struct {
	backend.Backend
	unreadable *atomic.Bool
}

func (f *fateless) Fate(entry string) (backend.Fate, error) {
	if f.unreadable.Load() {
		return backend.Fate{}, unix.EIO
	}
	return f.Backend.Fate(entry)
}

func TestAScrubbedVolumeIsOverwrittenAndThenRemoved(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		var did []string
		w.intercept(func(b backend.Backend) backend.Backend { return &noting{b, &did} })
		w.createToBe("a", state.OnDeleteScrub)
		w.createToBe("b", state.OnDeleteRemove)
		w.write("volumes", "a")
		w.delete("a")
		w.delete("b")
		w.wantDisk()
		if got := strings.Join(did, " "); got != "scrub purge purge" {
			t.Errorf("what was done is %q", got)
		}
	})
}

type noting struct {
	backend.Backend
	did *[]string
}

func (n *noting) Scrub(ctx context.Context, entry string, progress func(int)) error {
	*n.did = append(*n.did, "scrub")
	return n.Backend.Scrub(ctx, entry, progress)
}

func (n *noting) Purge(ctx context.Context, entry string, progress func(int)) error {
	*n.did = append(*n.did, "purge")
	return n.Backend.Purge(ctx, entry, progress)
}

func TestBtrfsOverwritesNothing(t *testing.T) {
	v := state.Volume{Spec: spec("a", mib)}
	v.Spec.OnDelete = state.OnDeleteScrub
	if err := checkOnDelete(v, backend.Features{Filesystem: "btrfs"}); state.ReasonOf(err) != state.Unsupported {
		t.Errorf("btrfs: %v", err)
	}
	if err := checkOnDelete(v, backend.Features{Filesystem: "xfs"}); err != nil {
		t.Errorf("XFS: %v", err)
	}
}
