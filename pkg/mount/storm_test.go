package mount

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/moby/sys/mountinfo"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// TestStorm lets many publish and unpublish the same few volumes at the same few
// targets, on the real kernel. Whatever the order: no mount is ever stacked, the
// table is what the kernel has, and nothing but the known conflicts is answered.
func TestStorm(t *testing.T) {
	w := newWorld(t)
	sources := map[string]*os.File{}
	ids := []string{"a", "b", "c"}
	for _, id := range ids {
		sources[id] = w.volume(id)
	}
	// Two of them share parents that come and go when publishes fail.
	targets := []string{w.target("x"), w.target("deep/er/y"), w.target("deep/er/z")}
	ctx := context.Background()
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(g)))
			for range 200 {
				id, target := ids[r.IntN(len(ids))], targets[r.IntN(len(targets))]
				var err error
				allowed := []state.Reason{""}
				switch r.IntN(5) {
				case 0, 1:
					err = w.table.Publish(ctx, id, sources[id], target, Options{ReadOnly: r.IntN(4) == 0}, r.IntN(3) == 0)
					allowed = append(allowed, state.InUse, state.AlreadyExists, state.Busy) // Busy: retired
				case 2, 3:
					source := sources[id]
					if r.IntN(2) == 0 {
						source = nil
					}
					err = w.table.Unpublish(ctx, id, source, target)
				case 4:
					var release func()
					release, err = w.table.Retire(id)
					allowed = append(allowed, state.InUse, state.Busy)
					if err == nil {
						if mounted := mountsOf(t, w.pool, id); len(mounted) > 0 {
							t.Errorf("%s was retired while mounted at %v", id, mounted)
						}
						release()
					}
				}
				if !slices.Contains(allowed, state.ReasonOf(err)) {
					t.Errorf("%s at %s: %v", id, target, err)
				}
			}
		})
	}
	all.Wait()
	var kernel []Published
	for _, id := range ids {
		for _, target := range mountsOf(t, w.pool, id) {
			kernel = append(kernel, Published{id, target})
		}
	}
	if got := w.table.All(); !slices.Equal(got, kernel) {
		t.Errorf("the table has %v, the kernel %v", got, kernel)
	}
	for _, target := range targets {
		if n := mountsAt(t, target); n > 1 {
			t.Errorf("%d mounts are stacked at %s", n, target)
		}
		for _, id := range ids {
			w.unpublish(id, sources[id], target)
		}
		if mountsAt(t, target) != 0 || exists(target) {
			t.Errorf("%s is left", target)
		}
	}
}

// mountsOf lists where a volume is mounted, as the kernel says.
func mountsOf(t *testing.T, pool, id string) []string {
	mounts, err := mountinfo.GetMounts(nil)
	if err != nil {
		t.Error(err)
	}
	var all []string
	for _, m := range mounts {
		if m.FSType == "tmpfs" && m.Root == "/"+filepath.Base(pool)+"/volumes/"+id {
			all = append(all, m.Mountpoint)
		}
	}
	slices.Sort(all)
	return all
}

// TestParentsComeAndGo: publishes that fail remove the parents they made from
// under those that succeed, which make them again.
func TestParentsComeAndGo(t *testing.T) {
	w := newWorld(t)
	good := w.volume("good")
	bad, err := Load(nil, LoadOptions{kernel: failing{linux{}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			id, target := "bad", w.target(fmt.Sprintf("p/q/r/bad%d", g))
			table := bad
			if g%2 == 0 {
				id, target, table = "good", w.target(fmt.Sprintf("p/q/r/good%d", g)), w.table
			}
			for range 100 {
				err := table.Publish(ctx, id, good, target, Options{}, false)
				if id == "bad" {
					wantReason(t, err, state.NotReady)
					continue
				}
				wantReason(t, err, "")
				wantReason(t, table.Unpublish(ctx, id, good, target), "")
				_ = os.Remove(w.target("p/q/r"))
				_ = os.Remove(w.target("p/q"))
			}
		})
	}
	all.Wait()
}

// TestRetireOrPublish: of the two, at the same time, one wins.
func TestRetireOrPublish(t *testing.T) {
	w := newWorld(t)
	a := w.volume("a")
	target := w.target("x")
	ctx := context.Background()
	for range 100 {
		var published, retired error
		var release func()
		var both sync.WaitGroup
		both.Go(func() { published = w.table.Publish(ctx, "a", a, target, Options{}, false) })
		both.Go(func() { release, retired = w.table.Retire("a") })
		both.Wait()
		if (published == nil) == (retired == nil) {
			t.Fatalf("published: %v, retired: %v; want one of them", published, retired)
		}
		if retired == nil {
			wantReason(t, published, state.Busy)
			wantReason(t, w.table.Publish(ctx, "a", a, target, Options{}, false), state.Busy)
			_, again := w.table.Retire("a")
			wantReason(t, again, state.Busy)
			release()
		}
		w.unpublish("a", a, target)
	}
}
