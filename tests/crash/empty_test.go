package crash

import (
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/pkg/state/pebble"
	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

// emptySteps are those that only volumes come to which are emptied for another claim.
var emptySteps = []crash.Name{crash.EmptyRecorded, crash.EmptySynced}

// TestKilledWhileAVolumeIsEmptied kills the driver while it removes what a claim has left in
// its volume. The next goes on until it is gone, and removes nothing of what comes later.
func TestKilledWhileAVolumeIsEmptied(t *testing.T) {
	for _, c := range []struct {
		what, onDelete string
		block          bool
		at             []string
	}{
		{at: append(names(crash.EmptyRecorded, crash.EmptySynced, crash.PurgeStarted), nth(crash.PurgeStarted, 7))},
		{what: " that is overwritten first", onDelete: "scrub", at: append(names(crash.PurgeScrubbing, crash.PurgeStarted, crash.EmptySynced), nth(crash.PurgeScrubbing, 7))},
		{what: " of a block volume", block: true, at: names(crash.EmptyRecorded, crash.EmptySynced)},
		{what: " of a block volume that is overwritten first", block: true, onDelete: "scrub", at: names(crash.EmptyRecorded, crash.EmptySynced)},
	} {
		for _, at := range c.at {
			t.Run(at+c.what, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				w.start(t)
				free := w.free(t)
				bystander, v := w.volume("bystander"), w.volume("victim")
				bystander.block, v.block = c.block, c.block
				v.onDelete = c.onDelete
				w.must(t, bystander, "create", "publish", "write")
				w.must(t, v, "create", "publish", "write", "expand", "unpublish")
				w.d.Kill()
				w.withRecords(t, func(records state.Store) error {
					_, err := records.Volumes().UpdateSpec(t.Context(), v.name, func(s *state.VolumeSpec) error { s.EmptyFor = "claim"; return nil })
					return err
				})
				awaitDeath(t, w.launchDoomed(t, at), at)

				w.start(t)
				v.data = ""
				process.Eventually(t, "the volume is empty, and can be published", func() error { return v.do(w.d, "publish") })
				w.check(t)
				w.must(t, v, "write")
				w.d.Kill()
				w.withRecords(t, func(records state.Store) error {
					now, err := records.Volumes().Get(t.Context(), v.name)
					if err == nil && now.Status.EmptiedFor != "claim" {
						t.Errorf("its status is %+v", now.Status)
					}
					return err
				})
				w.start(t)
				w.check(t)
				w.end(t)
				w.isFree(t, free)
			})
		}
	}
}

// withRecords has something done to the records while no driver runs, as a controller of
// its own would.
func (w *world) withRecords(t testing.TB, do func(records state.Store) error) {
	t.Helper()
	records, err := pebble.Open(w.d.StateDir(), pebble.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := do(records); err != nil {
		t.Error(err)
	}
	if err := records.Close(); err != nil {
		t.Fatal(err)
	}
}
