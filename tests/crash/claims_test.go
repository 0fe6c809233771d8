package crash

import (
	"io/fs"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
)

// claimsSteps are those that only volumes which are named after their claims come to.
var claimsSteps = []crash.Name{crash.ClaimsMade, crash.ClaimsPruned}

// way leads to a volume that is named after its claim.
func (v *volume) way() string { return filepath.Join("claims", "shop-"+v.name) }

// TestKilledWithAVolumeThatIsNamedAfterItsClaim kills the driver at every step of such a
// volume's life: its place is found again, and nothing is left on the way to it.
func TestKilledWithAVolumeThatIsNamedAfterItsClaim(t *testing.T) {
	for _, d := range []deed{
		{during: "create", undone: true, at: names(crash.ClaimsMade, crash.CreateMade, crash.CreateLabelled, crash.CreateSynced, crash.CreateCommitting)},
		{during: "create", at: names(crash.CreateCommitted, crash.CreatePlaced)},
		{before: "create", during: "publish", at: names(crash.PublishMounted)},
		{before: "create publish write", during: "expand", at: names(crash.ExpandResized)},
		{before: "create publish write unpublish", during: "delete",
			at: names(crash.DeleteRecorded, crash.DeleteRenamed, crash.ClaimsPruned, crash.DeleteCommitted, crash.DeleteSynced, crash.DeleteFinalized, crash.PurgeStarted)},
	} {
		for _, at := range d.at {
			for how, again := range map[string]bool{"asked again": true, "not asked again": false} {
				t.Run(d.during+" at "+at+", "+how, func(t *testing.T) {
					t.Parallel()
					killed(t, d.claimed(), at, again)
				})
			}
		}
	}
}

// claimed has the deed done to a volume that is named after its claim.
func (d deed) claimed() deed {
	d.named = true
	return d
}

// compareClaims tells what claims/ is to hold, which is the volumes that are named after
// their claims, and the way to each, and what it holds.
func (w *world) compareClaims(t testing.TB) (want, got []string) {
	t.Helper()
	root := filepath.Join(w.d.PoolDir(), "claims")
	want = []string{"."}
	for _, v := range w.volumes {
		if v.exists == yes && v.named {
			way, err := filepath.Rel("claims", v.way())
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, way, filepath.Join(way, "data="+v.name))
		}
	}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		at, err := filepath.Rel(root, path)
		got = append(got, at)
		if filepath.Dir(at) != "." {
			return fs.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	slices.Sort(got)
	return want, got
}
