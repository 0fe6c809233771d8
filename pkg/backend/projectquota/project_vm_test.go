//go:build quotavm

package projectquota

import (
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/quota"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

func setProject(t *testing.T, path string, id uint32) {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	must(t, quota.SetProject(f, id))
}

func (b *Backend) quotaOf(t *testing.T, id uint32) quota.Usage {
	t.Helper()
	u, err := b.fs.Usage(id)
	must(t, err)
	return u
}

var five = Options{Range: quota.Range{First: 500, Count: 5}}

// TestReuse: an ID is given out again when nothing of its volume is left, not before.
func TestReuse(t *testing.T) {
	limitingFilesystems(t, 512<<20, func(t *testing.T, kind, at string) {
		b := openNew(t, filepath.Join(at, "pool"), Options{Range: quota.Range{First: 500, Count: 1}})
		for range 3 {
			id := take(t, b)
			v, dir := b.create(t, volume("a", id, mib))
			must(t, os.WriteFile(filepath.Join(dir, "file"), make([]byte, mib), 0o600))
			b.discard(t, v)
			must(t, b.QuotaIDs().Release(id))
			if u := b.quotaOf(t, id); u.MaxBytes != mib+Allowance(mib) || u.Inodes != 2 {
				t.Errorf("in the trash: %+v, want it limited and counted", u)
			}
			if _, err := b.QuotaIDs().Take(); state.ReasonOf(err) != state.NoSpace {
				t.Errorf("the only ID is in the trash: %v, want NoSpace", err)
			}
			reserved, err := b.ReservedIDs(t.Context())
			if paths := reserved[id]; err != nil || len(reserved) != 1 || len(paths) != 1 || paths[0] != filepath.Join(".trash", passing(v)) {
				t.Errorf("reserved: %v, %v", reserved, err)
			}
			held, err := os.Open(filepath.Join(b.Path(), ".trash", passing(v), "file"))
			must(t, err)
			b.purgeAll(t)
			if u := b.quotaOf(t, id); !u.Limited() || u.Inodes == 0 {
				t.Errorf("a deleted file is held open: %+v, want it limited still", u)
			}
			must(t, held.Close())
			until(t, "the limit is cleared", func() bool {
				must(t, b.ids.Retire(id))
				return !b.quotaOf(t, id).InUse()
			})
		}
	})
}

// TestSweep simulates crashes: after a purge, before the limit was cleared; while a
// volume was built.
func TestSweep(t *testing.T) {
	limitingFilesystems(t, 512<<20, func(t *testing.T, kind, at string) {
		b := openNew(t, filepath.Join(at, "pool"), five)
		purged, trashed, building, live := take(t, b), take(t, b), take(t, b), take(t, b)
		must(t, b.fs.SetLimit(purged, mib, 0))
		v, _ := b.create(t, volume("trashed", trashed, mib))
		b.discard(t, v)
		must(t, b.Build(t.Context(), volume("building", building, mib)))
		b.create(t, volume("live", live, mib))
		must(t, b.Close())

		b = openAgain(t, b.Path(), five)
		must(t, b.QuotaIDs().Hold(live))
		if n, err := b.Sweep(); n != 1 || err != nil {
			t.Errorf("swept %d, %v; want 1", n, err)
		}
		for id, limited := range map[uint32]bool{purged: false, trashed: true, building: true, live: true} {
			if got := b.quotaOf(t, id).Limited(); got != limited {
				t.Errorf("project %d is limited: %v", id, got)
			}
		}
		if a, z := take(t, b), take(t, b); a != purged || z != 504 {
			t.Errorf("took %d and %d, want %d and 504, which alone are free", a, z, purged)
		}
		must(t, b.DiscardLeaving(passing(volume("building", 0, 0))))
		b.purgeAll(t)
		for _, id := range []uint32{trashed, building} {
			until(t, "limits are cleared", func() bool {
				must(t, b.ids.Retire(id))
				return !b.quotaOf(t, id).InUse()
			})
		}
	})
}

// TestPurgeBelievesNoPod: a pod that gives its files the project of another volume does
// not take that volume's limit away.
func TestPurgeBelievesNoPod(t *testing.T) {
	limitingFilesystems(t, 512<<20, func(t *testing.T, kind, at string) {
		b := openNew(t, filepath.Join(at, "pool"), five)
		victim, own := take(t, b), take(t, b)
		b.create(t, volume("victim", victim, mib))
		must(t, b.fs.SetLimit(7, mib, 0)) // an administrator's, with no files yet
		for i, stolen := range []uint32{victim, 7} {
			v, dir := b.create(t, volume("v"+strconv.Itoa(i), own, mib))
			setProject(t, dir, stolen)
			b.discard(t, v)
			must(t, b.QuotaIDs().Release(own))
			b.purgeAll(t)
			if u := b.quotaOf(t, stolen); !u.Limited() {
				t.Errorf("project %d lost its limit: %+v", stolen, u)
			}
			if u := b.quotaOf(t, own); u.Limited() {
				t.Errorf("the volume is gone, its limit is not: %+v", u)
			}
			if id := take(t, b); id != own {
				t.Errorf("took %d, want %d again", id, own)
			}
		}
	})
}

// TestTwoPools of one filesystem never have one ID both.
func TestTwoPools(t *testing.T) {
	limitingFilesystems(t, 512<<20, func(t *testing.T, kind, at string) {
		a, b := openNew(t, filepath.Join(at, "a"), five), openNew(t, filepath.Join(at, "b"), five)
		seen := map[uint32]bool{}
		for i := range 4 {
			id := take(t, []*Backend{a, b}[i%2])
			if seen[id] {
				t.Errorf("project %d was given out twice", id)
			}
			seen[id] = true
		}
		// One is closed and opened again, as after a remount, with a volume's record.
		v, _ := a.create(t, volume("a", 500, mib))
		must(t, a.Close())
		a = openAgain(t, a.Path(), five)
		must(t, a.QuotaIDs().Hold(v.Status.QuotaID))
		if err := a.QuotaIDs().Hold(v.Status.QuotaID); state.ReasonOf(err) != state.Defect {
			t.Errorf("one ID, two records: %v, want Defect", err)
		}
		_, err := New(b.Pool, Options{Range: quota.DefaultRange})
		if state.ReasonOf(err) != state.Invalid {
			t.Errorf("two ranges for one filesystem: %v, want Invalid", err)
		}
		must(t, a.Close(), b.Close())
		if len(allocators.of) != 0 {
			t.Errorf("allocators are left: %v", allocators.of)
		}
	})
}

func TestThousandVolumes(t *testing.T) {
	limitingFilesystems(t, 512<<20, func(t *testing.T, kind, at string) {
		b := openNew(t, filepath.Join(at, "pool"), Options{})
		const volumes = 1000
		todo := make(chan int)
		var work sync.WaitGroup
		for range 16 {
			work.Go(func() {
				for i := range todo {
					id, err := b.QuotaIDs().Take()
					if err != nil {
						t.Error(err)
						return
					}
					v := volume("v"+strconv.Itoa(i), id, mib)
					if err := b.Build(t.Context(), v); err != nil {
						t.Error(err)
					}
					if _, err := b.Place(t.Context(), v); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for i := range volumes {
			todo <- i
		}
		close(todo)
		work.Wait()
		reserved, err := b.ReservedIDs(t.Context())
		if err != nil || len(reserved) != volumes {
			t.Errorf("%d volumes have %d projects, %v", volumes, len(reserved), err)
		}
		for id := range reserved {
			if u := b.quotaOf(t, id); u.Inodes != 1 || u.MaxBytes != mib+Allowance(mib) {
				t.Errorf("project %d: %+v", id, u)
			}
		}
	})
}
