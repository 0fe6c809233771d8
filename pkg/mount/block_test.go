package mount

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/loop"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// The tests of this file are of block volumes, on the kernel that they run on.

// image makes the image of a block volume, and opens it. Its name is no other test's.
func (w *world) image(id string) *os.File {
	w.Helper()
	path := filepath.Join(w.mkdir(filepath.Join(w.pool, "images")), id)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		w.Fatal(err)
	}
	if err := os.Truncate(path, 1<<20); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		for _, a := range w.devices(id) {
			_ = a.Detach(context.Background())
		}
	})
	return openPath(w.T, path)
}

// devices returns those that a volume's image has.
func (w *world) devices(id string) []*loop.Attachment {
	w.Helper()
	all, err := loop.Loop{}.Find(func(path string) bool { return strings.HasPrefix(filepath.Base(path), id) })
	if err != nil {
		w.Fatal(err)
	}
	return all
}

// wantDevices fails unless the volume's image has so many devices.
func (w *world) wantDevices(id string, n int) {
	w.Helper()
	all := w.devices(id)
	defer loop.Close(all)
	if len(all) != n {
		w.Errorf("the image of %s has %d devices, want %d", id, len(all), n)
	}
}

// unique is an ID that no other test, or run of it, has.
func unique(t *testing.T) string {
	return "b" + strings.ToLower(strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, time.Now().Format("150405.000000000")))
}

func (w *world) check(want state.Reason, err error) {
	w.Helper()
	if got := state.ReasonOf(err); got != want {
		w.Errorf("got reason %q (error: %v), want %q", got, err, want)
	}
}

func TestABlockVolumeIsPublishedAsADevice(t *testing.T) {
	w := newWorld(t)
	id := unique(t)
	src, one, two := w.image(id), w.target("a/b/one"), w.target("two")
	for range 2 { // the second time without effect
		w.check("", w.publish(id, src, one))
	}
	w.check("", w.publish(id, src, two))
	w.wantDevices(id, 1)
	for _, target := range []string{one, two} {
		f, err := os.OpenFile(target, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		var st unix.Stat_t
		if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFBLK {
			t.Errorf("%s has the mode %#o, %v", target, st.Mode, err)
		}
		if _, err := f.WriteAt([]byte(target), 0); err != nil {
			t.Error(err)
		}
		if err := f.Sync(); err != nil {
			t.Error(err)
		}
		f.Close()
		b, err := os.ReadFile(src.Name())
		if err != nil || !strings.HasPrefix(string(b), target) {
			t.Errorf("what was written to %s is not in the image: %v", target, err)
		}
		if there, err := w.table.IsPublishedAt(id, target, src); err != nil || !there {
			t.Errorf("published at %s: %v, %v", target, there, err)
		}
	}
	_, err := w.table.Retire(id)
	w.check(state.InUse, err)
	// A restart finds it all.
	w.load()
	if got := w.table.Published(id); len(got) != 2 {
		t.Fatalf("after a restart it is published at %q", got)
	}
	_, err = w.table.Retire(id)
	w.check(state.InUse, err)
	w.unpublish(id, src, one)
	w.wantDevices(id, 1)
	w.unpublish(id, nil, two) // known by the table alone
	w.wantDevices(id, 0)
	w.unpublish(id, src, two)
	for _, target := range []string{one, two} {
		if _, err := os.Lstat(target); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", target, err)
		}
	}
	release, err := w.table.Retire(id)
	w.check("", err)
	release()
}

func TestABlockVolumeIsReadOnlyAtAllOrNone(t *testing.T) {
	w := newWorld(t)
	id := unique(t)
	src := w.image(id)
	w.check("", w.publish(id, src, w.target("a"), "ro"))
	w.check("", w.publish(id, src, w.target("a"), "ro"))
	w.check(state.AlreadyExists, w.publish(id, src, w.target("a")))
	w.check(state.InUse, w.publish(id, src, w.target("b")))
	if _, err := os.Lstat(w.target("b")); !os.IsNotExist(err) {
		t.Errorf("a refused publish left its target: %v", err)
	}
	f, err := os.OpenFile(w.target("a"), os.O_RDWR, 0)
	if err == nil {
		_, err = f.WriteAt([]byte("x"), 0)
		if serr := f.Sync(); err == nil {
			err = serr
		}
		f.Close()
	}
	if err == nil {
		t.Error("a volume that is published read-only can be written to")
	}
	w.unpublish(id, src, w.target("a"))
	w.check("", w.publish(id, src, w.target("b")))
	w.check(state.InUse, w.publish(id, src, w.target("a"), "ro"))
	w.unpublish(id, src, w.target("b"))
	w.wantDevices(id, 0)
}

func TestABlockVolumeIsExclusive(t *testing.T) {
	w := newWorld(t)
	id := unique(t)
	src := w.image(id)
	w.check("", w.publish(id, src, w.target("a")))
	w.load()
	w.check(state.InUse, w.table.Publish(t.Context(), id, src, w.target("b"), Options{}, true))
	w.check("", w.table.Publish(t.Context(), id, src, w.target("a"), Options{}, true))
	w.check(state.InUse, w.publish(id, src, w.target("b")))
	w.unpublish(id, src, w.target("a"))
	w.wantDevices(id, 0)
}

// TestTargetsOfBlockVolumes has something else in the target's place.
func TestTargetsOfBlockVolumes(t *testing.T) {
	w := newWorld(t)
	id := unique(t)
	src := w.image(id)
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(w.target("full"), "data")
	write(w.target("empty"), "")
	w.mkdir(w.target("dir"))
	for link, to := range map[string]string{"link": "empty", "dangling": "nosuch", "way": "dir"} {
		if err := os.Symlink(to, w.target(link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(w.target("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]state.Reason{
		"full": state.InUse, "dir": state.Invalid, "link": state.Invalid, "dangling": state.Invalid, "way/in": state.Invalid,
		"pipe": state.Invalid, "full/in": state.Invalid, "empty": "",
	} {
		w.check(want, w.publish(id, src, w.target(name)))
		if want == "" {
			w.wantDevices(id, 1)
		}
		w.unpublish(id, src, w.target(name))
		w.wantDevices(id, 0)
	}
	for name, left := range map[string]bool{"full": true, "dir": false, "link": true, "dangling": true, "pipe": true, "empty": false, "nosuch": false} {
		if _, err := os.Lstat(w.target(name)); os.IsNotExist(err) == left {
			t.Errorf("%s: left is to be %v, got %v", name, left, err)
		}
	}
	// A file at the target of a mount volume is not ours to remove.
	write(w.target("file"), "")
	w.unpublish("v", w.volume("v"), w.target("file"))
	if _, err := os.Lstat(w.target("file")); err != nil {
		t.Error(err)
	}
}

// TestWhatACrashLeftOfABlockVolume has a device that nobody has published.
func TestWhatACrashLeftOfABlockVolume(t *testing.T) {
	w := newWorld(t)
	id := unique(t)
	src := w.image(id)
	leave := func(o loop.Options) {
		a, err := loop.Loop{}.Attach(t.Context(), src, o)
		if err != nil {
			t.Fatal(err)
		}
		a.Close()
	}
	leave(loop.Options{})
	w.load()
	w.wantDevices(id, 0)
	// The next publish takes it, or frees it if it does not fit.
	leave(loop.Options{})
	w.check("", w.publish(id, src, w.target("a")))
	w.wantDevices(id, 1)
	w.unpublish(id, src, w.target("a"))
	leave(loop.Options{})
	w.check("", w.publish(id, src, w.target("a"), "ro"))
	w.wantDevices(id, 1)
	w.load() // what is published stays
	w.wantDevices(id, 1)
	w.unpublish(id, src, w.target("a"))
	// An unpublish that was cut short is finished by the next.
	leave(loop.Options{})
	w.unpublish(id, src, w.target("a"))
	w.wantDevices(id, 0)
	// One of a file that was removed, too.
	leave(loop.Options{})
	trash := filepath.Join(w.mkdir(filepath.Join(w.pool, ".trash")), id+".0")
	if err := os.Rename(src.Name(), trash); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(trash); err != nil {
		t.Fatal(err)
	}
	w.load()
	w.wantDevices(id, 0)
}

// TestDevicesOfOthersStay: a file of the same name elsewhere is none of the pool's.
func TestDevicesOfOthersStay(t *testing.T) {
	w := newWorld(t)
	id := unique(t)
	src := w.image(id)
	other := filepath.Join(w.targets, id)
	if err := os.WriteFile(other, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	f := openPath(t, other)
	a, err := loop.Loop{}.Attach(t.Context(), f, loop.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	w.load()
	w.check("", w.publish(id, src, w.target("a")))
	w.wantDevices(id, 2)
	w.unpublish(id, src, w.target("a"))
	w.load()
	w.wantDevices(id, 1) // the Cleanup of image frees it
}

func TestADeviceThatIsOpenIsUnpublishedLater(t *testing.T) {
	w := newWorld(t)
	id := unique(t)
	src := w.image(id)
	w.check("", w.publish(id, src, w.target("a")))
	all := w.devices(id) // which holds them open
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	w.check(state.InUse, w.table.Unpublish(ctx, id, src, w.target("a")))
	// It can be had back, and is not lost with its last opener.
	w.check("", w.publish(id, src, w.target("a")))
	loop.Close(all)
	w.wantDevices(id, 1)
	w.unpublish(id, src, w.target("a"))
	w.wantDevices(id, 0)
}

func TestADeviceGrowsWhileItIsPublished(t *testing.T) {
	w := newWorld(t)
	id := unique(t)
	src := w.image(id)
	w.check("", w.table.Grow(t.Context(), id, src)) // it has none
	w.check("", w.publish(id, src, w.target("a")))
	if err := os.Truncate(src.Name(), 3<<20); err != nil {
		t.Fatal(err)
	}
	w.check("", w.table.Grow(t.Context(), id, src))
	all := w.devices(id)
	defer loop.Close(all)
	if size, err := all[0].Bytes(); err != nil || size != 3<<20 {
		t.Errorf("it has %d bytes, %v", size, err)
	}
	loop.Close(all)
	w.unpublish(id, src, w.target("a"))
}

// TestBlockVolumesInParallel has many published and unpublished at a time.
func TestBlockVolumesInParallel(t *testing.T) {
	w := newWorld(t)
	done := make(chan error)
	base := unique(t)
	const volumes, rounds = 8, 5
	for i := range volumes {
		id := base + "-" + string(rune('a'+i))
		src := w.image(id)
		targets := []string{w.target(id + "/1"), w.target(id + "/2")}
		for _, target := range targets {
			go func() {
				for range rounds {
					if err := w.table.Publish(context.Background(), id, src, target, Options{}, false); err != nil {
						done <- err
						return
					}
					if err := w.table.Unpublish(context.Background(), id, src, target); err != nil {
						done <- err
						return
					}
				}
				done <- nil
			}()
		}
	}
	for range 2 * volumes {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	w.wantDevices(base, 0)
}
