package mount

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// TestRefusals: what is in a target's way is refused by Publish, left alone by
// Unpublish, and not touched by either.
func TestRefusals(t *testing.T) {
	w := newWorld(t)
	a := w.volume("a")
	elsewhere := w.mkdir(w.target("elsewhere"))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Symlink(elsewhere, w.target("link")))
	must(os.Symlink(w.target("nowhere"), w.target("dangling")))
	must(os.WriteFile(w.target("file"), []byte("x"), 0o600))
	must(unix.Mkfifo(w.target("fifo"), 0o600))
	w.mkdir(w.target("full/sub"))
	w.mkdir(w.target("foreign"))
	w.mount("", w.target("foreign"), "tmpfs", 0) // no source: such lines are in the list, too

	for name, want := range map[string]state.Reason{
		"link":             state.Invalid,
		"dangling":         state.Invalid,
		"link/sub":         state.Invalid,
		"link/sub/sub":     state.Invalid,
		"dangling/sub":     state.Invalid,
		"file":             state.Invalid,
		"file/sub":         state.Invalid,
		"fifo":             state.Invalid,
		"full":             state.InUse,
		"foreign":          state.InUse,
		"new/../elsewhere": state.Invalid,
	} {
		target := w.targets + "/" + name
		before := tree(t, w.targets)
		err := w.publish("a", a, target)
		wantReason(t, err, want)
		if err != nil && !strings.Contains(err.Error(), "target_path") {
			t.Errorf("%v; want it to name the field", err)
		}
		if is, err := w.table.IsPublishedAt("a", target, a); is || err != nil && name != "new/../elsewhere" {
			t.Errorf("%s: published: %v, %v", name, is, err)
		}
		if name != "new/../elsewhere" {
			for _, source := range []*os.File{a, nil} {
				w.unpublish("a", source, target)
			}
		}
		if after := tree(t, w.targets); !slices.Equal(before, after) {
			t.Errorf("%s: %v became %v", name, before, after)
		}
	}
	if mountsAt(t, w.target("foreign")) != 1 {
		t.Error("the foreign mount is gone, or has another above it")
	}
	w.load() // it survives the mount without a source
	for _, target := range []string{w.pool, filepath.Join(w.pool, "volumes/b"), filepath.Join(w.pool, "volumes/a/sub")} {
		wantReason(t, w.publish("a", a, target), state.Invalid)
		wantReason(t, w.table.Unpublish(context.Background(), "a", a, target), state.Invalid)
	}
}

func tree(t *testing.T, root string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		all = append(all, path+" "+d.Type().String())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A mount that fails, after all its directories were made, leaves none of them.
func TestFailureLeavesNothing(t *testing.T) {
	w := newWorld(t)
	a := w.volume("a")
	if err := os.Mkdir(w.target("given"), 0o755); err != nil {
		t.Fatal(err)
	}
	w.table.kernel = failing{linux{}}
	before := tree(t, w.targets)
	wantReason(t, w.publish("a", a, w.target("given/new/er/x")), state.NotReady)
	wantReason(t, w.publish("a", a, w.target("given")), state.NotReady)
	if after := tree(t, w.targets); !slices.Equal(before, after) || w.table.Len() != 0 {
		t.Errorf("%v became %v", before, after)
	}
}

// failing is the kernel with no room for mounts.
type failing struct{ kernel }

func (k failing) open(target string, create kind) (place, error) {
	p, err := k.kernel.open(target, create)
	return failingPlace{p}, err
}

type failingPlace struct{ place }

func (failingPlace) attach(*os.File, Options) error { return unix.ENOSPC }

func TestBusyTarget(t *testing.T) {
	w := newWorld(t)
	a := w.volume("a")
	target := w.target("x")
	wantReason(t, w.publish("a", a, target), "")
	f, err := os.Create(filepath.Join(target, "open"))
	if err != nil {
		t.Fatal(err)
	}
	wantReason(t, w.table.Unpublish(context.Background(), "a", a, target), state.InUse)
	if mountsAt(t, target) != 1 || w.table.Len() != 1 {
		t.Error("it was unmounted while in use, or forgotten")
	}
	f.Close()
	w.unpublish("a", a, target)
}

func TestExclusive(t *testing.T) {
	w := newWorld(t)
	a := w.volume("a")
	ctx := context.Background()
	x, y := w.target("x"), w.target("y")
	publish := func(target string, exclusive bool) error {
		return w.table.Publish(ctx, "a", a, target, Options{}, exclusive)
	}
	wantReason(t, publish(x, true), "")
	wantReason(t, publish(x, true), "")
	for _, exclusive := range []bool{true, false} {
		err := publish(y, exclusive)
		wantReason(t, err, state.InUse)
		if err != nil && !strings.Contains(err.Error(), x) || exists(y) {
			t.Errorf("%v; want it to name %s, and no %s", err, x, y)
		}
	}
	// Unmounted by hand, it counts no more.
	if err := unix.Unmount(x, 0); err != nil {
		t.Fatal(err)
	}
	wantReason(t, publish(y, true), "")
	if err := unix.Unmount(y, 0); err != nil {
		t.Fatal(err)
	}
	wantReason(t, publish(y, false), "")
	wantReason(t, publish(x, false), "")
	wantReason(t, publish(y, false), "")
	w.load()
	wantReason(t, publish(x, true), state.InUse)
	w.unpublish("a", a, x)
	w.unpublish("a", a, y)
}
