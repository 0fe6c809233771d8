package mount

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// The tests with a world are of the kernel that they run on.

// world is a pool on a tmpfs of its own, and a place for targets.
type world struct {
	*testing.T
	pool, targets string
	table         *Table
}

func newWorld(t *testing.T) *world {
	t.Helper()
	root := resolved(t, t.TempDir())
	if err := os.Chmod(filepath.Dir(root), 0o755); err != nil { // other users must reach it
		t.Fatal(err)
	}
	w := &world{T: t, pool: filepath.Join(root, "disk", "the pool"), targets: filepath.Join(root, "targets")}
	w.mkdir(filepath.Join(root, "disk"))
	w.mkdir(w.targets)
	w.mount("tmpfs", filepath.Join(root, "disk"), "tmpfs", 0)
	w.mkdir(filepath.Join(w.pool, "volumes"))
	w.load()
	return w
}

func resolved(t *testing.T, dir string) string {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// load starts anew, as after a restart.
func (w *world) load() {
	w.Helper()
	var err error
	if w.table, err = Load(map[string]string{"p": w.pool}, LoadOptions{}); err != nil {
		w.Fatal(err)
	}
}

func (w *world) mkdir(dir string) string {
	w.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		w.Fatal(err)
	}
	return dir
}

func (w *world) mount(source, target, fstype string, flags uintptr) {
	w.Helper()
	if err := unix.Mount(source, target, fstype, flags, ""); err != nil {
		w.Fatalf("mount %s: %v", target, err)
	}
	w.Cleanup(func() { _ = unix.Unmount(target, unix.MNT_DETACH) })
}

// volume makes a volume, and opens it.
func (w *world) volume(id string) *os.File {
	w.Helper()
	return openPath(w.T, w.mkdir(filepath.Join(w.pool, "volumes", id)))
}

func openPath(t *testing.T, dir string) *os.File {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), dir)
	t.Cleanup(func() { f.Close() })
	return f
}

func (w *world) target(name string) string { return filepath.Join(w.targets, name) }

func (w *world) publish(id string, source *os.File, target string, flags ...string) error {
	w.Helper()
	o, err := ParseFlags(flags)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = unix.Unmount(target, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW) })
	return w.table.Publish(context.Background(), id, source, target, o, false)
}

func (w *world) unpublish(id string, source *os.File, target string) {
	w.Helper()
	if err := w.table.Unpublish(context.Background(), id, source, target); err != nil {
		w.Error(err)
	}
}

// mountsAt counts the mounts at a path, hidden ones too.
func mountsAt(t *testing.T, path string) int {
	t.Helper()
	mounts, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) { return m.Mountpoint != path, false })
	if err != nil {
		t.Fatal(err)
	}
	return len(mounts)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func (w *world) run(name string, args ...string) string {
	w.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		w.Fatalf("%s: %v: %s", name, err, out)
	}
	return strings.TrimSpace(string(out))
}

// loop makes a loop device that goes away by itself when nothing uses it.
func (w *world) loop(image string) string {
	w.Helper()
	device := w.run("losetup", "--find", "--show", image)
	w.Cleanup(func() { w.run("losetup", "--detach", device) })
	return device
}
