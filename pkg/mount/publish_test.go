package mount

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestPublishAndUnpublish(t *testing.T) {
	w := newWorld(t)
	a := w.volume("a")
	target := w.target("pods/x/mount me")
	for range 2 {
		wantReason(t, w.publish("a", a, target), "")
	}
	if n := mountsAt(t, target); n != 1 {
		t.Fatalf("%d mounts after two publishes; want 1", n)
	}
	if err := os.WriteFile(filepath.Join(target, "file"), []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(filepath.Join(w.pool, "volumes/a/file")); err != nil || string(data) != "data" {
		t.Fatalf("in the pool there is %q, %v", data, err)
	}
	for dir, mode := range map[string]os.FileMode{"pods": 0o750, "pods/x": 0o750} {
		if info, err := os.Stat(w.target(dir)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v; want mode %v", dir, info.Mode(), err, mode)
		}
	}
	is, err := w.table.IsPublishedAt("a", target, a)
	if err != nil || !is {
		t.Errorf("published: %v, %v", is, err)
	}
	for range 2 {
		w.unpublish("a", a, target)
	}
	if mountsAt(t, target) != 0 || exists(target) || !exists(filepath.Dir(target)) {
		t.Error("the target, and only that, should be gone")
	}
	if !exists(filepath.Join(w.pool, "volumes/a/file")) {
		t.Error("the volume's file is gone")
	}
	is, err = w.table.IsPublishedAt("a", target, a)
	if err != nil || is || w.table.Len() != 0 {
		t.Errorf("published: %v, %v, %v", is, err, w.table.All())
	}
}

// TestRestart: a new process knows all publishes, and undoes them without the
// volumes' directories.
func TestRestart(t *testing.T) {
	w := newWorld(t)
	var want []Published
	for _, id := range []string{"a", "b", "gone"} {
		source := w.volume(id)
		for _, name := range []string{"one", "two words\n\\040"} {
			target := w.target(id + "/" + name)
			wantReason(t, w.publish(id, source, target, "ro"), "")
			want = append(want, Published{id, target})
		}
	}
	if err := os.Remove(filepath.Join(w.pool, "volumes/gone")); err != nil {
		t.Fatal(err)
	}
	// Mounts beneath the pool, of the pool, and of parts of volumes are no publishes.
	for from, to := range map[string]string{
		w.pool:                             w.mkdir(w.target("pool")),
		filepath.Join(w.pool, "volumes/a"): w.mkdir(filepath.Join(w.pool, "volumes/b/a")),
		w.mkdir(filepath.Join(w.pool, "volumes/a/sub")):         w.mkdir(w.target("sub")),
		w.mkdir(filepath.Join(w.pool, "volumes/a/sub/volumes")): w.mkdir(w.target("volumes")),
	} {
		w.mount(from, to, "", unix.MS_BIND)
	}
	w.load()
	if got := w.table.All(); !slices.Equal(got, want) {
		t.Fatalf("found %q; want %q", got, want)
	}
	for _, p := range want {
		if is, err := w.table.IsPublishedAt(p.VolumeID, p.Target, nil); err != nil || !is {
			t.Errorf("%q: %v, %v", p, is, err)
		}
		w.unpublish(p.VolumeID, nil, p.Target)
		if mountsAt(t, p.Target) != 0 || exists(p.Target) {
			t.Errorf("%q is left", p)
		}
	}
	if w.table.Len() != 0 {
		t.Errorf("left are %q", w.table.All())
	}
}
