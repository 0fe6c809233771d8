package agent

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

func TestPurgeIsTriedAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		var mu sync.Mutex
		var tries []time.Duration
		began := time.Now()
		w.intercept(func(b backend.Backend) backend.Backend {
			return &interceptor{Backend: b, purge: func(ctx context.Context, name string, progress func(int)) error {
				mu.Lock()
				defer mu.Unlock()
				if strings.HasPrefix(name, "a.") {
					if tries = append(tries, time.Since(began)); len(tries) <= 2 {
						return unix.EBUSY
					}
				}
				return b.Purge(ctx, name, progress)
			}}
		})
		w.create("a", mib)
		w.create("b", mib)
		w.delete("a")
		if got := w.names(".trash"); len(got) != 1 {
			w.Errorf(".trash holds %v", got)
		}
		w.pass(3 * purgeRetry)
		w.wantDisk("b")
		if len(tries) != 3 || tries[2]-tries[1] > purgeRetry+time.Second {
			w.Errorf("tried at %v, want three times, a minute apart", tries)
		}
	})
}

// TestPurgeGoesOn: one entry that cannot be removed does not keep the others.
func TestPurgeGoesOn(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		for _, id := range []string{"a", "b", "c"} {
			w.create(id, mib)
		}
		w.write("volumes", "b")
		at := w.mkdir("volumes", "b", "mnt")
		w.must(unix.Mount("tmpfs", at, "tmpfs", 0, ""))
		for _, id := range []string{"a", "b", "c"} {
			w.delete(id)
		}
		left := w.names(".trash")
		if len(left) != 1 || !strings.HasPrefix(left[0], "b.") {
			w.Fatalf(".trash holds %v, want only b", left)
		}
		w.must(unix.Unmount(filepath.Join(w.in(".trash", left[0]), "mnt"), 0))
		w.pass(purgeRetry)
		w.wantDisk()
	})
}

// TestTrashIsPurgedAtStart goes on with what an earlier process left.
func TestTrashIsPurgedAtStart(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.stop()
		for _, name := range []string{"a.1", "a.1.again1", "b.2.17"} {
			w.write(filepath.Dir(w.rel(w.mkdir(".trash", name, "x"))))
		}
		w.start()
		w.wantDisk()
	})
}

func (w *world) rel(path string) string {
	rel, err := filepath.Rel(w.in(), path)
	w.must(err)
	return rel
}

// TestTrashIsKeptUntilTheRecordSays: as long as the record says Ready, the entry in
// the trash is what tells a start after a crash that the volume was deleted.
func TestTrashIsKeptUntilTheRecordSays(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		v := w.create("a", mib)
		w.write("volumes", "a")
		w.volumes.mu.Lock()
		w.volumes.fail = func(call, _ string) error {
			if call == "UpdateStatus" {
				return state.Errorf(state.Unavailable, "the store is broken")
			}
			return nil
		}
		w.volumes.mu.Unlock()
		w.delete("a")
		w.pass(3 * purgeRetry)
		if got := w.names(".trash"); !slices.Equal(got, []string{backend.PassingName(v)}) {
			w.Errorf(".trash holds %v", got)
		}
		w.stop()
		w.volumes.fail = nil
		w.start()
		w.wantGone("a")
		w.wantDisk()
	})
}
