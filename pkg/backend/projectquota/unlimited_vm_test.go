//go:build quotavm

package projectquota

import (
	"path/filepath"
	"testing"
)

// A pool that is to set no limits does so though the filesystem could; a volume that has
// a limit keeps it, and it moves with its size.
func TestUnlimited(t *testing.T) {
	limitingFilesystems(t, 512<<20, func(t *testing.T, kind, at string) {
		path := filepath.Join(at, "pool")
		b := openNew(t, path, Options{})
		v, dir := b.create(t, volume("a", take(t, b), 8*mib))
		must(t, b.Close())

		b = openAgain(t, path, Options{Unlimited: true})
		if b.Features().EnforcesLimits {
			t.Error("it tells that limits are enforced")
		}
		v.Spec.CapacityBytes = 16 * mib
		must(t, b.Resize(t.Context(), v))
		if size, err := appendTo(filepath.Join(dir, "file"), 64*mib); err == nil || size < 16*mib || size > 16*mib+Allowance(16*mib) {
			t.Errorf("the volume that has a limit took %d bytes: %v", size, err)
		}
		_, free := b.create(t, volume("b", 0, mib))
		if size, err := appendTo(filepath.Join(free, "file"), 64*mib); err != nil {
			t.Errorf("a volume without a limit took %d bytes: %v", size, err)
		}
	})
}

func TestRangeOf(t *testing.T) {
	for _, c := range []struct{ first, last, count uint32 }{{1, 1, 1}, {100, 199, 100}} {
		if r := RangeOf(c.first, c.last); r.First != c.first || r.Count != c.count || r.Validate() != nil {
			t.Errorf("%d to %d are %+v", c.first, c.last, r)
		}
	}
	at := RangeOf(0, 0)
	if err := at.Validate(); err != nil {
		t.Errorf("the usual range: %v", err)
	}
}
