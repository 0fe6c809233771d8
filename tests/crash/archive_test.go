package crash

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

// archiveSteps are those that only volumes with onDelete archive or scrub come to.
var archiveSteps = []crash.Name{crash.DeleteDoomed, crash.PurgeArchived, crash.PurgeScrubbing, crash.PurgeScrubbed}

// TestKilledWhileADeletedVolumeIsArchived kills the driver in a deletion. Once it was
// answered, the volume is in the archive, whole and once; before, it is a volume.
func TestKilledWhileADeletedVolumeIsArchived(t *testing.T) {
	for _, at := range []crash.Name{crash.DeleteRecorded, crash.DeleteDoomed, crash.DeleteRenamed, crash.DeleteCommitted, crash.DeleteSynced, crash.DeleteFinalized, crash.PurgeArchived} {
		t.Run(string(at), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			v := w.killedDeleting(t, "archive", string(at))
			archived := filepath.Join(w.d.PoolDir(), "archive")
			if v.exists == yes { // nobody was answered
				if entries, err := os.ReadDir(archived); err == nil && len(entries) > 0 {
					t.Errorf("a volume that is there is in the archive, too: %v", entries)
				}
			}
			w.must(t, v, "delete")
			w.check(t)
			process.Eventually(t, "the volume is in the archive, once", func() error {
				entries, err := os.ReadDir(archived)
				if err == nil && len(entries) != 1 {
					err = fmt.Errorf("%d entries", len(entries))
				}
				if err != nil {
					return err
				}
				return holds(filepath.Join(archived, entries[0].Name()), "written. ")
			})
		})
	}
}

// TestKilledWhileADeletedVolumeIsScrubbed kills the driver in a deletion: nothing is left.
func TestKilledWhileADeletedVolumeIsScrubbed(t *testing.T) {
	for _, at := range append(names(crash.DeleteRecorded, crash.DeleteDoomed, crash.DeleteRenamed, crash.DeleteCommitted, crash.DeleteSynced, crash.DeleteFinalized,
		crash.PurgeScrubbing, crash.PurgeScrubbed, crash.PurgeStarted), nth(crash.PurgeScrubbing, 7), nth(crash.PurgeStarted, 7)) {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			v := w.killedDeleting(t, "scrub", at)
			w.must(t, v, "delete")
			w.check(t)
			if _, err := os.Lstat(filepath.Join(w.d.PoolDir(), "archive")); !os.IsNotExist(err) {
				t.Errorf("there is an archive: %v", err)
			}
		})
	}
}

// TestACreationThatIsKilledIsNotArchived: nobody was told of the volume.
func TestACreationThatIsKilledIsNotArchived(t *testing.T) {
	w := newWorld(t)
	w.start(t)
	w.d.Kill()
	v := w.volume("victim")
	v.onDelete = "archive"
	doomed := w.startDoomed(t, string(crash.CreateLabelled))
	if err := v.do(doomed, "create"); err == nil {
		t.Fatal("it was created")
	}
	awaitDeath(t, doomed, string(crash.CreateLabelled))
	w.start(t)
	w.check(t)
	if _, err := os.Lstat(filepath.Join(w.d.PoolDir(), "archive")); !os.IsNotExist(err) {
		t.Errorf("there is an archive: %v", err)
	}
}

// killedDeleting makes a volume, kills the driver at a step of its deletion, and starts
// another.
func (w *world) killedDeleting(t *testing.T, onDelete, at string) *volume {
	t.Helper()
	w.start(t)
	v := w.volume("victim")
	v.onDelete = onDelete
	w.must(t, v, "create", "publish", "write", "unpublish")
	w.d.Kill()
	doomed := w.startDoomed(t, at)
	_ = v.do(doomed, "delete") // it may be answered
	awaitDeath(t, doomed, at)
	w.start(t)
	w.check(t)
	return v
}
