package crash

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
)

// TestKilledAgainDuringRecovery kills the driver, and once more while it mends what
// the first time left. The third start finds all right.
func TestKilledAgainDuringRecovery(t *testing.T) {
	for _, c := range []struct {
		before, during string
		first, second  string
	}{
		{"", "create", string(crash.CreateMade), string(crash.PurgeStarted)},
		{"create publish write", "expand", string(crash.ExpandRecorded), string(crash.ExpandRecorded)},
		{"create publish write", "expand", string(crash.ExpandRecorded), string(crash.ExpandResized)},
		{"create publish write", "expand", string(crash.ExpandRecorded), string(crash.StoreCommitted)},
		{"create publish write", "expand", string(crash.ExpandResized), string(crash.ExpandCommitted)},
		{"create publish write unpublish", "delete", string(crash.DeleteRenamed), string(crash.DeleteSynced)},
		{"create publish write unpublish", "delete", string(crash.DeleteCommitted), string(crash.DeleteFinalized)},
		{"create publish write unpublish", "delete", string(crash.DeleteSynced), string(crash.DeleteSynced)},
		{"create publish write unpublish", "delete", string(crash.DeleteCommitted), nth(crash.PurgeStarted, 4)},
		{"create publish write unpublish", "delete", nth(crash.PurgeStarted, 3), nth(crash.PurgeStarted, 3)},
	} {
		t.Run(c.first+" then "+c.second, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.start(t)
			free := w.free(t)
			v := w.volume("victim")
			w.must(t, w.volume("bystander"), "create", "publish", "write", "expand")
			w.must(t, v, strings.Fields(c.before)...)
			w.d.Kill()
			doomed := w.startDoomed(t, c.first)
			_ = v.do(doomed, c.during)
			awaitDeath(t, doomed, c.first)
			awaitDeath(t, w.launchDoomed(t, c.second), c.second)

			w.start(t)
			w.check(t)
			if v.exists == no {
				w.must(t, v, "create")
			}
			w.must(t, v, "publish", "write", "expand")
			w.check(t)
			w.end(t)
			w.isFree(t, free)
		})
	}
}

// TestKilledWhileItUndoesCreations kills the driver amid many creations, and again
// at the first that the next start undoes.
func TestKilledWhileItUndoesCreations(t *testing.T) {
	t.Parallel()
	// A creation's first record becomes durable only with another's commit. That
	// happens to some of many, nearly always.
	for range 10 {
		w := newWorldOnDisk(t)
		amidMany(t, w, "create", nth(crash.CreateCommitted, 1))
		doomed := w.launchDoomed(t, string(crash.DeleteRenamed))
		undone := doomed.AwaitServing() != nil
		if undone {
			awaitDeath(t, doomed, string(crash.DeleteRenamed))
		} else {
			doomed.Kill()
		}
		w.start(t)
		w.check(t)
		w.end(t)
		if undone {
			return
		}
	}
	t.Fatal("no creation ever had to be undone")
}

// TestKilledAmidManyDeletions kills the driver while many volumes are being deleted
// at once. Each of those that were not answered is gone, or there as it was.
func TestKilledAmidManyDeletions(t *testing.T) {
	for _, at := range []string{nth(crash.DeleteRenamed, 5), nth(crash.StoreCommitted, 3), nth(crash.DeleteCommitted, 9),
		nth(crash.DeleteFinalized, 1), nth(crash.PurgeStarted, 1), nth(crash.PurgeStarted, 6), nth(crash.PurgeStarted, 12)} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.start(t)
			free := w.free(t)
			for i := range many {
				w.must(t, w.volume(fmt.Sprint("volume-", i)), "create")
			}
			w.d.Kill()
			amidMany(t, w, "delete", at)
			w.start(t)
			w.check(t)
			w.end(t)
			w.isFree(t, free)
		})
	}
}

const many = 24

// amidMany asks for an operation on many volumes at once, of a driver that will kill
// itself.
func amidMany(t *testing.T, w *world, operation, at string) {
	t.Helper()
	doomed := w.startDoomed(t, at)
	var all sync.WaitGroup
	for i := range many {
		v := w.volume(fmt.Sprint("volume-", i))
		all.Go(func() { _ = v.do(doomed, operation) })
	}
	all.Wait()
	awaitDeath(t, doomed, at)
}
