package mount

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// TestHiddenAndMoved: a publish that cannot be seen where it was made still keeps
// its volume from being deleted.
func TestHiddenAndMoved(t *testing.T) {
	w := newWorld(t)
	a, b := w.volume("a"), w.volume("b")
	hidden, moved := w.target("hidden"), w.target("parent/moved")
	wantReason(t, w.publish("a", a, hidden), "")
	w.mount("tmpfs", hidden, "tmpfs", 0)
	w.unpublish("a", a, hidden)
	wantReason(t, w.publish("b", b, moved), "")
	if err := os.Rename(w.target("parent"), w.target("renamed")); err != nil {
		t.Fatal(err)
	}
	w.unpublish("b", b, moved)
	for range 2 {
		for _, id := range []string{"a", "b"} {
			_, err := w.table.Retire(id)
			wantReason(t, err, state.InUse)
		}
		w.load()
	}
	w.unpublish("b", nil, w.target("renamed/moved"))
	if err := unix.Unmount(hidden, 0); err != nil {
		t.Fatal(err)
	}
	w.unpublish("a", nil, hidden)
	for _, id := range []string{"a", "b"} {
		release, err := w.table.Retire(id)
		wantReason(t, err, "")
		release()
	}
}

// TestBehindTheTable: mounts made after Load by someone else, one upon the other,
// are the volume's nevertheless.
func TestBehindTheTable(t *testing.T) {
	w := newWorld(t)
	a := w.volume("a")
	target := w.mkdir(w.target("x"))
	for range 3 {
		w.mount(filepath.Join(w.pool, "volumes/a"), target, "", unix.MS_BIND)
	}
	wantReason(t, w.publish("a", a, target), "")
	w.unpublish("b", nil, target)
	if n := mountsAt(t, target); n != 3 {
		t.Fatalf("%d mounts; want 3", n)
	}
	w.load()
	w.unpublish("a", nil, target)
	if mountsAt(t, target) != 0 || exists(target) {
		t.Error("something is left")
	}
}

func TestAddPool(t *testing.T) {
	w := newWorld(t)
	second := w.mkdir(w.target("disk2"))
	w.mount("tmpfs", second, "tmpfs", 0)
	alias := w.target("alias")
	if err := os.Symlink(second, alias); err != nil {
		t.Fatal(err)
	}
	volume := w.mkdir(filepath.Join(second, "volumes/z"))
	target := w.mkdir(w.target("x"))
	w.mount(volume, target, "", unix.MS_BIND)
	if w.table.Len() != 0 {
		t.Fatal("a publish of an unknown pool")
	}
	if err := w.table.AddPool("second", alias); err != nil {
		t.Fatal(err)
	}
	if got := w.table.Published("z"); !slices.Equal(got, []string{target}) {
		t.Errorf("found %v; want %s", got, target)
	}
	wantReason(t, w.table.AddPool("third", w.target("missing")), state.NotReady)
	w.unpublish("z", nil, target)
}

func TestTrustedRoot(t *testing.T) {
	w := newWorld(t)
	a := w.volume("a")
	real, link := w.mkdir(w.target("real")), w.target("link")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(w.targets, filepath.Join(real, "out")); err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(link, "pods/x")
	wantReason(t, w.publish("a", a, target), state.Invalid)
	var err error
	w.table, err = Load(map[string]string{"p": w.pool}, LoadOptions{TrustedRoots: []string{link + "/", w.target("not there")}})
	if err != nil {
		t.Fatal(err)
	}
	wantReason(t, w.publish("a", a, target), "")
	wantReason(t, w.publish("a", a, filepath.Join(link, "out/x")), state.Invalid)
	if got := w.table.Published("a"); !slices.Equal(got, []string{filepath.Join(real, "pods/x")}) {
		t.Errorf("published are %v", got)
	}
	wantReason(t, w.publish("a", a, filepath.Join(real, "pods/x")), "")
	if is, err := w.table.IsPublishedAt("a", target, a); err != nil || !is {
		t.Errorf("published: %v, %v", is, err)
	}
	w.unpublish("a", a, target)
	if exists(target) || w.table.Len() != 0 {
		t.Error("something is left")
	}
}

// TestSharedParent: where the targets' parent is visible twice, one publish is two
// mounts, but counts once; and what is mounted in a volume stays in that target.
func TestSharedParent(t *testing.T) {
	w := newWorld(t)
	a := w.volume("a")
	shared, copied := w.mkdir(w.target("shared")), w.mkdir(w.target("copied"))
	w.mount("tmpfs", shared, "tmpfs", 0)
	for _, dir := range []string{shared, filepath.Dir(w.pool)} {
		if err := unix.Mount("", dir, "", unix.MS_SHARED, ""); err != nil {
			t.Fatal(err)
		}
	}
	w.mount(shared, copied, "", unix.MS_BIND)
	x, y := filepath.Join(shared, "x"), filepath.Join(shared, "y")
	ctx := context.Background()
	publish := func(target string, exclusive bool) error {
		return w.table.Publish(ctx, "a", a, target, Options{}, exclusive)
	}
	wantReason(t, publish(x, true), "")
	if mountsAt(t, filepath.Join(copied, "x")) != 1 {
		t.Fatal("the publish was not propagated")
	}
	w.load()
	if w.table.Len() != 1 {
		t.Errorf("found %v; want one publish", w.table.All())
	}
	wantReason(t, publish(x, true), "")
	wantReason(t, publish(y, false), state.InUse)
	w.unpublish("a", a, x)
	if mountsAt(t, filepath.Join(copied, "x")) != 0 {
		t.Error("the copy is left")
	}
	wantReason(t, publish(x, false), "")
	wantReason(t, publish(y, false), "")
	w.load()
	if w.table.Len() != 2 {
		t.Errorf("found %v; want two publishes", w.table.All())
	}
	w.mkdir(filepath.Join(x, "sub"))
	w.mount("tmpfs", filepath.Join(x, "sub"), "tmpfs", 0)
	for _, other := range []string{y, filepath.Join(w.pool, "volumes/a")} {
		if mountsAt(t, filepath.Join(other, "sub")) != 0 {
			t.Errorf("a mount in one target appeared in %s", other)
		}
	}
	wantReason(t, w.table.Unpublish(ctx, "a", a, x), state.InUse) // something is mounted in it
}

// TestNotRecursive: what is mounted in the volume at its pool is not published.
func TestNotRecursive(t *testing.T) {
	w := newWorld(t)
	a := w.volume("a")
	sub := w.mkdir(filepath.Join(w.pool, "volumes/a/sub"))
	w.mount("tmpfs", sub, "tmpfs", 0)
	if err := os.WriteFile(filepath.Join(sub, "secret"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wantReason(t, w.publish("a", a, w.target("x")), "")
	if exists(w.target("x/sub/secret")) {
		t.Error("a mount below the volume was published with it")
	}
}

// TestBtrfs: there, a subvolume's st_dev is not the device of the kernel's list.
func TestBtrfs(t *testing.T) {
	w := newWorld(t)
	image, disk := w.target("image"), w.mkdir(w.target("btrfs"))
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 128<<20); err != nil {
		t.Fatal(err)
	}
	w.run("mkfs.btrfs", "-q", image)
	w.mount(w.loop(image), disk, "btrfs", 0)
	w.pool = w.mkdir(filepath.Join(disk, "pool"))
	w.mkdir(filepath.Join(w.pool, "volumes"))
	own := filepath.Join(w.pool, "volumes/sv")
	w.run("btrfs", "-q", "subvolume", "create", own)
	w.load()
	source, target := openPath(t, own), w.target("x")
	wantReason(t, w.publish("sv", source, target), "")
	w.load()
	if got := w.table.Published("sv"); !slices.Equal(got, []string{target}) {
		t.Fatalf("found %v; want %s", got, target)
	}
	wantReason(t, w.publish("sv", source, target), "")
	w.unpublish("sv", nil, target)
	if mountsAt(t, target) != 0 {
		t.Error("it is still mounted")
	}
	source.Close()
}
