package crash

import (
	"strings"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
)

// life is every operation on a volume, in the order in which a CO asks for them.
var life = []string{"create", "publish", "write", "expand", "unpublish", "delete"}

// deed is what is being done when the driver is killed.
type deed struct {
	// before is what was answered before; during is what is cut short, from its
	// first operation on.
	before, during string
	// at is where the driver is killed: "NAME" or "NAME:N".
	at []string
	// undone: a creation that is not asked for again leaves nothing.
	undone bool
	// block: it is done to a block volume.
	block bool
	// named: it is done to a volume that is named after its claim.
	named bool
}

func names(steps ...crash.Name) (all []string) {
	for _, s := range steps {
		all = append(all, string(s))
	}
	return all
}

var deeds = []deed{
	{during: "create", undone: true, at: names(crash.CreateRecorded, crash.CreateMade, crash.CreateLabelled, crash.CreateSynced, crash.CreateCommitting)},
	{during: "create", at: names(crash.CreateCommitted, crash.CreatePlaced)},
	{before: "create", during: "publish", at: names(crash.PublishChecked, crash.PublishMounted)},
	{before: "create publish write", during: "expand", at: names(crash.ExpandRecorded, crash.ExpandResized, crash.ExpandCommitted)},
	{before: "create publish write", during: "unpublish", at: names(crash.UnpublishDetach, crash.UnpublishRemoved)},
	{before: "create publish write unpublish", during: "delete",
		at: append(names(crash.DeleteRecorded, crash.DeleteRenamed, crash.DeleteCommitted, crash.DeleteSynced, crash.DeleteFinalized, crash.PurgeStarted), nth(crash.PurgeStarted, 7))},
	{before: "create", during: "delete", at: names(crash.DeleteRenamed, crash.DeleteSynced, crash.PurgeStarted)},
	{block: true, during: "create", undone: true, at: names(crash.CreateMade, crash.CreateLabelled, crash.CreateSynced)},
	{block: true, during: "create", at: names(crash.CreateCommitted, crash.CreatePlaced)},
	{block: true, before: "create", during: "publish", at: names(crash.PublishChecked, crash.PublishAttached, crash.PublishMounted)},
	{block: true, before: "create publish write", during: "expand", at: names(crash.ExpandRecorded, crash.ExpandResized, crash.ExpandGrown, crash.ExpandCommitted)},
	{block: true, before: "create publish write", during: "unpublish", at: names(crash.UnpublishDetach, crash.UnpublishFreed, crash.UnpublishRemoved)},
	{block: true, before: "create publish write unpublish", during: "delete", at: names(crash.DeleteRenamed, crash.DeleteCommitted, crash.DeleteSynced, crash.PurgeStarted)},
	{during: "create publish write expand unpublish delete", at: []string{nth(crash.StoreCommitted, 1), nth(crash.StoreCommitted, 2),
		nth(crash.StoreCommitted, 3), nth(crash.StoreCommitted, 4)}},
}

// TestKilledAtEveryStep kills the driver between every two durable steps. Whatever
// was answered is there at the next start; whatever was not can be asked for again;
// whoever does not ask again finds no half of it; and once all is deleted, nothing
// is left.
func TestKilledAtEveryStep(t *testing.T) {
	reached := map[crash.Name]bool{crash.PoolMarked: true} // TestKilledAtItsFirstStart
	for _, d := range deeds {
		for _, at := range d.at {
			name, _, _ := strings.Cut(at, ":")
			reached[crash.Name(name)] = true
			during, _, _ := strings.Cut(d.during, " ")
			for _, again := range []bool{true, false} {
				how := "asked again"
				if !again {
					how = "not asked again"
				}
				what := during
				if d.block {
					what += " of a block volume"
				}
				t.Run(what+" at "+at+" after "+d.before+", "+how, func(t *testing.T) {
					t.Parallel()
					killed(t, d, at, again)
				})
			}
		}
	}
	for _, step := range archiveSteps { // TestKilledWhileADeletedVolumeIsArchived, ...Scrubbed
		reached[step] = true
	}
	for _, step := range adoptSteps { // TestKilledWhileADirectoryBecomesAVolume
		reached[step] = true
	}
	for _, step := range append(restoreSteps, expireSteps...) { // TestKilledWhileAVolumeComesBackFromTheArchive, ...IsPurgedFromTheArchive
		reached[step] = true
	}
	for _, step := range orphanSteps { // TestKilledWhileAnOrphanIsRemoved
		reached[step] = true
	}
	for _, step := range claimsSteps { // TestKilledWithAVolumeThatIsNamedAfterItsClaim
		reached[step] = true
	}
	for _, step := range emptySteps { // TestKilledWhileAVolumeIsEmptied
		reached[step] = true
	}
	for _, step := range diskSteps { // TestKilledWhileItMakesADisk, TestKilledWhileItGrowsADisk
		reached[step] = true
	}
	for _, d := range copyDeeds { // TestKilledAtEveryStepOfACopy
		for _, at := range d.at {
			name, _, _ := strings.Cut(at, ":")
			reached[crash.Name(name)] = true
		}
	}
	for _, at := range ephemeralSteps { // TestKilledWhileAPodHasAVolume
		name, _, _ := strings.Cut(at, ":")
		reached[crash.Name(name)] = true
	}
	reached[crash.SnapshotCopying] = true // TestKilledWhileItCopiesASnapshotThatWasToldOf
	for _, step := range crash.Steps() {
		if !reached[step] {
			t.Errorf("no test kills the driver at step %s", step)
		}
	}
}

func killed(t *testing.T, d deed, at string, again bool) {
	w := newWorld(t)
	w.start(t)
	free := w.free(t)
	bystander, v := w.volume("bystander"), w.volume("victim")
	bystander.block, v.block = d.block, d.block
	bystander.named, v.named = d.named, d.named
	w.must(t, bystander, "create", "publish", "write", "expand")
	w.must(t, v, strings.Fields(d.before)...)
	w.d.Kill()

	doomed := w.startDoomed(t, at)
	cut := ""
	for _, o := range strings.Fields(d.during) {
		if err := v.do(doomed, o); err != nil {
			cut = o
			break
		}
	}
	awaitDeath(t, doomed, at)

	w.start(t)
	w.check(t)
	if d.undone && v.exists != no {
		t.Fatalf("a creation that was killed at %s, and not asked for again, left a volume", at)
	}
	if again {
		if cut != "" {
			w.must(t, v, cut)
			w.check(t)
		}
		// Whatever comes next works as if nothing had been.
		switch v.exists {
		case no:
			w.must(t, v, life...)
		default:
			w.must(t, v, "publish", "write", "expand")
		}
		w.check(t)
	}
	w.end(t)
	w.isFree(t, free)
}

// TestKilledAtItsFirstStart kills a driver that has marked a new pool, but not yet
// put the marker in its place.
func TestKilledAtItsFirstStart(t *testing.T) {
	w := newWorld(t)
	awaitDeath(t, w.launchDoomed(t, string(crash.PoolMarked)), string(crash.PoolMarked))
	w.start(t)
	w.check(t)
	free := w.free(t)
	w.must(t, w.volume("first"), "create", "publish", "write")
	w.check(t)
	w.end(t)
	w.isFree(t, free)
}

// TestADeletionThatIsRefusedAndKilledKeepsTheVolume kills the driver while it finds
// out that a volume may not be deleted, since it is in use. The volume stays listed,
// published and whole, also if nobody asks again, and does not vanish when it is
// unpublished later.
func TestADeletionThatIsRefusedAndKilledKeepsTheVolume(t *testing.T) {
	// The commits: the refusal, and the deletion being taken back.
	for _, at := range []string{string(crash.DeleteRecorded), nth(crash.StoreCommitted, 1), nth(crash.StoreCommitted, 2)} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.start(t)
			free := w.free(t)
			v := w.volume("used")
			w.must(t, v, "create", "publish", "write")
			w.d.Kill()

			doomed := w.startDoomed(t, at)
			if err := doomed.Delete(v.name); err == nil {
				t.Fatal("a volume in use was deleted")
			}
			awaitDeath(t, doomed, at)
			w.start(t)
			w.check(t)
			w.must(t, v, "unpublish")
			w.check(t)
			w.d.Kill()
			w.start(t)
			w.check(t)
			w.must(t, v, "publish", "write")
			w.end(t)
			w.isFree(t, free)
		})
	}
}
